import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { geoEquirectangular, geoPath } from "d3-geo";
import { scaleLinear, scaleSqrt } from "d3-scale";
import { feature } from "topojson-client";
import type { Topology } from "topojson-specification";
import { type Html, html } from "./html.ts";

/** In degrees: north of the equator, east of Greenwich. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** With its southern and western edge, and without the others unless they are the world's. */
export interface Area {
  readonly south: number;
  readonly north: number;
  readonly west: number;
  readonly east: number;
}

export const WORLD: Area = { south: -90, north: 90, west: -180, east: 180 };

/** Places that are near each other. */
export interface Cluster {
  readonly area: Area;
  readonly middle: Place;
  readonly count: number;
}

const COLUMNS = 20;
const ROWS = 10;

/** By the cells of a grid over the area whose lines are at round degrees. The largest first. */
export function clustersOf(area: Area, places: readonly Place[]): readonly Cluster[] {
  const columns = cells(area.west, area.east, COLUMNS);
  const rows = cells(area.south, area.north, ROWS);
  const inCells = Map.groupBy(places, ({ latitude, longitude }) => {
    const [row, column] = [cellOf(rows, latitude), cellOf(columns, longitude)];
    return row < 0 || column < 0 ? -1 : row * columns.length + column;
  });
  inCells.delete(-1);
  const clusters = Array.from(inCells, ([cell, ofCell]) => {
    const [row, column] = [Math.floor(cell / columns.length), cell % columns.length];
    const mean = (of: keyof Place) => ofCell.reduce((sum, place) => sum + place[of], 0) / ofCell.length;
    const [south = 0, north = 0] = rows.slice(row);
    const [west = 0, east = 0] = columns.slice(column);
    return {
      area: { south, north, west, east },
      middle: { latitude: mean("latitude"), longitude: mean("longitude") },
      count: ofCell.length,
    };
  });
  return clusters.sort((one, other) => other.count - one.count);
}

/** The edges of cells. */
function cells(first: number, last: number, count: number): readonly number[] {
  const inner = scaleLinear([first, last], [0, 1])
    .ticks(count)
    .filter((edge) => edge > first && edge < last);
  return [first, ...inner, last];
}

/** The cell that begins at or before the value; -1 when none does. The last edge belongs to the last cell. */
function cellOf(edges: readonly number[], value: number): number {
  const last = edges.length - 1;
  if (value === edges[last]) return last - 1;
  const behind = edges.findIndex((edge) => edge > value);
  return behind - 1 < 0 ? -1 : behind - 1;
}

/**
 * Clusters over the outline of the land, in plate carrée: degrees are the picture's own units, so an area of it is another
 * `viewBox`. A list of the same links stands beside it.
 * @param land address of {@link landPicture}.
 */
export function map(
  title: string,
  area: Area,
  clusters: readonly Cluster[],
  land: string,
  of: (cluster: Cluster) => { readonly label: string; readonly address: string },
): Html {
  const [width, height] = [area.east - area.west, area.north - area.south];
  const size = Math.max(width, height * 2);
  const radius = scaleSqrt([1, Math.max(2, ...clusters.map(({ count }) => count))], [size / 110, size / 36]);
  const drawn = clusters.map((cluster) => {
    const { middle, count } = cluster;
    const { label, address } = of(cluster);
    return html`<a href="${address}" aria-label="${label}"><title>${label}</title><circle cx="${middle.longitude}" cy="${-middle.latitude}" r="${radius(count)}"></circle></a>\n`;
  });
  return html`<svg class="map" viewBox="${area.west} ${-area.north} ${width} ${height}" role="group" aria-label="${title}">
<use href="${land}#land"></use>
${drawn}</svg>`;
}

let outline: Promise<string> | undefined;

/** The land as an SVG document, for {@link map}: Natural Earth at 1:110 million, to a tenth of a degree. It is the same each time. */
export function landPicture(): Promise<string> {
  outline ??= drawLand();
  return outline;
}

async function drawLand(): Promise<string> {
  const file = fileURLToPath(import.meta.resolve("world-atlas/land-110m.json"));
  const world = JSON.parse(await readFile(file, "utf8")) as Topology;
  const { land } = world.objects;
  if (land === undefined) throw new TypeError(`${file} has no land`);
  const inDegrees = geoEquirectangular()
    .scale(180 / Math.PI)
    .translate([0, 0])
    .precision(0);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-180 -90 360 180"><path id="land" vector-effect="non-scaling-stroke" d="${geoPath(inDegrees).digits(1)(feature(world, land))}"/></svg>`;
}
