import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { multiHash } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import { type JobId, jobId } from "../../core/ids.ts";
import type { PieceDigest, Upload, UploadStore } from "../../core/ingest/upload-store.ts";
import { ahead, mapInOrder } from "../../core/streams.ts";
import type { S3Object, S3Objects } from "../s3/objects.ts";

/**
 * What a crash costs at most, and what is kept in memory: of an upload under way, three of these. Smaller ones make more
 * requests of the same bytes.
 */
const PIECE_BYTES = 4 * 1024 ** 2;
const PIECES_AT_ONCE = 2;
/** Read while earlier ones are used, of what says where pieces are. */
const STEPS_AHEAD = 4;
const UPLOADS_AT_ONCE = 8;
/** More than there can be keys below `facts/`. */
const FACTS = 16;

/** Bytes that came one after another, as one object. */
interface Piece {
  readonly name: string;
  readonly sizeBytes: number;
}

interface About {
  readonly owner: string;
  readonly sizeBytes: number | null;
  readonly metadata: Upload["metadata"];
}

interface State extends Upload {
  readonly isSealed: boolean;
  readonly isTaken: boolean;
}

/**
 * Uploads as objects that are written once each, as objects can neither grow nor be changed by two nodes in turn:
 *
 *     <id>/facts/about       what the sender said; without it, the rest is left from an upload that is gone
 *     <id>/facts/size=<n>    said later
 *     <id>/facts/sealed      complete
 *     <id>/facts/job=<n>
 *     <id>/facts/taken       its job has the bytes
 *     <id>/from/<offset>     a step: which pieces go on from this offset, as JSON
 *     <id>/parts/<name>      a piece
 *
 * Offsets count down in their keys, so that the newest step is the first in a list, behind the few facts: one request tells
 * how far an upload is. A step is there when all its pieces are, and where one is no other can be written: of two nodes
 * that go on from the same offset one comes first and the other is told so, also by a request whose client has long turned
 * to another node. A piece with a digest that is long is many objects and one step.
 */
