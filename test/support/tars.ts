/** Tars by hand, for headers no archiver would write. Block layout: POSIX.1-2017 pax, "ustar Interchange Format". */

export interface HeaderFields {
  readonly name: string | Uint8Array;
  readonly size?: number;
  /** Instead of the octal size: raw bytes of the field. */
  readonly sizeField?: Uint8Array;
  readonly mtime?: number;
  readonly mtimeField?: Uint8Array;
  /** One character; `"0"`, a regular file, when left out. */
  readonly type?: string;
  readonly linkName?: string;
  readonly prefix?: string;
  /** v7 has no magic at all. */
  readonly magic?: "ustar" | "gnu" | "v7";
  /** Sums signed bytes, as some old writers did. */
  readonly signedChecksum?: boolean;
  /** Last of all, before the checksum: any trick. */
  readonly tweak?: (block: Buffer) => void;
}

const MAGIC = { ustar: "ustar\x0000", gnu: "ustar  \0", v7: "" };

export function tarHeader(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512);
  const put = (text: string | Uint8Array, at: number, room: number) =>
    Buffer.from(text as string)
      .subarray(0, room)
      .copy(block, at);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  put(fields.name, 0, 100);
  put("0000644\0", 100, 8);
  put("0001750\0", 108, 8);
  put("0001750\0", 116, 8);
  put(fields.sizeField ?? octal(fields.size ?? 0, 11), 124, 12);
  put(fields.mtimeField ?? octal(fields.mtime ?? 1_600_000_000, 11), 136, 12);
  put(fields.type ?? "0", 156, 1);
  put(fields.linkName ?? "", 157, 100);
  put(MAGIC[fields.magic ?? "ustar"], 257, 8);
  put(fields.prefix ?? "", 345, 155);
  fields.tweak?.(block);
  return withChecksum(block, fields.signedChecksum);
}

/** Fills in the checksum field over what the block holds. */
export function withChecksum(block: Buffer, signed = false): Buffer {
  block.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of block) sum += signed && byte > 127 ? byte - 256 : byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** A header, its data, and the padding to whole blocks. */
export function tarMember(fields: HeaderFields, data: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(data as string);
  return Buffer.concat([tarHeader({ size: bytes.length, ...fields }), padded(bytes)]);
}

export function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** A pax extended header (`x`), or a global one (`g`). */
export function paxHeader(records: Readonly<Record<string, string | Uint8Array>>, type: "x" | "g" | "X" = "x"): Buffer {
  const body = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  return tarMember({ name: "PaxHeaders/x", type }, body);
}

/** `"%d %s=%s\n"`: the length counts its own digits. */
export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value as string), Buffer.from("\n")]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** GNU's long name (`L`) or long link target (`K`) of the member that follows. */
export function gnuLong(type: "L" | "K", text: string): Buffer {
  return tarMember({ name: "././@LongLink", type, magic: "gnu" }, `${text}\0`);
}

export const END_OF_ARCHIVE = Buffer.alloc(1024);

export function tarOf(...members: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...members, END_OF_ARCHIVE]);
}

/** The base-256 form of a number field: GNU's and pax writers' way past what octal digits hold. */
export function base256(value: bigint, bytes = 12): Buffer {
  const field = Buffer.alloc(bytes);
  let left = value;
  for (let i = bytes - 1; i >= 0; i--) {
    field[i] = Number(left & 0xffn);
    left >>= 8n;
  }
  if (value >= 0n) field[0] = 0x80;
  return field;
}

/** A body as a stream of chunks of `size` bytes. */
export async function* chunked(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
