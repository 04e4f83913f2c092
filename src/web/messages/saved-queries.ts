/** Of searches that are kept. */
export const SAVED_QUERIES = {
  "saved.title": "Saved searches",
  "saved.name": "Name",
  "saved.query": "Search",
  "saved.save": "Save this search",
  "saved.remove": "Remove",
  "saved.removeOf": "Remove the saved search {name}",
} as const;
