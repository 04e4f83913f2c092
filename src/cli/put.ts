import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import {
  type BundleFile,
  type BundleHash,
  type BundleSource,
  bundleSource,
  type Job,
  type Longshore,
  LongshoreError,
} from "../sdk/index.ts";
import { bytesText, countText, durationText, rateMeter, transferText } from "./amounts.ts";
import { type CliContext, command, type JsonOption, jobFailure, withExamples } from "./command.ts";
import { Interrupted } from "./failure.ts";
import { jobDisplay, receiptLines } from "./job-display.ts";
import { findFiles } from "./local-files.ts";
import { collectKeyValue, type MetadataOptions, metadataOf } from "./put-metadata.ts";
import type { Terminal } from "./terminal.ts";
import { depositKey, openJournal, type UploadJournal } from "./upload-journal.ts";

/** Names that Node and Pacifica (Python's hashlib) agree on. */
const HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

interface PutOptions extends JsonOption, MetadataOptions {
  readonly hash: string;
  readonly name?: string;
  readonly follow?: true;
  readonly wait: boolean;
}

export function putCommand(context: CliContext): Command {
  const put = command("put", "Deposit files and folders: make a bundle while sending it, wait until it is archived.")
    .argument("<path...>", "files and folders; a folder keeps its name")
    .option("--submitter <id>", "who submits")
    .option("--project <id>", "the project the data belongs to")
    .option("--instrument <id>", "the instrument that made the data")
    .option("--kv <key=value>", "something to find the bundle by; may be given several times", collectKeyValue)
    .option("--metadata <file>", "a JSON array of Pacifica metadata objects to send along")
    // sha512 is what an archive addresses content by unless it was set up otherwise, so the depositor's own digest is
    // the name the file is kept under; at 0.5 GB/s on one core it is still faster than most networks.
    .addOption(new Option("--hash <name>", "digest declared for each file").choices(HASHES).default("sha512"))
    .option("--name <name>", "what the upload is called in the server's log")
    .option("--follow", "send what symbolic links lead to, instead of leaving them out")
    .option("--no-wait", "end when the server has everything, before it is archived")
    .action((paths: readonly string[], options: PutOptions) => runPut(context, paths, options));
  return withExamples(put, [
    ["longshore put run-17/ --project 1234a --instrument 54", "deposit a folder and wait for the receipt"],
    ["longshore put a.csv b.csv --kv 'sample=blue glass' --kv temperature=27", "two files, with what is known of them"],
    ["longshore put run-17/ --no-wait --json", "print the job as JSON as soon as everything is sent"],
  ]).addHelpText(
    "after",
    "\nInterrupted by whatever: run the same command again, and it continues where the server stands.",
  );
}

async function runPut(context: CliContext, paths: readonly string[], options: PutOptions): Promise<void> {
  const { terminal } = context;
  const { url, client } = context.server();
  const skipped = (path: string, why: string) => terminal.note(`warning: ${path} is left out: ${why}`);
  const files = findFiles(paths, { follow: options.follow === true, onSkipped: skipped });
  if (files.length === 0) throw new LongshoreError("bundle_empty", `There is no file to send in ${paths.join(", ")}.`);

  const metadata = metadataOf(options);
  const journal = openJournal(
    join(context.stateDir, "uploads"),
    depositKey(url, files, [metadata, options.hash]),
    Date.now(),
  );
  const bundle = bundleSource({
    files: files.map((file) => withDigest(file, journal.digests)),
    hash: nodeHash(options.hash),
    metadata,
    onDigest: ({ path }, digest) => journal.record({ path, digest }),
  });
  terminal.note(`Sending ${countText(files.length, "file")}, ${bytesText(bundle.sizeBytes)}, to ${url}`);

  const signal = context.interruptible();
  const filename = options.name ?? `${basename(resolve(paths[0] ?? ""))}.tar`;
  const sending = { client, bundle, journal, terminal, signal, filename, fileCount: files.length };
  const jobId = (await knownJob(client, journal)) ?? (await upload(sending));
  if (!options.wait) {
    journal.remove();
    const job = await client.jobs.get(jobId);
    if (options.json) terminal.printJson(job);
    else terminal.print(`job  ${jobId}`);
    return;
  }
  const job = await outcome(client, jobId, terminal, signal);
  journal.remove();
  for (const warning of job.warnings) terminal.note(`warning[${warning.code}]: ${warning.message}`);
  if (options.json) terminal.printJson(job);
  if (job.state !== "succeeded") throw jobFailure(job);
  if (!options.json) for (const line of receiptLines(job.result ?? {})) terminal.print(line);
}

