/**
 * A process for the crash test: makes one deposit in a data folder, on the real composition, and says what a client
 * would have been told by lines of JSON, each gone before the next step begins:
 *
 *     node crash-depositor.ts '{"folder": …, "kind": …, "strikeAt": {"part": …, "step": …, "when": …}}'
 *
 *     {"acknowledged": 1}              the deposit is in Longshore's hands, as this job
 *     {"moments": […], "told": 70}     every moment, when nothing struck, and how many came before the first line
 */
import { writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { openComposition } from "./crash-composition.ts";
import { type Moment, watchSteps } from "./crash-steps.ts";

export const KINDS = ["direct", "spooled", "move"] as const;

export interface Deposit {
  readonly folder: string;
  readonly kind: (typeof KINDS)[number];
  readonly strikeAt?: Omit<Moment, "name">;
}

const OWNER = "ada";
const UPLOAD_ID = "0".repeat(32);
/** Longer than any run takes: what only a timer does is no step of a deposit. */
const LEASE_MS = 60_000;

async function deposit({ folder, kind, strikeAt }: Deposit): Promise<void> {
  const watch = watchSteps(strikeAt, () => process.kill(process.pid, "SIGKILL"));
  // For this process no time passes, so that a slow run saves its progress no oftener than a fast one.
  const startedAt = Date.now();
  const { ingest, uploads, finished, startWorker } = await openComposition({
    folder,
    clock: { now: () => startedAt, sleep: systemClock.sleep },
    leaseMs: LEASE_MS,
    watch,
  });
  const bytes = await readFile(join(folder, kind === "move" ? "move.json" : "bundle.tar"));
  watch.files();

  const ways: Readonly<Record<Deposit["kind"], () => Promise<number | undefined>>> = {
    direct: async () => (await ingest.receive(Readable.from([bytes]), { owner: OWNER, sizeBytes: bytes.length })).id,
    async spooled() {
      await uploads.create({ id: UPLOAD_ID, owner: OWNER, sizeBytes: bytes.length, metadata: {} });
      await uploads.append(UPLOAD_ID, 0, Readable.from([bytes]));
      return finished.ingest(UPLOAD_ID);
    },
    move: async () => (await ingest.move(bytes, { owner: OWNER })).id,
  };
  const acknowledged = await ways[kind]();
  const told = watch.moments.length;
  say({ acknowledged });

  await new Promise<void>((resolve) => {
    startWorker({ jobEnded: () => resolve(), trouble: (error) => console.error(error) });
  });
  say({ moments: watch.moments, told });
  process.exit();
}

/** Written at once: a pipe keeps what a process said before it died. */
function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

if (import.meta.main) await deposit(JSON.parse(process.argv[2] ?? ""));