export function s3UploadStore(objects: S3Objects): UploadStore {
  /** @throws AppError upload_unknown for what cannot be an id. */
  function keyOf(id: string, ...names: readonly string[]): string {
    if (!isId(id)) throw new AppError("upload_unknown", { id: id.slice(0, 64) });
    return [id, ...names].join("/");
  }

  const stepKey = (id: string, offset: number) =>
    keyOf(id, "from", String(Number.MAX_SAFE_INTEGER - offset).padStart(16, "0"));
  const note = (id: string, fact: string) => objects.put(keyOf(id, "facts", fact), Buffer.alloc(0));

  async function stepAt(id: string, offset: number): Promise<readonly Piece[]> {
    const text = await objects.get(stepKey(id, offset));
    if (!text) throw new AppError("upload_unknown", { id, offset });
    return JSON.parse(text.toString());
  }

  async function stateOf(id: string): Promise<State | undefined> {
    if (!isId(id)) return undefined;
    const listed = await Array.fromAsync(objects.list(keyOf(id, ""), FACTS));
    const about = await objects.get(keyOf(id, "facts", "about"));
    if (!about) return undefined;
    const facts = listed.filter(({ path }) => path.startsWith(keyOf(id, "facts", "")));
    const has = (fact: string) => facts.some(({ path }) => path === keyOf(id, "facts", fact));
    const numberIn = (fact: string) => {
      const start = keyOf(id, "facts", `${fact}=`);
      const found = facts.find(({ path }) => path.startsWith(start));
      return found && Number(found.path.slice(start.length));
    };
    const newest = listed.find(({ path }) => path.startsWith(keyOf(id, "from", "")));
    const { owner, metadata, ...said }: About = JSON.parse(about.toString());
    const sizeBytes = said.sizeBytes ?? numberIn("size") ?? null;
    const isSealed = has("sealed");
    const job = numberIn("job");
    return {
      id,
      owner,
      metadata,
      sizeBytes,
      isSealed,
      isTaken: has("taken"),
      offset: isSealed && sizeBytes !== null ? sizeBytes : await endOf(id, newest),
      jobId: job === undefined ? null : jobId(job),
      activeAt: lastOf([...facts, ...(newest ? [newest] : [])]),
    };
  }

  async function endOf(id: string, step: S3Object | undefined): Promise<number> {
    if (!step) return 0;
    const from = Number.MAX_SAFE_INTEGER - Number(step.path.slice(keyOf(id, "from", "").length));
    return from + bytesOf(await stepAt(id, from));
  }

  async function requireState(id: string): Promise<State> {
    const state = await stateOf(id);
    if (!state) throw new AppError("upload_unknown", { id: id.slice(0, 64) });
    return state;
  }

  async function putPiece(id: string, bytes: Buffer): Promise<Piece> {
    const piece = { name: randomUUID(), sizeBytes: bytes.length };
    await objects.put(keyOf(id, "parts", piece.name), bytes);
    return piece;
  }

  /**
   * Whether the upload is complete is asked for afterwards: where it is, what says that others were here may be gone with the
   * bytes. @throws AppError upload_offset_mismatch when another goes on from there, or has.
   */
  async function takeStep(id: string, offset: number, pieces: readonly Piece[]): Promise<void> {
    if (pieces.length === 0) return;
    const isOurs = await objects.create(stepKey(id, offset), Buffer.from(JSON.stringify(pieces)));
    if (isOurs && !(await objects.stat(keyOf(id, "facts", "sealed")))) return;
    const parts = pieces.map(({ name }) => keyOf(id, "parts", name));
    await objects.remove(isOurs ? [stepKey(id, offset), ...parts] : parts);
    const { offset: expected } = await requireState(id);
    throw new AppError("upload_offset_mismatch", { id, expected, found: offset });
  }

  /** Each piece counts as soon as it and those before it are there. */
  async function appendPieces(id: string, offset: number, pieces: AsyncIterable<Buffer>): Promise<number> {
    let end = offset;
    let before = Promise.resolve();
    async function append(bytes: Buffer, turn: Promise<void>): Promise<void> {
      const [piece] = await Promise.all([putPiece(id, bytes), turn]);
      await takeStep(id, end, [piece]);
      end += piece.sizeBytes;
    }
    const appended = mapInOrder(pieces, PIECES_AT_ONCE, (bytes) => {
      before = append(bytes, before);
      return before;
    });
    for await (const _ of appended);
    return end;
  }

  /**
   * All of it or nothing. Pieces that come to nothing, as the bytes break off, go with the upload.
   * @throws AppError digest_mismatch.
   */
  async function appendVerified(
    id: string,
    offset: number,
    bytes: AsyncIterable<Uint8Array>,
    { algorithm, value }: PieceDigest,
  ): Promise<number> {
    const hash = multiHash([algorithm]);
    const cut = piecesOf(watched(bytes, hash.update));
    const pieces = await Array.fromAsync(mapInOrder(cut, PIECES_AT_ONCE, (piece) => putPiece(id, piece)));
    const found = hash.digests()[algorithm] ?? "";
    if (found !== value) {
      await objects.remove(pieces.map(({ name }) => keyOf(id, "parts", name)));
      throw new AppError("digest_mismatch", { algorithm, expected: value, found });
    }
    await takeStep(id, offset, pieces);
    return offset + bytesOf(pieces);
  }

  async function* piecesUntil(id: string, end: number): AsyncGenerator<Piece> {
    for (let at = 0; at < end; ) {
      const pieces = await stepAt(id, at);
      yield* pieces;
      at += bytesOf(pieces);
    }
  }

  async function readPiece(id: string, { name, sizeBytes }: Piece): Promise<Buffer> {
    const bytes = await objects.get(keyOf(id, "parts", name));
    if (bytes?.length === sizeBytes) return bytes;
    throw new AppError("object_corrupt", { path: `${id}/${name}`, expected: sizeBytes, found: bytes?.length ?? 0 });
  }

  async function* pathsBelow(id: string, ...names: readonly string[]): AsyncGenerator<string> {
    for await (const { path } of objects.list(keyOf(id, ...names, ""))) yield path;
  }

  async function removeBytes(id: string): Promise<void> {
    await objects.remove(pathsBelow(id, "from"));
    await objects.remove(pathsBelow(id, "parts"));
  }

  /** What says that there is an upload goes last: if this ends in between, the rest is still found. */
  async function discard(id: string): Promise<void> {
    await removeBytes(id);
    const about = keyOf(id, "facts", "about");
    const facts = await Array.fromAsync(pathsBelow(id, "facts"));
    await objects.remove(facts.filter((path) => path !== about));
    await objects.remove([about]);
  }

  async function isExpired(id: string, before: number): Promise<boolean> {
    const state = await stateOf(id);
    if (!state) return lastOf(await Array.fromAsync(objects.list(keyOf(id, "")))) < before;
    const waitsForJob = state.offset === state.sizeBytes && !state.isTaken;
    return state.activeAt < before && !waitsForJob;
  }

  return {
    async get(id) {
      const state = await stateOf(id);
      return state && uploadOf(state);
    },

    async create({ id, ...about }) {
      await objects.put(keyOf(id, "facts", "about"), Buffer.from(JSON.stringify(about satisfies About)));
      return uploadOf(await requireState(id));
    },

    async declareSize(id, sizeBytes) {
      await requireState(id);
      await note(id, `size=${sizeBytes}`);
    },

    async assign(id: string, job: JobId) {
      await requireState(id);
      await note(id, `job=${job}`);
    },

    async append(id, offset, bytes, expected) {
      const state = await requireState(id);
      if (state.offset !== offset)
        throw new AppError("upload_offset_mismatch", { id, expected: state.offset, found: offset });
      return expected ? appendVerified(id, offset, bytes, expected) : appendPieces(id, offset, piecesOf(bytes));
    },

    async seal(id) {
      const { isSealed } = await requireState(id);
      if (!isSealed) await note(id, "sealed");
    },

    async open(id) {
      const state = await stateOf(id);
      if (!state || state.isTaken) throw new AppError("upload_unknown", { id: id.slice(0, 64) });
      const pieces = ahead(piecesUntil(id, state.offset), STEPS_AHEAD);
      const bytes = mapInOrder(pieces, PIECES_AT_ONCE, (piece) => readPiece(id, piece));
      return { bytes: Readable.from(bytes, { objectMode: false }), sizeBytes: state.offset };
    },

    async has(id) {
      const state = await stateOf(id);
      return state?.isSealed === true && !state.isTaken;
    },

    async remove(id) {
      keyOf(id);
      const state = await stateOf(id);
      if (state && !state.isTaken) await note(id, "taken");
      await removeBytes(id);
    },

    discard,

    async *list() {
      for await (const state of mapInOrder(objects.folders(), UPLOADS_AT_ONCE, stateOf))
        if (state) yield uploadOf(state);
    },

    async removeExpired(before) {
      let removed = 0;
      for await (const id of objects.folders()) {
        if (!isId(id) || !(await isExpired(id, before))) continue;
        await discard(id);
        removed++;
      }
      return removed;
    },
  };
}