/** The job of an earlier run that had sent everything, if the server still has it. */
async function knownJob(client: Longshore, { jobId }: UploadJournal): Promise<number | undefined> {
  if (jobId === undefined) return undefined;
  const job = await client.jobs.get(jobId).catch((error: unknown) => {
    if (error instanceof LongshoreError && error.code === "job_unknown") return undefined;
    throw error;
  });
  return job?.id;
}

interface Upload {
  readonly client: Longshore;
  readonly bundle: BundleSource;
  readonly journal: UploadJournal;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly filename: string;
  readonly fileCount: number;
}

/** Sends the bundle, continuing an earlier upload if the journal knows one. @returns the job that takes it in. */
async function upload({ client, bundle, journal, terminal, signal, filename, fileCount }: Upload): Promise<number> {
  const startedAt = performance.now();
  const rate = rateMeter(() => performance.now());
  let sent = 0;
  let begunAt: number | undefined;
  const onProgress = (offset: number) => {
    sent = offset;
    begunAt ??= offset;
    const files = `${bundle.filesBefore(offset).toLocaleString("en")} of ${countText(fileCount, "file")}`;
    terminal.progress(`  ${transferText(offset, bundle.sizeBytes, rate.measure(offset))}, ${files}`);
  };
  const send = (url: string | undefined) =>
    client.uploads.send(bundle, {
      ...(url === undefined ? {} : { url }),
      metadata: { filename },
      signal,
      onCreated: (created) => journal.record({ url: created }),
      onProgress,
      onRetry: (error, pauseMs) => terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`),
    });

  try {
    if (journal.url !== undefined) terminal.note("  Continuing an earlier upload of the same files.");
    const { jobId } = await send(journal.url).catch((error: unknown) => {
      const gone = error instanceof LongshoreError && error.code === "upload_unknown" && journal.url !== undefined;
      if (!gone) throw error;
      terminal.note("  The server has dropped the earlier upload; sending everything anew.");
      return send(undefined);
    });
    journal.record({ jobId });
    const bytes = sent - (begunAt ?? 0);
    const elapsedMs = performance.now() - startedAt;
    terminal.note(
      `Sent ${bytesText(bytes)} in ${durationText(elapsedMs)} (${bytesText((bytes / elapsedMs) * 1000)}/s); job ${jobId}`,
    );
    return jobId;
  } catch (error) {
    const where = `${bytesText(sent)} of ${bytesText(bundle.sizeBytes)} are on the server`;
    const advice = `${where}; the same command continues from there.`;
    if (error instanceof Interrupted) throw new Interrupted(`Interrupted: ${advice}`);
    if (error instanceof LongshoreError && error.transient && sent > 0) terminal.note(`Broken off: ${advice}`);
    throw error;
  }
}

/** Waits for the end of the job, showing its tasks. */
async function outcome(client: Longshore, jobId: number, terminal: Terminal, signal: AbortSignal): Promise<Job> {
  const display = jobDisplay(terminal, () => performance.now());
  try {
    return await client.jobs.wait(jobId, {
      signal,
      onRetry: (error) => terminal.note(`  ${error.message} Trying again.`),
      onNews: (news) => {
        if (news.type === "progress") display.show(news.job);
      },
    });
  } catch (error) {
    if (error instanceof Interrupted)
      throw new Interrupted(
        `Interrupted: everything is sent, and job ${jobId} goes on without us (longshore jobs watch ${jobId}).`,
      );
    throw error;
  }
}

function withDigest(file: BundleFile, digests: ReadonlyMap<string, string>): BundleFile {
  const digest = digests.get(file.path);
  return digest === undefined ? file : { ...file, digest };
}

function nodeHash(name: string): BundleHash {
  return {
    name,
    hexDigits: createHash(name).digest("hex").length,
    start() {
      const hash = createHash(name);
      return { update: (bytes) => hash.update(bytes), hexDigest: () => hash.digest("hex") };
    },
  };
}
