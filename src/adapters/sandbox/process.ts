import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ExtractFailure, ExtractFailureReason, SandboxLimits } from "../../core/extract/sandbox.ts";
import { ANSWER_FD, type ChildAnswer, type ChildRequest } from "./protocol.ts";
import { residentBytes } from "./resident.ts";

/** How often a process's memory is looked at, while somebody waits for it. Between two looks it can take about 100 MB. */
const WATCH_MS = 50;
/** Of what it said at last: V8 says there that its heap is full. */
const LAST_WORDS_BYTES = 8 * 1024;
const NEWLINE = 0x0a;
const MIB = 1024 * 1024;

type HeardAnswer = ChildAnswer & { readonly sizeChars: number };

/** One process of the sandbox. After a failure it is dead. */
export interface ExtractorProcess {
  readonly isAlive: boolean;
  ask(request: ChildRequest): void;
  /** The next answer. @param totalMs what is left of the run's time. @throws the signal's reason. */
  answer(totalMs: number, signal: AbortSignal): Promise<HeardAnswer | ExtractFailure>;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * @param readable folders and files that it may read, beside its own code.
 * @param launcher what its command line begins with.
 */
export function startExtractorProcess(
  limits: SandboxLimits,
  readable: readonly string[],
  launcher: readonly string[],
): ExtractorProcess {
  // The sources run as .ts, the published build as .js.
  const entry = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));
  const heapMiB = Math.max(16, Math.floor(limits.memoryBytes / 2 / MIB));
  const flags = [
    "--permission",
    ...readable.map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${heapMiB}`,
  ];
  const argv = [...launcher, process.execPath, ...flags, entry, String(limits.memoryBytes * 0.75)];
  const child = spawn(argv[0] ?? "", argv.slice(1), {
    env: {},
    stdio: ["pipe", "ignore", "pipe", "pipe"],
  });
  const answers = child.stdio[ANSWER_FD] as Readable;
  const { stdin, stderr } = child as ChildProcess & { stdin: NodeJS.WritableStream; stderr: Readable };
  const gone = Promise.withResolvers<void>();
  const pending: Buffer[] = [];
  let pendingBytes = 0;
  let lastWords = "";
  let isAlive = true;
  /** Whoever waits looks again: something was said, or the process has ended. */
  let stir = () => {};

  child.once("error", (error) => {
    lastWords = error.message;
    end();
  });
  // Not "exit": what it said before must have been read.
  child.once("close", end);
  // A process that ends early does not read its requests; that it ended is noticed anyway.
  stdin.on("error", () => {});
  stderr.on("data", (said: Buffer) => {
    lastWords = (lastWords + said.toString("latin1")).slice(-LAST_WORDS_BYTES);
  });
  answers.on("data", (said: Buffer) => {
    pending.push(said);
    pendingBytes += said.length;
    // Read no further than somebody wants to hear: a line is taken out before the next is read.
    if (said.includes(NEWLINE) || pendingBytes > limits.outputBytes) answers.pause();
    stir();
  });

  function end(): void {
    isAlive = false;
    gone.resolve();
    stir();
  }

  function takeLine(): string | undefined {
    const all = pending.length === 1 ? pending[0] : undefined;
    const joined = all ?? Buffer.concat(pending);
    const newline = joined.indexOf(NEWLINE);
    pending.length = 0;
    pending.push(newline < 0 ? joined : joined.subarray(newline + 1));
    pendingBytes = pending[0]?.length ?? 0;
    return newline < 0 ? undefined : joined.toString("utf8", 0, newline);
  }

  async function kill(): Promise<void> {
    child.kill("SIGKILL");
    answers.destroy();
    await gone.promise;
  }

  async function failed(reason: ExtractFailureReason, message: string): Promise<ExtractFailure> {
    await kill();
    return { reason, message };
  }

  function howItEnded(): Promise<ExtractFailure> {
    if (/heap out of memory|Array buffer allocation failed/.test(lastWords))
      return failed("memory", "The extractor's heap was full.");
    const how = child.signalCode ?? `exit code ${child.exitCode}`;
    const said = lastWords
      .trim()
      .split("\n")
      .find((line) => line.includes("Error"));
    return failed("died", `The extractor's process ended (${how})${said === undefined ? "." : `: ${said}`}`);
  }

  return {
    get isAlive() {
      return isAlive;
    },
    ask(request) {
      stdin.write(`${JSON.stringify(request)}\n`);
    },
    async answer(totalMs, signal) {
      const begun = performance.now();
      for (;;) {
        if (signal.aborted) {
          await kill();
          throw signal.reason;
        }
        const line = pendingBytes > 0 ? takeLine() : undefined;
        if (line !== undefined && line.length <= limits.outputBytes)
          return parseAnswer(line) ?? (await failed("garbage", "The extractor's process said what is no result."));
        if (line !== undefined || pendingBytes > limits.outputBytes)
          return failed("output", `The record is larger than ${limits.outputBytes} bytes.`);
        if (!isAlive) return howItEnded();
        const elapsed = performance.now() - begun;
        if (elapsed >= totalMs) return failed("total", "The run has used up its time.");
        if (elapsed >= limits.silenceMs) return failed("silence", `No result within ${limits.silenceMs} ms.`);
        if (residentBytes(child.pid) > limits.memoryBytes)
          return failed("memory", `The extractor took more than ${limits.memoryBytes} bytes of memory.`);
        await stirred(Math.min(WATCH_MS, limits.silenceMs - elapsed, totalMs - elapsed), signal);
      }
    },
    kill,
  };

  /** Until something is heard of the process, or for so long. */
  async function stirred(ms: number, signal: AbortSignal): Promise<void> {
    const heard = Promise.withResolvers<void>();
    stir = () => heard.resolve();
    const onAbort = stir;
    const timer = setTimeout(stir, ms);
    signal.addEventListener("abort", onAbort);
    answers.resume();
    await heard.promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function parseAnswer(line: string): HeardAnswer | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isAnswer(value) ? { ...value, sizeChars: line.length } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isAnswer(value: unknown): value is ChildAnswer {
  if (!isObject(value)) return false;
  if (typeof value.threw === "string" || value.resigns === true) return true;
  const { result, durationMs } = value;
  return typeof durationMs === "number" && isObject(result) && isObject(result.data) && Array.isArray(result.problems);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
