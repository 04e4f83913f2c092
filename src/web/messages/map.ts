/** Of the map beside what was found. */
export const MAP = {
  "map.title": "Where",
  "map.found": "{count} have coordinates.",
  "map.foundAtLeast": "At least {count} have coordinates.",
  "map.newest": "The map shows the newest {count}.",
  "map.everywhere": "Everywhere",
  "map.list": "As a list",
  "map.cluster": "{count} at {area}",
  "map.area": "{from} to {until}, {begin} to {end}",
  "map.north": "{degrees}° N",
  "map.south": "{degrees}° S",
  "map.east": "{degrees}° E",
  "map.west": "{degrees}° W",
} as const;
