import { AppError, type Problem, problem } from "../../errors.ts";
import { logicalName } from "./logical-name.ts";
import {
  compressionOf,
  isZeroBlock,
  readPaxRecords,
  readTarHeader,
  sparseMapContinues,
  TAR_BLOCK_BYTES,
  type TarHeader,
  TYPE_WORDS,
} from "./tar-header.ts";

/** Extended headers (pax, GNU long names) are held in memory: larger ones are refused before they are read. */
const MAX_EXTENDED_BYTES = 1024 * 1024;

/** A regular file in the tar. */
export interface TarMember {
  /** Relative, `/`-separated, without `.`, `..` or empty parts. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Epoch seconds, with a fraction where the tar has one. */
  readonly modifiedAt: number;
}

/** Receives what a tar holds. Between `begin` and `end` come exactly `sizeBytes` bytes. */
export interface TarSink {
  /** @returns whether the bytes are wanted; when not, neither `data` nor `end` is called for this member. */
  begin(member: TarMember): boolean;
  /** A promise only when the sink is behind. `chunk` may be reused by the caller afterwards. */
  data(chunk: Uint8Array): Promise<void> | undefined;
  end(): void;
  /** A member that cannot be taken in; its bytes are passed over and reading goes on, so that all are reported. */
  refuse(reason: Problem): void;
}

/** What the reader expects next. */
type State =
  | { readonly at: "header" }
  | { readonly at: "extended"; readonly typeFlag: string; readonly body: Uint8Array; filled: number }
  | { readonly at: "sparse map"; readonly then: State }
  | { readonly at: "body"; left: number; readonly wanted: boolean; readonly sizeBytes: number }
  | { readonly at: "padding"; left: number }
  | { readonly at: "end" };

/** What extended headers said about the member that follows them. */
interface Extension {
  readonly nameBytes?: Uint8Array;
  readonly sizeBytes?: number;
  readonly modifiedAt?: number;
  readonly sparse?: true;
}

const HEADER: State = { at: "header" };
const NO_EXTENSION: Extension = {};

/**
 * Reads a tar stream: v7, ustar, GNU and pax members. A push parser without a stream per member: 100,000 small files
 * cost two calls each. Memory: one header, at most {@link MAX_EXTENDED_BYTES} of extended header.
 *
 * Stricter than `tar -x` where silence would lose data: the end-of-archive block must be there (POSIX.1-2001 pax,
 * "ustar Interchange Format"), and nothing but zeros may follow it.
 *
 * @throws AppError bundle_not_tar, bundle_compressed, bundle_truncated, bundle_header_corrupt, bundle_header_too_large.
 */
