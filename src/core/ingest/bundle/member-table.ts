import { contentPathOf } from "../../archive/content-path.ts";
import { type DigestName, type Digests, digestLength } from "../../digest.ts";

/** A file of the bundle as it lies in the staged tree, with what was learned while its bytes passed. */
export interface StagedMember {
  /** Logical path: `metadata.txt` or `data/…`. */
  readonly path: string;
  /** Path inside the tree. */
  readonly contentPath: string;
  readonly sizeBytes: number;
  readonly digests: Digests;
  readonly crc32: number;
  /** Epoch seconds, from the tar. */
  readonly modifiedAt: number;
}

/**
 * The members of a bundle by path, in the order they were added. Numbers and digests are kept as bytes outside the
 * JavaScript heap: with SHA-512, SHA-1 and a path of 24 bytes a member takes 0.2 KiB, as an object 0.7 KiB (2026-11-22).
 */
export interface MemberTable extends Iterable<StagedMember> {
  readonly size: number;
  readonly sizeBytes: number;
  /** All members have digests of the same algorithms, and paths of their own. */
  add(member: StagedMember): void;
  get(path: string): StagedMember | undefined;
}

const ROWS_PER_BLOCK = 4096;
const SIZE_AT = 0;
const MODIFIED_AT = 8;
const CRC32_AT = 16;
const DIGESTS_AT = 20;

export function memberTable(): MemberTable {
  const rows = new Map<string, number>();
  /** Content paths that do not follow from the path. */
  const renamed = new Map<string, string>();
  const blocks: Buffer[] = [];
  let columns: readonly Column[] | undefined;
  let rowBytes = 0;
  let sizeBytes = 0;

  function place(row: number): readonly [block: Buffer, at: number] {
    const index = Math.floor(row / ROWS_PER_BLOCK);
    blocks[index] ??= Buffer.alloc(ROWS_PER_BLOCK * rowBytes);
    return [blocks[index], (row % ROWS_PER_BLOCK) * rowBytes];
  }

  function read(path: string, row: number): StagedMember {
    const [block, at] = place(row);
    return {
      path,
      contentPath: renamed.get(path) ?? contentPathOf(path),
      sizeBytes: block.readDoubleLE(at + SIZE_AT),
      digests: Object.fromEntries(
        (columns ?? []).map(({ name, from, to }) => [name, block.toString("hex", at + from, at + to)]),
      ),
      crc32: block.readUInt32LE(at + CRC32_AT),
      modifiedAt: block.readDoubleLE(at + MODIFIED_AT),
    };
  }

  return {
    get size() {
      return rows.size;
    },
    get sizeBytes() {
      return sizeBytes;
    },
    add(member) {
      columns ??= columnsOf(member.digests);
      rowBytes ||= columns.at(-1)?.to ?? DIGESTS_AT;
      const [block, at] = place(rows.size);
      block.writeDoubleLE(member.sizeBytes, at + SIZE_AT);
      block.writeDoubleLE(member.modifiedAt, at + MODIFIED_AT);
      block.writeUInt32LE(member.crc32, at + CRC32_AT);
      for (const { name, from } of columns) block.write(member.digests[name] ?? "", at + from, "hex");
      rows.set(member.path, rows.size);
      if (member.contentPath !== contentPathOf(member.path)) renamed.set(member.path, member.contentPath);
      sizeBytes += member.sizeBytes;
    },
    get(path) {
      const row = rows.get(path);
      return row === undefined ? undefined : read(path, row);
    },
    *[Symbol.iterator]() {
      for (const [path, row] of rows) yield read(path, row);
    },
  };
}

/** Where a digest lies in a row. */
interface Column {
  readonly name: DigestName;
  readonly from: number;
  readonly to: number;
}

function columnsOf(digests: Digests): readonly Column[] {
  let to = DIGESTS_AT;
  return (Object.keys(digests) as DigestName[]).map((name) => {
    const from = to;
    to += digestLength(name) / 2;
    return { name, from, to };
  });
}