const isId = (id: string) => /^[0-9a-f]{32}$/.test(id);
const bytesOf = (pieces: readonly Piece[]) => pieces.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
const lastOf = (objects: readonly S3Object[]) => Math.max(0, ...objects.map(({ modifiedAt }) => modifiedAt));
const uploadOf = ({ isSealed, isTaken, ...upload }: State): Upload => upload;

async function* watched(bytes: AsyncIterable<Uint8Array>, look: (chunk: Uint8Array) => void) {
  for await (const chunk of bytes) {
    look(chunk);
    yield chunk;
  }
}

/** None is empty. When the source breaks off, what has come of a piece is one too, and then its failure is thrown. */
async function* piecesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (let chunk of bytes) {
      for (let room = PIECE_BYTES - sizeBytes; chunk.length >= room; room = PIECE_BYTES) {
        const piece = Buffer.concat([...chunks, chunk.subarray(0, room)]);
        chunk = chunk.subarray(room);
        [chunks, sizeBytes] = [[], 0];
        yield piece;
      }
      // A copy: whoever gave the chunk may use its memory again.
      if (chunk.length > 0) chunks.push(Buffer.from(chunk));
      sizeBytes += chunk.length;
    }
  } catch (error) {
    if (sizeBytes > 0) yield Buffer.concat(chunks);
    throw error;
  }
  if (sizeBytes > 0) yield Buffer.concat(chunks);
}
