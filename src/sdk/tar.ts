/** A regular file as a tar member. */
export interface TarFile {
  /** Relative, `/` between its parts. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Epoch milliseconds; a tar keeps whole seconds. */
  readonly modifiedAt?: number;
}

const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
/** Eleven octal digits. */
const MAX_OCTAL = 8 ** 11 - 1;

/** Two blocks of zeros end an archive (POSIX.1-2017 pax, "ustar Interchange Format"). */
export const TAR_END: Uint8Array<ArrayBuffer> = new Uint8Array(2 * BLOCK);

/** Zeros that fill a member's last block. */
export function tarPadding(sizeBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK - (sizeBytes % BLOCK)) % BLOCK);
}

/**
 * What stands before a file's bytes: a ustar header, with a pax extended header before it when the name is not ASCII,
 * does not fit, or the size does not. Depends on nothing but `file`: owner, group and mode are always the same.
 */
export function tarHeader(file: TarFile): Uint8Array<ArrayBuffer> {
  const name = encode(file.path);
  const split = isAscii(name) ? splitName(file.path) : undefined;
  const records = new Map<string, string>();
  if (!split) records.set("path", file.path);
  if (file.sizeBytes > MAX_OCTAL) records.set("size", String(file.sizeBytes));
  const seconds = Math.min(MAX_OCTAL, Math.max(0, Math.floor((file.modifiedAt ?? 0) / 1000)));
  const header = ustarHeader({
    ...(split ?? { prefix: "", name: standIn(file.path) }),
    sizeBytes: file.sizeBytes > MAX_OCTAL ? 0 : file.sizeBytes,
    seconds,
    type: "0",
  });
  if (records.size === 0) return header;

  const extended = concat([...records].map(([key, value]) => paxRecord(key, value)));
  const before = ustarHeader({ prefix: "", name: "PaxHeaders/file", sizeBytes: extended.length, seconds, type: "x" });
  return concat([before, extended, tarPadding(extended.length), header]);
}

/** Length of a whole member: header, bytes and padding. */
export function tarMemberLength(file: TarFile): number {
  return tarHeader(file).length + file.sizeBytes + tarPadding(file.sizeBytes).length;
}

interface HeaderFields {
  readonly prefix: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly seconds: number;
  /** `0` a regular file, `x` a pax extended header. */
  readonly type: "0" | "x";
}

function ustarHeader(fields: HeaderFields): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(encode(text), at);
  const octal = (at: number, digits: number, value: number) => put(at, value.toString(8).padStart(digits, "0"));
  put(0, fields.name);
  octal(100, 7, 0o644);
  octal(108, 7, 0); // uid
  octal(116, 7, 0); // gid
  octal(124, 11, fields.sizeBytes);
  octal(136, 11, fields.seconds);
  put(148, " ".repeat(8)); // the checksum counts itself as blanks
  put(156, fields.type);
  put(257, "ustar\0" + "00");
  put(345, fields.prefix);
  let checksum = 0;
  for (const byte of block) checksum += byte;
  octal(148, 6, checksum);
  put(154, "\0 ");
  return block;
}

/** `prefix` and `name` of at most 155 and 100 bytes that a `/` joins again, if there is a place to cut. */
function splitName(path: string): { readonly prefix: string; readonly name: string } | undefined {
  if (path.length <= NAME_BYTES) return { prefix: "", name: path };
  const cut = path.indexOf("/", path.length - NAME_BYTES - 1);
  if (cut < 1 || cut > PREFIX_BYTES || cut === path.length - 1) return undefined;
  return { prefix: path.slice(0, cut), name: path.slice(cut + 1) };
}

/** What a reader that does not know pax sees instead of the real name. */
function standIn(path: string): string {
  return path.replace(/[^\x20-\x7e]/g, "_").slice(0, NAME_BYTES);
}

/** `LENGTH key=value\n`; the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array<ArrayBuffer> {
  const rest = encode(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return concat([encode(String(length)), rest]);
}

const encoder = new TextEncoder();
const encode = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);
const isAscii = (bytes: Uint8Array) => bytes.every((byte) => byte < 0x80);

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
