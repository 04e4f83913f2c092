/*
 * Reads, hashes and sends a deposit, beside the page, which stays lively. It is ended whenever somebody wants to pause:
 * what the next one needs is in the journal and on the server.
 */
import { sleep } from "../../../sdk/backoff.ts";
import { type BundleFile, bundleSource } from "../../../sdk/bundle.ts";
import { bundleMetadata } from "../../../sdk/bundle-metadata.ts";
import { LongshoreError } from "../../../sdk/errors.ts";
import { SHA256 } from "../sha256.ts";
import type { ChosenFile } from "./chosen-file.ts";
import { openJournal, type UnfinishedDeposit } from "./journal.ts";
import type { DepositNews, DepositOrder } from "./sending.ts";
import { uploadsOf } from "./uploads.ts";

/** Sent per request: often enough for a progress that moves, seldom enough for the server to keep each durably. */
const PIECE_BYTES = 4 * 1024 * 1024;
const READ_BYTES = 4 * 1024 * 1024;
/** After the SDK's own tries, which take a minute and a half: the server may be away for hours. */
const LOST_MS = 20_000;
/** A worker that the page has just ended holds its lock for a moment longer. */
const ENDING_MS = 3_000;

const tell = (news: DepositNews) => postMessage(news);

addEventListener("message", async ({ data }: MessageEvent<DepositOrder>) => {
  try {
    const key = depositKey(data);
    if ("locks" in navigator) await alone(key, () => deposit(data, key));
    else await deposit(data, key); // there are locks only from HTTPS or this machine
  } catch (error) {
    const { code, message } =
      error instanceof LongshoreError
        ? error
        : { code: "internal", message: error instanceof Error ? error.message : "" };
    tell({ type: "failed", code, message });
  }
});

/** Unless another tab is at it. */
async function alone(key: string, work: () => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(ENDING_MS);
  try {
    await navigator.locks.request(`longshore-${key}`, { signal }, work);
  } catch (error) {
    if (error !== signal.reason) throw error;
    tell({ type: "elsewhere" });
  }
}

async function deposit({ server, formToken, owner, description, files }: DepositOrder, key: string): Promise<void> {
  const journal = await openJournal();
  const uploads = uploadsOf(server, formToken);
  const known = await journal.digests(key);
  const fresh: [path: string, digest: string][] = [];
  const bundle = bundleSource({
    files: files.map((chosen) => bundleFile(chosen, known.get(chosen.path))),
    hash: SHA256,
    metadata: bundleMetadata(description),
    onDigest: ({ path }, digest) => fresh.push([path, digest]),
  });
  let unfinished = await journal.find(key);
  tell({ type: "begun", sizeBytes: bundle.sizeBytes, isContinued: unfinished !== undefined });

  function begun(url: string): UnfinishedDeposit {
    const firstPath = files[0]?.path ?? "";
    const begunAt = Date.now();
    const { sizeBytes } = bundle;
    return { key, owner, url, description, firstPath, fileCount: files.length, sizeBytes, sentBytes: 0, begunAt };
  }

  /** Not waited for: what is not noted is read again. */
  function note(sentBytes: number): void {
    if (!unfinished) return;
    unfinished = { ...unfinished, sentBytes };
    journal.save(unfinished, fresh.splice(0)).catch((error: unknown) => reportError(error));
  }

  const send = () =>
    uploads.send(bundle, {
      ...(unfinished ? { url: unfinished.url } : {}),
      metadata: { filename: `${files[0]?.path.split("/")[0]}.tar` },
      chunkBytes: PIECE_BYTES,
      onCreated(url) {
        unfinished = begun(url);
        note(0);
      },
      onProgress(sentBytes) {
        note(sentBytes);
        const sentFiles = bundle.filesBefore(sentBytes);
        tell({ type: "progress", sentBytes, sentFiles, currentBytes: bundle.bytesBefore(sentBytes, sentFiles) });
      },
      onRetry: ({ message }, pauseMs) => tell({ type: "waiting", message, pauseMs }),
    });

  for (;;)
    try {
      const { jobId } = await send();
      await journal.remove(key);
      tell({ type: "sent", jobId });
      return;
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      if (error.code === "upload_unknown" && unfinished) {
        // Nobody has gone on with it for so long that the server has dropped it.
        unfinished = undefined;
        continue;
      }
      if (!error.transient) throw error;
      tell({ type: "waiting", message: error.message, pauseMs: LOST_MS });
      await sleep(LOST_MS, undefined);
    }
}

/** Names one deposit: the same files by path, size and time, of the same person, described in the same way. */
function depositKey({ server, owner, description, files }: DepositOrder): string {
  const hash = SHA256.start();
  const add = (part: unknown) => hash.update(new TextEncoder().encode(JSON.stringify(part)));
  add([server, owner, description]);
  for (const { path, file } of files) add([path, file.size, file.lastModified]);
  return hash.hexDigest().slice(0, 32);
}

function bundleFile({ path, file }: ChosenFile, digest: string | undefined): BundleFile {
  return {
    path,
    sizeBytes: file.size,
    modifiedAt: file.lastModified,
    ...(file.type !== "" && { mediaType: file.type }),
    ...(digest !== undefined && { digest }),
    async *open() {
      for (let at = 0; at < file.size; at += READ_BYTES) {
        const part = file.slice(at, at + READ_BYTES);
        yield new Uint8Array(await part.arrayBuffer().catch((cause: unknown) => unreadable(path, cause)));
      }
    },
  };
}

/** Browsers refuse to read a file that has changed since it was chosen (File API §7). */
function unreadable(path: string, cause: unknown): never {
  const message = `${path} cannot be read: it has changed since it was chosen, or is gone. Choose it again.`;
  throw new LongshoreError("local_file_changed", message, { details: { path }, cause });
}
