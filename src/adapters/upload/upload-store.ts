import { randomUUID } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { multiHash } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import type { JobId } from "../../core/ids.ts";
import type { Upload, UploadStore } from "../../core/ingest/upload-store.ts";
import { ignoring, refusals } from "../storage/fs/errors.ts";

/** Of the id in `<id>.json`: what is not in the file system itself. */
interface UploadRecord {
  readonly owner: string;
  readonly sizeBytes: number | null;
  readonly metadata: Upload["metadata"];
  readonly jobId: JobId | null;
  /** Complete and durable. Its job may have taken the bytes. */
  readonly sealed: boolean;
}

/** What an upload may consist of; the record comes last, so that what a removal leaves behind is still found. */
const KINDS = ["part", "unverified", "turn", "json.tmp", "json"] as const;
type Kind = (typeof KINDS)[number];
const FILE_NAME = /^([0-9a-f]{32})\.(part|unverified|turn|json\.tmp|json)$/;

const READ_BYTES = 1024 * 1024;
const absent = ignoring("ENOENT");

/**
 * Uploads as files in one folder, several to an upload: `<id>.json` says what it is, `<id>.part` holds its bytes, and
 * `<id>.unverified` is there while a piece with a digest is written, saying where that piece began: its bytes do not
 * count before the digest is known to be right.
 *
 * Who writes in a folder that nodes share says so in `<id>.turn`, and looks there before each write whether it is still its
 * turn. A request that a node still reads, when its client has turned to another one, ends with the next bytes; those that
 * are being written at that moment are the ones that come again, at the same place.
 * @param options.isShared whether other processes write there. Otherwise whoever calls sees to one request at a time.
 */
