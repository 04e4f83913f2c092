import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type ArchivedFile, backoff, type Longshore, LongshoreError } from "../../sdk/index.ts";
import { bytesText, durationText, rateMeter, transferText } from "../amounts.ts";
import type { CliContext, JsonOption } from "../command.ts";
import { Interrupted } from "../failure.ts";

export interface FileGetOptions extends JsonOption {
  readonly output?: string;
  readonly force?: true;
}

/** Where the bytes go; `restart` forgets what it has. */
interface Sink {
  readonly received: number;
  write(bytes: Uint8Array): Promise<void>;
  restart(): Promise<void>;
}

/** Saves one archived file, or prints it, and checks its digest. */
export async function getFile(context: CliContext, fileId: number, options: FileGetOptions): Promise<void> {
  const { terminal } = context;
  const { client } = context.server();
  const file = await client.files.get(fileId);
  const expected = checkable(file);
  const target = targetOf(file, options);
  const transfer = { client, file, expected, context };
  if (target === "-") {
    const sink = stdoutSink(expected.algorithm);
    await receive(transfer, sink);
    requireDigest(file, expected, sink.hash.digest("hex"));
    return;
  }

  const part = `${target}.part`;
  const sink = await partSink(part, expected.algorithm);
  try {
    const resumed = sink.received > 0;
    await receive(transfer, sink);
    let found = sink.hash().digest("hex");
    if (found !== expected.value && resumed) {
      terminal.note(`  ${part} was left by something else; fetching everything anew.`);
      await sink.restart();
      await receive(transfer, sink);
      found = sink.hash().digest("hex");
    }
    if (found !== expected.value) await rm(part);
    requireDigest(file, expected, found);
    await sink.sync();
  } finally {
    await sink.close();
  }
  await rename(part, target);
  terminal.note(`${target}: ${bytesText(file.sizeBytes)}, ${expected.algorithm} as archived`);
  if (options.json) terminal.printJson({ ...file, savedAs: target });
  else terminal.print(target);
}

interface Transfer {
  readonly client: Longshore;
  readonly file: ArchivedFile;
  readonly expected: { readonly algorithm: string; readonly value: string };
  readonly context: CliContext;
}

/** Fetches what the sink does not have yet; a broken connection is answered with another try from where it broke. */
async function receive({ client, file, context }: Transfer, sink: Sink): Promise<void> {
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
      etag ??= (await client.files.stat(file.id, signal)).etag ?? undefined;
      const content = await client.files.content(file.id, {
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
        throw new LongshoreError("server_unavailable", `${file.path} ended after ${sink.received} bytes.`);
    } catch (error) {
      if (error instanceof Interrupted)
        throw new Interrupted(`Interrupted at ${bytesText(sink.received)}; the same command continues from there.`);
      await retry.pause(error);
    }
  }
}

/** A folder is given the file under its own name. @throws LongshoreError usage. */
function targetOf(file: ArchivedFile, { output, force, json }: FileGetOptions): string {
  const name = basename(file.path);
  if (output === "-") {
    if (json) throw new LongshoreError("usage", "-o - prints the file itself; it does not go together with --json.");
    return output;
  }
  const isFolder = output !== undefined && statSync(output, { throwIfNoEntry: false })?.isDirectory();
  const target = isFolder ? join(output, name) : (output ?? name);
  if (existsSync(target) && !force)
    throw new LongshoreError("usage", `${target} exists already; --force replaces it.`, { details: { path: target } });
  return target;
}

/** The strongest digest that can be computed here; the archive's own is always among them. */
function checkable(file: ArchivedFile): Transfer["expected"] {
  for (const algorithm of ["sha512", "sha256", "sha1", "md5"]) {
    const value = file.digests[algorithm];
    if (value !== undefined) return { algorithm, value };
  }
  throw new LongshoreError("digest_unknown", `File ${file.id} has no digest that can be checked here.`);
}

function requireDigest(file: ArchivedFile, { algorithm, value }: Transfer["expected"], found: string): void {
  if (found === value) return;
  throw new LongshoreError("digest_mismatch", `What was received of ${file.path} is not what the archive names.`, {
    details: { path: file.path, algorithm, expected: value, found },
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
