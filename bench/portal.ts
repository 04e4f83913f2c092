/**
 * A data portal that costs next to nothing: `datastore_search` as CKAN 2.12 answers it, out of files that were written
 * beforehand. What a packer takes is then its own time and not the portal's. Runs as a process of its own:
 *
 *     node bench/portal.ts FOLDER
 *
 * Prints its address. `/file` is FOLDER/file.bin.
 */
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { text } from "node:stream/consumers";

/** Fourteen terms of Darwin Core, and six columns that a Darwin Core Archive puts into dynamicProperties. */
export const COLUMNS = [
  ..."catalogNumber scientificName family genus country locality decimalLatitude decimalLongitude eventDate".split(" "),
  ..."recordedBy basisOfRecord institutionCode identifiedBy occurrenceRemarks".split(" "),
  ..."Drawer Donor Preparation Sex_count Register_page Label_text".split(" "),
];
const NUMBERS: Readonly<Record<string, string>> = {
  _id: "int",
  decimalLatitude: "numeric",
  decimalLongitude: "numeric",
  Sex_count: "int4",
  Register_page: "int4",
};
const MAX_PAGE_ROWS = 32_000;
const PART_ROWS = 10_000;

export const portalFiles = (folder: string) => ({
  rows: join(folder, "rows.json-text"),
  index: join(folder, "rows.index"),
  csv: join(folder, "resource.csv"),
  file: join(folder, "file.bin"),
});

/**
 * Writes rows of about 370 bytes each: as text inside JSON, as a portal sends them, with the place of each row; and as CSV,
 * for other tools.
 */
export async function writeRows(folder: string, rowCount: number): Promise<void> {
  const { rows, index, csv } = portalFiles(folder);
  const starts = new Float64Array(rowCount + 1);
  const [json, plain] = [createWriteStream(rows), createWriteStream(csv)];
  plain.write(`${["_id", ...COLUMNS].join(",")}\n`);
  let at = 0;
  for (let id = 1; id <= rowCount; ) {
    let [jsonPart, plainPart] = ["", ""];
    for (const end = Math.min(rowCount, id + PART_ROWS - 1); id <= end; id++) {
      const line = `${id},${rowOf(id).join(",")}\n`;
      const escaped = JSON.stringify(line).slice(1, -1);
      starts[id - 1] = at;
      at += escaped.length;
      jsonPart += escaped;
      plainPart += line;
    }
    for (const [stream, part] of [
      [json, jsonPart],
      [plain, plainPart],
    ] as const)
      if (!stream.write(part)) await once(stream, "drain");
  }
  starts[rowCount] = at;
  for (const stream of [json, plain]) await new Promise<void>((resolve) => stream.end(resolve));
  writeFileSync(index, new Uint8Array(starts.buffer));
}

const NAMES = "Carabus Cicindela Dytiscus Lucanus Scarabaeus Silpha Staphylinus Tenebrio Buprestis Elater".split(" ");
const EPITHETS = "auratus campestris marginalis cervus sacer obscura olens molitor octoguttata sanguineus".split(" ");
const PLACES = "Alder Birch Cedar Dogwood Elm Fir Gorse Hazel Ivy Juniper".split(" ");

/** Plain ASCII, some of it quoted as CSV wants it, about as varied as records of a collection. */
function rowOf(id: number): readonly string[] {
  // A multiplicative hash (Knuth): the same row whenever it is made.
  const noise = Math.imul(id, 2_654_435_761) >>> 0;
  const pick = (list: readonly string[], shift: number) => list[(noise >>> shift) % list.length] ?? "";
  const [genus, epithet, place] = [pick(NAMES, 3), pick(EPITHETS, 7), pick(PLACES, 11)];
  const day = new Date(Date.UTC(1900, 0, 1 + (noise % 40_000))).toISOString().slice(0, 10);
  return [
    `BM-${noise.toString(36).toUpperCase()}`,
    `${genus} ${epithet} Linnaeus 17${58 + (noise % 40)}`,
    "Carabidae",
    genus,
    "United Kingdom",
    `"${place} Wood, ${1 + (noise % 60)} km from ${pick(PLACES, 17)} Bridge, ""${pick(PLACES, 19)}"" estate"`,
    (50 + (noise % 1_000_003) / 250_000).toFixed(6),
    (-4 + (noise % 999_983) / 250_000).toFixed(6),
    `${day}T00:00:00`,
    `${pick(PLACES, 13)} ${noise % 977} and party`,
    "PreservedSpecimen",
    "NHMUK",
    `${pick(PLACES, 23)} ${noise % 499}`,
    `found under bark at ${noise % 24}:00 in light trap ${(noise >>> 5) % 997} by the river`,
    `D${noise % 5003}`,
    `bequest of ${pick(PLACES, 21)} ${1800 + (noise % 150)}`,
    noise % 3 === 0 ? "" : "pinned; card mounted",
    String(noise % 12),
    String((noise >>> 9) % 811),
    `"${genus}, ${place} ${noise.toString(16)}"`,
  ];
}

function serve(folder: string): void {
  const files = portalFiles(folder);
  const bytes = existsSync(files.index) ? readFileSync(files.index) : Buffer.alloc(8);
  const starts = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  const rowCount = starts.length - 1;
  const fields = ["_id", ...COLUMNS].map((id) => ({ id, type: NUMBERS[id] ?? "text" }));

  async function search(body: Readonly<Record<string, unknown>>, response: ServerResponse): Promise<void> {
    const above = (body.filters as { _id?: { gt?: number } } | undefined)?._id?.gt;
    const from = above ?? Number(body.offset ?? 0);
    const limit = Math.min(Number(body.limit ?? 100), MAX_PAGE_ROWS);
    const until = Math.min(rowCount, from + limit);
    const total = body.include_total === false ? {} : { total: rowCount, total_was_estimated: false };
    const head = { resource_id: body.resource_id, fields, records_format: "csv", limit, ...total };
    const before = `{"help":"","success":true,"result":{${JSON.stringify(head).slice(1, -1)},"records":"`;
    const [start = 0, end = 0] = [starts[from], starts[until]];
    response.writeHead(200, {
      "content-type": "application/json;charset=utf-8",
      "content-length": before.length + end - start + 3,
    });
    response.write(before);
    if (end > start)
      for await (const chunk of createReadStream(files.rows, { start, end: end - 1, highWaterMark: 1 << 20 }))
        if (!response.write(chunk)) await once(response, "drain");
    response.end('"}}');
  }

  const server = createServer(async (request, response) => {
    if (request.url?.endsWith("/datastore_search")) return search(JSON.parse(await text(request)), response);
    if (request.url !== "/file") {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-length": statSync(files.file).size,
    });
    // Whoever breaks off has no further use for it.
    pipeline(createReadStream(files.file, { highWaterMark: 1 << 20 }), response, () => undefined);
  });
  server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  process.on("SIGTERM", () => {
    server.close();
    server.closeAllConnections();
  });
}

if (import.meta.main) serve(process.argv[2] ?? ".");