export async function fsUploadStore(
  root: string,
  { isShared = false }: { readonly isShared?: boolean } = {},
): Promise<UploadStore> {
  await mkdir(root, { recursive: true });

  const isId = (id: string) => /^[0-9a-f]{32}$/.test(id);

  /** @throws AppError upload_unknown for what cannot be an id, before it can become a path. */
  function pathOf(id: string, kind: Kind): string {
    if (!isId(id)) throw new AppError("upload_unknown", { id: id.slice(0, 64) });
    return join(root, `${id}.${kind}`);
  }

  async function readRecord(id: string): Promise<UploadRecord | undefined> {
    const text = isId(id) ? await readFile(pathOf(id, "json"), "utf8").catch(absent) : undefined;
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** When a file last changed, in epoch milliseconds; 0 when it is not there. */
  async function changedAt(id: string, kind: Kind): Promise<number> {
    return Math.floor((await stat(pathOf(id, kind)).catch(absent))?.mtimeMs ?? 0);
  }

  async function requireRecord(id: string): Promise<UploadRecord> {
    const record = await readRecord(id);
    if (!record) throw new AppError("upload_unknown", { id });
    return record;
  }

  /** Replaces the record as a whole; durable on return. */
  async function writeRecord(id: string, record: UploadRecord): Promise<void> {
    await writeFile(pathOf(id, "json.tmp"), JSON.stringify(record), { flush: true });
    await rename(pathOf(id, "json.tmp"), pathOf(id, "json"));
    await syncFolder();
  }

  async function syncFolder(): Promise<void> {
    await using folder = await open(root);
    await folder.sync();
  }

  async function get(id: string): Promise<Upload | undefined> {
    const record = await readRecord(id);
    if (!record) return undefined;
    const { sealed, ...about } = record;
    const bytes = await stat(pathOf(id, "part")).catch(absent);
    const unverified = await readFile(pathOf(id, "unverified"), "utf8").catch(absent);
    const arrived = unverified === undefined ? (bytes?.size ?? 0) : Number(unverified);
    const offset = sealed && record.sizeBytes !== null ? record.sizeBytes : arrived;
    const activeAt = Math.max(await changedAt(id, "json"), Math.floor(bytes?.mtimeMs ?? 0));
    return { id, ...about, offset, activeAt };
  }

  async function requireUpload(id: string): Promise<Upload> {
    const upload = await get(id);
    if (!upload) throw new AppError("upload_unknown", { id });
    return upload;
  }

  const has = async (id: string) => isId(id) && (await stat(pathOf(id, "part")).catch(absent)) !== undefined;

  async function remove(id: string, kinds: readonly Kind[]): Promise<void> {
    for (const kind of kinds) await rm(pathOf(id, kind), { force: true });
  }

  /** @returns what to call before each write. @throws AppError upload_offset_mismatch from it when it is another's turn. */
  async function takeTurn(id: string): Promise<() => Promise<void>> {
    if (!isShared) return async () => {};
    const own = randomUUID();
    await writeFile(pathOf(id, "turn"), own);
    return async () => {
      if ((await readFile(pathOf(id, "turn"), "utf8").catch(absent)) === own) return;
      throw new AppError("upload_offset_mismatch", { id, hint: "another request goes on with it" });
    };
  }

  async function isExpired(id: string, before: number): Promise<boolean> {
    const upload = await get(id);
    if (!upload) return Math.max(...(await Promise.all(KINDS.map((kind) => changedAt(id, kind))))) < before;
    const waitsForJob = upload.offset === upload.sizeBytes && (await has(id));
    return upload.activeAt < before && !waitsForJob;
  }

  return {
    get,

    create: ({ id, ...about }) =>
      refusals(async () => {
        await writeRecord(id, { ...about, jobId: null, sealed: false });
        return requireUpload(id);
      }),

    declareSize: (id, sizeBytes) => refusals(async () => writeRecord(id, { ...(await requireRecord(id)), sizeBytes })),

    assign: (id, jobId) => refusals(async () => writeRecord(id, { ...(await requireRecord(id)), jobId })),

    append: (id, offset, bytes, expected) =>
      refusals(async () => {
        await requireRecord(id);
        const requireTurn = await takeTurn(id);
        const upload = await requireUpload(id);
        if (upload.offset !== offset)
          throw new AppError("upload_offset_mismatch", { id, expected: upload.offset, found: offset });
        await using part = await open(pathOf(id, "part"), constants.O_WRONLY | constants.O_CREAT);
        await part.truncate(offset); // a piece that was never verified goes
        if (!expected) {
          await remove(id, ["unverified"]);
          return offset + (await writeAll(part, offset, bytes, requireTurn));
        }
        // By way of another name: a marker that is there but empty would say 0.
        await writeFile(pathOf(id, "json.tmp"), String(offset));
        await rename(pathOf(id, "json.tmp"), pathOf(id, "unverified"));
        const hash = multiHash([expected.algorithm]);
        const written = await writeAll(part, offset, bytes, requireTurn, hash.update);
        const found = hash.digests()[expected.algorithm];
        await requireTurn();
        if (found !== expected.value) {
          await part.truncate(offset);
          throw new AppError("digest_mismatch", {
            algorithm: expected.algorithm,
            expected: expected.value,
            found: found ?? "",
          });
        }
        await remove(id, ["unverified"]);
        return offset + written;
      }),

    seal: (id) =>
      refusals(async () => {
        const record = await requireRecord(id);
        if (record.sealed) return;
        // Also makes the file of an upload of no bytes.
        await using part = await open(pathOf(id, "part"), "a");
        await part.sync();
        await writeRecord(id, { ...record, sealed: true });
      }),

    async open(id) {
      const found = await stat(pathOf(id, "part")).catch(absent);
      if (!found) throw new AppError("upload_unknown", { id });
      const bytes = createReadStream(pathOf(id, "part"), {
        end: Math.max(0, found.size - 1),
        highWaterMark: READ_BYTES,
      });
      return { bytes, sizeBytes: found.size };
    },

    has,
    remove: (id) => remove(id, ["part", "unverified", "turn"]),
    discard: (id) => remove(id, KINDS),

    async *list() {
      for (const name of await readdir(root)) {
        const [, id, kind] = FILE_NAME.exec(name) ?? [];
        const upload = id !== undefined && kind === "json" ? await get(id) : undefined;
        if (upload) yield upload;
      }
    },

    async removeExpired(before) {
      const ids = new Set((await readdir(root)).flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []));
      let removed = 0;
      for (const id of ids) {
        if (!(await isExpired(id, before))) continue;
        await remove(id, KINDS);
        removed++;
      }
      return removed;
    },
  };
}

/** @returns how many bytes were written; what came before a failure stays. */
async function writeAll(
  file: FileHandle,
  offset: number,
  bytes: AsyncIterable<Uint8Array>,
  beforeEach: () => Promise<void>,
  onBytes?: (chunk: Uint8Array) => void,
): Promise<number> {
  let written = 0;
  for await (const chunk of bytes) {
    await beforeEach();
    for (let at = 0; at < chunk.length; ) {
      const { bytesWritten } = await file.write(chunk, at, chunk.length - at, offset + written + at);
      at += bytesWritten;
    }
    onBytes?.(chunk);
    written += chunk.length;
  }
  return written;
}