export async function readTar(bytes: AsyncIterable<Uint8Array>, sink: TarSink): Promise<void> {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  let blockFilled = 0;
  let headersSeen = 0;
  let extension = NO_EXTENSION;
  let state: State = HEADER;
  let position = 0;

  /** A whole header block is in `block`. */
  function takeHeader(): State {
    if (isZeroBlock(block)) {
      if (extension === NO_EXTENSION) return { at: "end" };
      throw new AppError("bundle_header_corrupt", { found: "an extended header without its member", at: position });
    }
    const header = readTarHeader(block);
    if (!header) throw unreadable(block, headersSeen, position);
    headersSeen++;
    return "xgXLK".includes(header.typeFlag) ? beginExtended(header) : beginMember(header);
  }

  function beginExtended({ typeFlag, sizeBytes }: TarHeader): State {
    if (sizeBytes > MAX_EXTENDED_BYTES)
      throw new AppError("bundle_header_too_large", {
        expected: `at most ${MAX_EXTENDED_BYTES} bytes`,
        found: sizeBytes,
      });
    const body = new Uint8Array(sizeBytes);
    return sizeBytes === 0 ? HEADER : { at: "extended", typeFlag, body, filled: 0 };
  }

  function takeExtended(typeFlag: string, body: Uint8Array): State {
    if (typeFlag === "L") extension = { ...extension, nameBytes: withoutNul(body) };
    // "K" is a long link target: its member is a link, and refused.
    else if (typeFlag === "g") checkGlobal(readPaxRecords(body));
    else if (typeFlag !== "K") extension = { ...extension, ...paxExtension(readPaxRecords(body)) };
    return afterData(body.length);
  }

  function beginMember(header: TarHeader): State {
    const sizeBytes = extension.sizeBytes ?? header.sizeBytes;
    const nameBytes = extension.nameBytes ?? header.nameBytes;
    const modifiedAt = extension.modifiedAt ?? header.modifiedAt;
    const sparse = extension.sparse === true;
    extension = NO_EXTENSION;
    const wanted = offer(header.typeFlag, nameBytes, sparse, sizeBytes, modifiedAt);
    // POSIX: links and directories carry no data blocks, whatever their size field says.
    const dataBytes = "123456".includes(header.typeFlag) ? 0 : sizeBytes;
    const then: State = dataBytes > 0 ? { at: "body", left: dataBytes, wanted, sizeBytes: dataBytes } : HEADER;
    if (header.typeFlag === "S" && sparseMapContinues(block, "header")) return { at: "sparse map", then };
    if (dataBytes === 0 && wanted) sink.end();
    return then;
  }

  function offer(type: string, nameBytes: Uint8Array, sparse: boolean, sizeBytes: number, modifiedAt: number): boolean {
    const name = decodeName(nameBytes);
    if (name === undefined) {
      sink.refuse(problem("bundle_name_encoding", { path: shownName(nameBytes) }));
      return false;
    }
    // Before there were types, the name of a directory ended in a slash.
    const isRegular = "\0" === type || type === "0" || type === "7";
    const isFile = isRegular && !name.endsWith("/");
    const isFolder = type === "5" || (isRegular && !isFile && sizeBytes === 0);
    if ((!isFile && !isFolder) || sparse) {
      const found = sparse ? TYPE_WORDS.S : isRegular ? "a file whose name ends in /" : TYPE_WORDS[type];
      const about = { path: shownName(nameBytes), expected: "a regular file or a directory" };
      sink.refuse(problem("bundle_member_type", { ...about, found: found ?? `type "${type}"` }));
      return false;
    }
    const path = logicalName(name);
    if (path === undefined && !(isFolder && isRoot(name))) {
      sink.refuse(problem("bundle_name_unsafe", { path: shownName(nameBytes) }));
      return false;
    }
    return isFile && path !== undefined && sink.begin({ name: path, sizeBytes, modifiedAt });
  }

  for await (const chunk of bytes) {
    let at = 0;
    while (at < chunk.length) {
      if (state.at === "header" || state.at === "sparse map") {
        const take: number = Math.min(TAR_BLOCK_BYTES - blockFilled, chunk.length - at);
        block.set(chunk.subarray(at, at + take), blockFilled);
        blockFilled += take;
        at += take;
        position += take;
        if (blockFilled < TAR_BLOCK_BYTES) continue;
        blockFilled = 0;
        if (state.at === "header") state = takeHeader();
        else if (!sparseMapContinues(block, "map")) state = state.then;
      } else if (state.at === "body") {
        const take: number = Math.min(state.left, chunk.length - at);
        if (state.wanted) {
          const behind = sink.data(chunk.subarray(at, at + take));
          if (behind) await behind;
        }
        at += take;
        position += take;
        state.left -= take;
        if (state.left > 0) continue;
        if (state.wanted) sink.end();
        state = afterData(state.sizeBytes);
      } else if (state.at === "extended") {
        const take: number = Math.min(state.body.length - state.filled, chunk.length - at);
        state.body.set(chunk.subarray(at, at + take), state.filled);
        state.filled += take;
        at += take;
        position += take;
        if (state.filled === state.body.length) state = takeExtended(state.typeFlag, state.body);
      } else if (state.at === "padding") {
        const take: number = Math.min(state.left, chunk.length - at);
        at += take;
        position += take;
        state.left -= take;
        if (state.left === 0) state = HEADER;
      } else {
        if (chunk.subarray(at).some((byte) => byte !== 0))
          throw new AppError("bundle_header_corrupt", { found: "data after the end-of-archive blocks", at: position });
        position += chunk.length - at;
        at = chunk.length;
      }
    }
  }
  if (state.at === "end") return;
  if (headersSeen === 0) throw unreadable(block.subarray(0, blockFilled), 0, position);
  throw new AppError("bundle_truncated", { bytesReceived: position });
}

/** What to say of a block that is no header: at the very start it tells what the body is instead. */
function unreadable(block: Uint8Array, headersSeen: number, position: number): AppError {
  if (headersSeen > 0) return new AppError("bundle_header_corrupt", { at: position - TAR_BLOCK_BYTES });
  const compression = compressionOf(block);
  return compression
    ? new AppError("bundle_compressed", { found: compression })
    : new AppError("bundle_not_tar", { bytesReceived: position });
}

function paxExtension(records: ReadonlyMap<string, Uint8Array>): Extension {
  const name = records.get("GNU.sparse.name") ?? records.get("path");
  const size = records.get("size");
  const mtime = records.get("mtime");
  const sparse = [...records.keys()].some((key) => key.startsWith("GNU.sparse."));
  return {
    ...(name && { nameBytes: name }),
    ...(size && { sizeBytes: decimal(size, "size", /^\d+$/) }),
    ...(mtime && { modifiedAt: decimal(mtime, "mtime", /^-?\d+(\.\d*)?$/) }),
    ...(sparse && { sparse }),
  };
}

/** Global records hold for all that follows; one that renames or resizes every member cannot be meant. */
function checkGlobal(records: ReadonlyMap<string, Uint8Array>): void {
  for (const key of ["path", "size", "linkpath"])
    if (records.has(key))
      throw new AppError("bundle_header_corrupt", { found: `a global pax header that sets ${key}` });
}

function decimal(value: Uint8Array, key: string, form: RegExp): number {
  const text = Buffer.from(value).toString("latin1");
  const number = form.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(number) || Math.abs(number) > Number.MAX_SAFE_INTEGER)
    throw new AppError("bundle_header_corrupt", { found: `a pax ${key} that is not a number` });
  return number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeName(bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte < 0x80))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function isRoot(name: string): boolean {
  return name === "." || logicalName(`${name}/x`) === "x";
}

/** For sentences: invalid bytes replaced, not longer than a line. */
function shownName(bytes: Uint8Array): string {
  const name = Buffer.from(bytes.subarray(0, 300)).toString("utf8");
  return bytes.length > 300 ? `${name}…` : name;
}

/** Data is filled up to whole blocks. */
function afterData(sizeBytes: number): State {
  const left = (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
  return left === 0 ? HEADER : { at: "padding", left };
}

function withoutNul(bytes: Uint8Array): Uint8Array {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}
