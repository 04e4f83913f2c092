import { printQuery } from "../../core/catalogue/query.ts";
import type { Query, SearchHit, SearchPage } from "../../core/catalogue/search-index.ts";
import { countText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import type { Reader } from "../layout.ts";
import { type Area, type Cluster, clustersOf, map, type Place, WORLD } from "../map.ts";
import type { MessageName } from "../messages.ts";

/**
 * Of what has coordinates, so many of the newest are on the map: of 20,000 they take 8 ms of CPU time to find, 500 take 16
 * (22 November 2026).
 */
const PLACES_SHOWN = 200;

type Range = Extract<Query, { readonly fromIn: boolean }>;

/** What is said of a place as queries name it: by the positions in images, and whoever deposited something with these keys. */
const [LATITUDE, LONGITUDE] = ["latitude", "longitude"];

/** What asks for the part of the result that lies somewhere: in the area that is asked for already, or anywhere. */
export function placesOf(query: Query | undefined) {
  const located = query && areaOf(query) ? query : allOf(query, ...termsOf(WORLD));
  return { query: printQuery(located), order: "newest", limit: PLACES_SHOWN } as const;
}

/** What fits all of it. */
export function allOf(query: Query | undefined, ...more: readonly Query[]): Query {
  return { all: [...partsOf(query), ...more.flatMap(partsOf)] };
}

/** Asks for this area, and no longer for any other. */
function within(query: Query | undefined, area: Area | undefined): Query | undefined {
  const others = partsOf(query).filter((part) => !isRange(part, LATITUDE) && !isRange(part, LONGITUDE));
  const parts = area === undefined ? others : [...others, ...termsOf(area)];
  return parts.length === 0 ? undefined : { all: parts };
}

/** What the query as a whole asks for; `undefined` when it does not say both. */
function areaOf(query: Query | undefined): Area | undefined {
  const range = (field: string) => partsOf(query).find((part): part is Range => isRange(part, field));
  const [latitude, longitude] = [range(LATITUDE), range(LONGITUDE)];
  if (!latitude || !longitude) return undefined;
  const bounded = (least: number, most: number, { from = least, until = most }: Range) =>
    [Math.max(least, from), Math.min(most, until)] as const;
  const [south, north] = bounded(-90, 90, latitude);
  const [west, east] = bounded(-180, 180, longitude);
  return south < north && west < east ? { south, north, west, east } : undefined;
}

const partsOf = (query: Query | undefined): readonly Query[] =>
  query === undefined ? [] : "all" in query ? query.all : [query];

const isRange = (part: Query, field: string): boolean => "fromIn" in part && part.field.toLowerCase() === field;

function termsOf({ south, north, west, east }: Area): readonly Range[] {
  return [
    { field: LATITUDE, from: south, until: north, fromIn: true, untilIn: north === WORLD.north },
    { field: LONGITUDE, from: west, until: east, fromIn: true, untilIn: east === WORLD.east },
  ];
}

/** Where the result lies: a map, and the same as a list. Nothing for a result that lies nowhere. */
export function searchMap(
  reader: Reader,
  query: Query | undefined,
  { hits, total, isLowerBound }: SearchPage,
  addressOf: (query: Query | undefined) => string,
): Html {
  const { say, link } = reader;
  const places = hits.map(placeOf).filter((place) => place !== undefined);
  if (places.length === 0) return html``;
  const area = areaOf(query);
  const shown = area ?? WORLD;
  const clusters = clustersOf(shown, places);
  const of = (cluster: Cluster) => ({
    label: say("map.cluster", { count: countText(cluster.count), area: areaText(reader, cluster.area) }),
    address: addressOf(within(query, cluster.area)),
  });
  const count = say(isLowerBound ? "map.foundAtLeast" : "map.found", { count: countText(total) });
  return html`<section class="located"><h2>${say("map.title")}</h2>
<p class="soft">${count} ${places.length < total && say("map.newest", { count: countText(places.length) })}
${area && html` <a href="${addressOf(within(query, undefined))}">${say("map.everywhere")}</a>`}</p>
${map(say("map.title"), shown, clusters, link("/search/land.svg"), of)}
<details><summary>${say("map.list")}</summary><ul>${clusters.map((cluster) => {
    const { label, address } = of(cluster);
    return html`<li><a href="${address}">${label}</a></li>`;
  })}</ul></details></section>`;
}

/** Of a hit with several, the first. */
function placeOf({ fields }: SearchHit): Place | undefined {
  const numberOf = (field: string) =>
    Object.entries(fields)
      .find(([name]) => name.toLowerCase() === field)?.[1]
      .find((value) => typeof value === "number");
  const [latitude, longitude] = [numberOf(LATITUDE), numberOf(LONGITUDE)];
  return latitude === undefined || longitude === undefined ? undefined : { latitude, longitude };
}

function areaText({ say }: Reader, { south, north, west, east }: Area): string {
  const degrees = (value: number, positive: MessageName, negative: MessageName) =>
    say(value < 0 ? negative : positive, { degrees: Math.abs(value) });
  const [from, until] = [south, north].map((value) => degrees(value, "map.north", "map.south"));
  const [begin, end] = [west, east].map((value) => degrees(value, "map.east", "map.west"));
  return say("map.area", { from: from ?? "", until: until ?? "", begin: begin ?? "", end: end ?? "" });
}
