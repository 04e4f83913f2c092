import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type Foundation, openFoundation } from "../../src/compose/foundation.ts";
import { composeServices } from "../../src/compose/services.ts";
import type { Archive } from "../../src/core/archive/archive.ts";
import { objectPath } from "../../src/core/archive/ocfl.ts";
import { type Checked, type VerifyOptions, verifyArchive } from "../../src/core/archive/verify.ts";
import type { Problem } from "../../src/core/errors.ts";
import { transactionId } from "../../src/core/ids.ts";
import type { Job } from "../../src/core/jobs/job.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { bundle } from "../http/bundle.ts";
import { until } from "./until.ts";

export interface Verified {
  readonly checked: readonly Checked[];
  readonly problems: readonly Fact[];
  readonly notes: readonly Fact[];
}

/** A problem without its sentence. */
export type Fact = Omit<Problem, "message">;

/** A real archive with its database, in a temporary folder. */
export interface TestArchive extends Foundation {
  readonly dataDir: string;
  readonly archiveDir: string;
  readonly database: string;
  /** A file of a transaction's object, on disk. */
  fileOf(transaction: number, path?: string): string;
  /** The same, as the archive names it. */
  nameOf(transaction: number, path?: string): string;
  /** Takes a bundle in through the real ingest and its worker. @returns the job when it is over. */
  deposit(files: Readonly<Record<string, string | Uint8Array>>, owner?: string): Promise<Job>;
  verify(options?: Partial<VerifyOptions> & { readonly archive?: Archive }): Promise<Verified>;
  /** Another archive with the same content, closed and removed with this one. */
  copy(database?: "with its database" | "with an empty database"): Promise<TestArchive>;
  close(): Promise<void>;
}

/** @param prepare fills the data folder. */
export async function testArchive(
  settings: Readonly<Record<string, string>> = {},
  prepare: (dataDir: string) => Promise<void> = async () => {},
): Promise<TestArchive> {
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-archive-"));
  await prepare(dataDir);
  const config = loadConfig({ LONGSHORE_DATA_DIR: dataDir, ...settings });
  const foundation = await openFoundation(config, systemClock);
  const { stores, archive } = foundation;
  const services = await composeServices(config, systemClock, foundation);
  const copies: TestArchive[] = [];
  const nameOf = (transaction: number, path?: string) =>
    join(objectPath(transactionId(transaction)), ...(path === undefined ? [] : [path]));

  return {
    ...foundation,
    dataDir,
    archiveDir: config.archive.path,
    database: join(dataDir, "longshore.sqlite"),
    nameOf,
    fileOf: (transaction, path) => join(config.archive.path, nameOf(transaction, path)),
    async deposit(files, owner = "ada") {
      const { id } = await services.ingest.receive(Readable.from([bundle(files)]), { owner });
      const worker = services.startWorker({ jobEnded: () => {}, trouble: (error) => console.error(error) });
      try {
        await until(`job ${id} is over`, async () => (await services.jobs.get(id)).finishedAt !== null);
      } finally {
        await worker.stop();
      }
      return services.jobs.get(id);
    },
    async verify({ archive: other = archive, signal = new AbortController().signal, ...options } = {}) {
      const parts = { archive: other, catalogue: stores.catalogue, jobs: stores.jobs, clock: systemClock };
      const checked = await Array.fromAsync(verifyArchive(parts, { signal, ...options }));
      return {
        checked,
        problems: checked.flatMap(({ problems }) => problems.map(factOf)),
        notes: checked.flatMap(({ notes }) => notes.map(factOf)),
      };
    },
    async copy(database = "with its database") {
      const isWanted = (path: string) => database === "with its database" || !path.includes("longshore.sqlite");
      const copied = await testArchive(settings, (to) => cp(dataDir, to, { recursive: true, filter: isWanted }));
      copies.push(copied);
      return copied;
    },
    async close() {
      for (const copied of copies) await copied.close();
      await foundation.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

function factOf({ message: _, ...fact }: Problem): Fact {
  return fact;
}

/** Changes a file in place. */
export function edit(file: string, change: (text: string) => string): void {
  const before = readFileSync(file, "utf8");
  const after = change(before);
  if (after === before) throw new Error(`The edit of ${file} changed nothing.`);
  writeFileSync(file, after);
}

/**
 * Makes an object's inventories and sidecars vouch for what its root inventory says now: what somebody would do who wants
 * a change to go unnoticed.
 */
export function reseal(objectDir: string): void {
  const algorithm = existsSync(join(objectDir, "inventory.json.sha512")) ? "sha512" : "sha256";
  const inventory = readFileSync(join(objectDir, "inventory.json"));
  const sidecar = `${createHash(algorithm).update(inventory).digest("hex")}  inventory.json\n`;
  writeFileSync(join(objectDir, "v1/inventory.json"), inventory);
  for (const folder of ["", "v1"]) writeFileSync(join(objectDir, folder, `inventory.json.${algorithm}`), sidecar);
}
