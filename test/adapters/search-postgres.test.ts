import { after } from "node:test";
import { postgresIndex } from "../../src/adapters/search/postgres.ts";
import { searchIndexConformance } from "../conformance/search-index.ts";
import { startPostgres } from "../support/postgres.ts";

const postgres = await startPostgres();
const opened: { close(): Promise<void> }[] = [];
after(async () => {
  for (const index of opened) await index.close();
  await postgres.stop();
});

const troubles: unknown[] = [];
function open(url: string) {
  const index = postgresIndex({ url, onTrouble: (error) => troubles.push(error) });
  opened.push(index);
  return index;
}

/** The suite asks for an index, and a database takes a while. */
const databases = await Promise.all(Array.from({ length: 20 }, () => postgres.freshDatabase()));
searchIndexConformance("postgres", () => open(databases.pop() ?? ""));
