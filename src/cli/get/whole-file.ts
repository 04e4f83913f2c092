import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { backoff, type Content, type ContentOptions, LongshoreError } from "../../sdk/index.ts";
import { bytesText, durationText, rateMeter, transferText } from "../amounts.ts";
import type { CliContext, JsonOption } from "../command.ts";
import { Interrupted } from "../failure.ts";

/** Something on the server that comes in one piece, under a digest that was known before. */
export interface RemoteFile {
  /** For messages. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly digest: { readonly algorithm: string; readonly value: string };
  stat(signal: AbortSignal): Promise<Pick<Content, "etag">>;
  content(options: ContentOptions): Promise<Content>;
}

export interface SaveOptions extends JsonOption {
  readonly output?: string;
  readonly force?: true;
}

/** Where the bytes go; `restart` forgets what it has. */
interface Sink {
  readonly received: number;
  write(bytes: Uint8Array): Promise<void>;
  restart(): Promise<void>;
}

/** A folder is given the file under its own name; `-` is standard output. @throws LongshoreError usage. */
export function targetOf(name: string, options: SaveOptions): string {
  const { output = name } = options;
  const target = isFolder(output) ? join(output, name) : output;
  requireUsable({ ...options, output: target });
  return target;
}

/** For whoever does not know the file's name yet. @throws LongshoreError usage. */
export function requireUsable({ output, force, json }: SaveOptions): void {
  if (output === "-" && json)
    throw new LongshoreError("usage", "-o - prints the file itself; it does not go together with --json.");
  if (output === undefined || output === "-" || force || isFolder(output) || !existsSync(output)) return;
  throw new LongshoreError("usage", `${output} exists already; --force replaces it.`, { details: { path: output } });
}

const isFolder = (path: string) => path !== "-" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * Saves it under `target`, or prints it for `-`, and checks its digest. An interrupted run leaves `target.part`, which the
 * next one continues.
 * @throws LongshoreError digest_mismatch, local_file_unusable.
 */
export async function receiveFile(context: CliContext, file: RemoteFile, target: string): Promise<void> {
  const { terminal } = context;
  const { digest } = file;
  if (target === "-") {
    const sink = stdoutSink(digest.algorithm);
    await receive(context, file, sink);
    return requireDigest(file, sink.hash.digest("hex"));
  }

  const part = `${target}.part`;
  const sink = await partSink(part, digest.algorithm);
  try {
    const resumed = sink.received > 0;
    await receive(context, file, sink);
    let found = sink.hash().digest("hex");
    if (found !== digest.value && resumed) {
      terminal.note(`  ${part} was left by something else; fetching everything anew.`);
      await sink.restart();
      await receive(context, file, sink);
      found = sink.hash().digest("hex");
    }
    if (found !== digest.value) await rm(part);
    requireDigest(file, found);
    await sink.sync();
  } finally {
    await sink.close();
  }
  await rename(part, target);
}

/** Fetches what the sink does not have yet; a broken connection is answered with another try from where it broke. */
async function receive(context: CliContext, file: RemoteFile, sink: Sink): Promise<void> {
  const { terminal } = context;
  const signal = context.interruptible();
  const rate = rateMeter(() => performance.now());
  const retry = backoff({
    signal,
    onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
  });
  if (sink.received > file.sizeBytes) await sink.restart();
  let etag: string | undefined;
  while (sink.received < file.sizeBytes) {
    try {
      etag ??= (await file.stat(signal)).etag ?? undefined;
      const content = await file.content({
        ...(sink.received > 0 ? { from: sink.received } : {}),
        ...(etag === undefined ? {} : { ifRange: etag }),
        signal,
      });
      if (content.from !== sink.received) await sink.restart();
      for await (const chunk of content.bytes) {
        await sink.write(chunk);
        retry.progressed();
        terminal.progress(`  ${transferText(sink.received, file.sizeBytes, rate.measure(sink.received))}`);
      }
      if (sink.received < file.sizeBytes)
        throw new LongshoreError("server_unavailable", `${file.name} ended after ${sink.received} bytes.`);
    } catch (error) {
      if (error instanceof Interrupted)
        throw new Interrupted(`Interrupted at ${bytesText(sink.received)}; the same command continues from there.`);
      await retry.pause(error);
    }
  }
}

function requireDigest({ name, digest: { algorithm, value } }: RemoteFile, found: string): void {
  if (found === value) return;
  throw new LongshoreError("digest_mismatch", `What was received of ${name} is not what the server names.`, {
    details: { path: name, algorithm, expected: value, found },
  });
}

/** Cannot begin anew: what is written is gone. */
function stdoutSink(algorithm: string): Sink & { readonly hash: Hash } {
  const hash = createHash(algorithm);
  let received = 0;
  return {
    hash,
    get received() {
      return received;
    },
    async write(bytes) {
      hash.update(bytes);
      received += bytes.length;
      if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
    },
    async restart() {
      throw new LongshoreError("digest_mismatch", "The file is another one than when its first bytes were written.");
    },
  };
}

/** Appends to a file, which may have bytes of an earlier run; these are hashed first. */
async function partSink(path: string, algorithm: string) {
  const file: FileHandle = await open(path, "a+").catch((cause: Error) => {
    throw new LongshoreError("local_file_unusable", `${path} cannot be written: ${cause.message}`, {
      details: { path },
      cause,
    });
  });
  let hash = createHash(algorithm);
  let received = 0;
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false })) {
    hash.update(chunk);
    received += chunk.length;
  }
  return {
    hash: () => hash,
    get received() {
      return received;
    },
    async write(bytes: Uint8Array) {
      await file.writeFile(bytes);
      hash.update(bytes);
      received += bytes.length;
    },
    async restart() {
      await file.truncate(0);
      hash = createHash(algorithm);
      received = 0;
    },
    sync: () => file.sync(),
    close: () => file.close(),
  };
}
