import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export const RESOURCE = "beetles-of-the-demo";
const ROWS = 20_000;

const FIELDS = [
  { id: "_id", type: "int4" },
  { id: "scientificName", type: "text" },
  { id: "family", type: "text" },
  { id: "locality", type: "text" },
  { id: "eventDate", type: "date" },
  { id: "individualCount", type: "int4" },
  { id: "Drawer", type: "text" },
];
const SPECIES = [
  ["Carabus auratus Linnaeus, 1761", "Carabidae"],
  ["Lucanus cervus (Linnaeus, 1758)", "Lucanidae"],
  ["Dytiscus marginalis Linnaeus, 1758", "Dytiscidae"],
  ["Cicindela campestris Linnaeus, 1758", "Carabidae"],
] as const;

type Row = readonly [id: number, ...rest: readonly (string | number)[]];

function rowOf(id: number): Row {
  const [name, family] = SPECIES[id % SPECIES.length] ?? SPECIES[0];
  const day = new Date(Date.UTC(1950, 0, 1 + ((id * 37) % 20_000))).toISOString().slice(0, 10);
  return [id, name, family, `Café "${id % 40}", Île d'Été`, day, 1 + (id % 9), `D${id % 120}`];
}

interface Search {
  readonly filters?: Readonly<Record<string, string | number | readonly (string | number)[]>>;
  readonly limit?: number;
  readonly offset?: number;
}

/**
 * A small CKAN as up to version 2.11: one resource, `datastore_search` with offsets and lists, pages of at most 5,000 rows,
 * no ranges in filters.
 */
export async function startPortal(): Promise<{ readonly url: string; stop(): void }> {
  const rows = Array.from({ length: ROWS }, (_, n) => rowOf(n + 1));
  const server = createServer(async (request, response) => {
    const { filters = {}, limit = 100, offset = 0 }: Search = JSON.parse((await text(request)) || "{}");
    if (Object.values(filters).some((wanted) => typeof wanted === "object" && !Array.isArray(wanted))) {
      response.writeHead(409, { "content-type": "application/json;charset=utf-8" });
      const error = { __type: "Validation Error", filters: ["invalid filter"] };
      response.end(JSON.stringify({ help: "", success: false, error }));
      return;
    }
    const found = rows.filter((row) =>
      Object.entries(filters).every(([name, wanted]) => {
        const value = row[FIELDS.findIndex(({ id }) => id === name)];
        return [wanted].flat().some((one) => one === value);
      }),
    );
    const most = Math.min(limit, 5000);
    const result = {
      resource_id: RESOURCE,
      fields: FIELDS,
      records_format: "lists",
      records: found.slice(offset, offset + most),
      limit: most,
      offset,
      total: found.length,
      total_was_estimated: false,
    };
    response.writeHead(200, { "content-type": "application/json;charset=utf-8" });
    response.end(JSON.stringify({ help: "", success: true, result }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
