/**
 * A process for the crash test: makes one deposit in a data folder, on the real composition, and says what a client
 * would have been told by lines of JSON, each written before the next step begins:
 *
 *     node crash-depositor.ts '{"folder": …, "kind": …, "strike": {"part": …, "step": …, "when": …}}'
 *
 *     {"acknowledged": 1}                                      the deposit is in Longshore's hands, as this job
 *     {"storage": […], "database": […], "files": […]}          every step, when nothing struck
 */
import { writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { openComposition } from "./crash-composition.ts";
import { faultyFileCalls, faultyStores } from "./crash-steps.ts";
import { type Fault, faultyStorage } from "./faulty-storage.ts";

export const KINDS = ["direct", "spooled", "move"] as const;
export const PARTS = ["storage", "database", "files"] as const;

export interface Strike extends Pick<Fault, "step" | "when"> {
  readonly part: (typeof PARTS)[number];
}

export interface Deposit {
  readonly folder: string;
  readonly kind: (typeof KINDS)[number];
  readonly strike?: Strike;
}

export type Trace = Readonly<Record<Strike["part"], readonly string[]>>;

const UPLOAD_ID = "0".repeat(32);
const OWNER = "ada";

async function deposit({ folder, kind, strike }: Deposit): Promise<void> {
  const fault = (part: Strike["part"]): Fault | undefined =>
    strike?.part === part ? { ...strike, what: () => process.kill(process.pid, "SIGKILL") } : undefined;
  // For this process no time passes: nothing is saved for having taken long, so every run takes the same steps.
  const startedAt = Date.now();
  const traces: [Strike["part"], () => readonly string[]][] = [];
  const composition = await openComposition({
    folder,
    clock: { now: () => startedAt, sleep: systemClock.sleep },
    leaseMs: 60_000,
    wrapStorage(storage) {
      const faulty = faultyStorage(storage, fault("storage"));
      traces.push(["storage", () => faulty.steps.map(({ operation, subject }) => `${operation} ${subject}`.trim())]);
      return faulty;
    },
    wrapStores(stores) {
      const faulty = faultyStores(stores, fault("database"));
      traces.push(["database", () => faulty.steps]);
      return faulty.stores;
    },
  });
  const { ingest, uploads, finished } = composition;
  const bytes = await readFile(join(folder, kind === "move" ? "move.json" : "bundle.tar"));
  const fileCalls = faultyFileCalls(fault("files"));
  traces.push(["files", () => fileCalls.steps]);

  const ways: Readonly<Record<Deposit["kind"], () => Promise<number | undefined>>> = {
    direct: async () => (await ingest.receive(Readable.from([bytes]), { owner: OWNER, sizeBytes: bytes.length })).id,
    async spooled() {
      await uploads.create({ id: UPLOAD_ID, owner: OWNER, sizeBytes: bytes.length, metadata: {} });
      await uploads.append(UPLOAD_ID, 0, Readable.from([bytes]));
      return finished.ingest(UPLOAD_ID);
    },
    move: async () => (await ingest.move(bytes, { owner: OWNER })).id,
  };
  report({ acknowledged: await ways[kind]() });

  await new Promise<void>((resolve) => {
    composition.startWorker({ jobEnded: () => resolve(), trouble: (error) => console.error(error) });
  });
  report(Object.fromEntries(traces.map(([part, steps]) => [part, steps()])));
  process.exit();
}

/** Gone to whoever listens before this process can die: a pipe keeps what was written to it. */
function report(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

if (import.meta.main) await deposit(JSON.parse(process.argv[2] ?? ""));
