import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { type ServerProcess, startServer } from "./server.ts";
import { tarMember, tarOf } from "./tars.ts";

/** One bundle of one file, whose name nobody else uses. */
export interface SentBundle {
  /** Logical path of the file. */
  readonly path: string;
  readonly content: Uint8Array;
  /** The job that the server answered with, when it did. */
  readonly jobId: number | undefined;
}

const CLIENTS = 4;
/** From what goes through in one chunk to what is on its way for a while. */
const LARGEST_BYTES = 1024 ** 2;
/** So long, at most, a server lives on once it has answered for the first time. */
const LONGEST_LIFE_MS = 400;

/** Starts a server in `dataDir`, sends it bundles from several clients at once, and kills it at some moment. */
export async function killUnderLoad(
  dataDir: string,
  random: (below: number) => number,
): Promise<readonly SentBundle[]> {
  const server = await startServer({ dataDir, env: { LONGSHORE_LOG_LEVEL: "silent" } });
  const dying = new AbortController();
  const answered = Promise.withResolvers<void>();
  const clients = Array.from({ length: CLIENTS }, (_, client) => {
    const name = `${server.pid}-${client}`;
    const make = (n: number) => ({
      path: `data/${name}-${n}.bin`,
      content: Buffer.alloc(random(LARGEST_BYTES), `${name}-${n} `),
    });
    return depositUntil(dying.signal, server, make, answered.resolve);
  });
  await Promise.race([answered.promise, Promise.all(clients)]);
  await setTimeout(random(LONGEST_LIFE_MS));
  dying.abort();
  await server.end("SIGKILL");
  return (await Promise.all(clients)).flat();
}

/** One bundle after the other. What happens to a request once the server is `dying` is no fault. */
async function depositUntil(
  dying: AbortSignal,
  server: ServerProcess,
  make: (n: number) => Pick<SentBundle, "path" | "content">,
  onAnswer: () => void,
): Promise<readonly SentBundle[]> {
  const sent: SentBundle[] = [];
  while (!dying.aborted) {
    const bundle = make(sent.length);
    let jobId: number | undefined;
    try {
      jobId = await depositBundle(server, bundle);
      onAnswer();
    } catch (error) {
      if (!dying.aborted) throw error;
    }
    sent.push({ ...bundle, jobId });
  }
  return sent;
}

/** @returns the job that the server acknowledged it with. */
export async function depositBundle(
  server: ServerProcess,
  { path, content }: Pick<SentBundle, "path" | "content">,
): Promise<number> {
  const response = await fetch(`${server.url}/api/v1/bundles`, {
    method: "POST",
    headers: { "content-type": "application/x-tar" },
    body: new Uint8Array(tarOf(tarMember({ name: path }, content), tarMember({ name: "metadata.txt" }, metadata()))),
  });
  const { id } = (await response.json()) as { readonly id: number };
  assert.equal(response.status, 202);
  return id;

  function metadata(): string {
    const [subdir = "", name = ""] = path.split("/");
    const hashsum = createHash("sha1").update(content).digest("hex");
    const file = { destinationTable: "Files", name, subdir, size: content.length, hashtype: "sha1", hashsum };
    return JSON.stringify([file]);
  }
}

/** An archived file as the API tells of it. */
export interface WireFile {
  readonly id: number;
  readonly path: string;
  readonly transactionId: number;
}

/** Every file of every transaction. */
export async function archivedFiles(server: ServerProcess): Promise<readonly WireFile[]> {
  const files: WireFile[] = [];
  for await (const { id } of pages<{ readonly id: number }>(server, "/api/v1/transactions"))
    for await (const file of pages<WireFile>(server, `/api/v1/transactions/${id}/files`)) files.push(file);
  return files;
}

export interface WireJob {
  readonly id: number;
  readonly state: string;
  readonly error: { readonly code: string } | null;
}

/** Every job, newest first. */
export const allJobs = (server: ServerProcess): Promise<readonly WireJob[]> =>
  Array.fromAsync(pages<WireJob>(server, "/api/v1/jobs"));

/** The items of a list, page by page. */
async function* pages<Item>(server: ServerProcess, path: string): AsyncGenerator<Item> {
  for (let cursor: number | null | "" = ""; cursor !== null; ) {
    const response = await fetch(`${server.url}${path}?limit=100${cursor && `&cursor=${cursor}`}`);
    assert.equal(response.status, 200);
    const page = (await response.json()) as { readonly items: readonly Item[]; readonly next: number | null };
    yield* page.items;
    cursor = page.next;
  }
}
