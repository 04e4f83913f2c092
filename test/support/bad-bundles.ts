import { dirname } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { bundleOfMembers, bundleTar, declared, type Files, type MetadataObject, TRANSACTION } from "./bundles.ts";
import { gnuLong, paxHeader, tarHeader, tarMember, tarOf } from "./tars.ts";

/** A bundle that must be refused, and how. */
export interface Refusal {
  /** What is bad about it. */
  readonly name: string;
  readonly body: Uint8Array | Promise<Uint8Array>;
  /** Of the failed job's error. */
  readonly code: string;
  /** In the error's sentence: what it is about. */
  readonly says: string;
  /** The error's `details.problems`, where members or files are the trouble. */
  readonly problems?: readonly (readonly [code: string, path: string])[];
}

export const FILES: Files = { "data/a.txt": "hello", "data/b/c.txt": "world" };
export const GOOD = await bundleTar(FILES);
/** A bundle of `FILES` whose metadata says something else. */
const saying = (metadata: (right: readonly MetadataObject[]) => readonly unknown[]) => bundleTar(FILES, { metadata });
/** `change` for the first file's object. */
export const misdeclared = (change: MetadataObject) =>
  saying((right) => right.map((object) => (object.name === "a.txt" ? { ...object, ...change } : object)));

export const NOT_A_TAR: readonly Refusal[] = [
  { name: "garbage", body: Buffer.alloc(100_000, "no tar at all, "), code: "bundle_not_tar", says: "uncompressed tar" },
  { name: "an empty body", body: Buffer.alloc(0), code: "bundle_not_tar", says: "bytesReceived: 0" },
  { name: "a tar in gzip", body: gzipSync(GOOD), code: "bundle_compressed", says: "found: gzip" },
  { name: "a tar in zstd", body: zstdCompressSync(GOOD), code: "bundle_compressed", says: "found: zstd" },
  {
    name: "a pax header of 2 GB, of which only the announcement is sent",
    body: tarHeader({ name: "PaxHeaders/x", type: "x", size: 2 ** 31 }),
    code: "bundle_header_too_large",
    says: "found: 2147483648",
  },
  {
    name: "a GNU long name of 2 GB, of which only the announcement is sent",
    body: tarHeader({ name: "././@LongLink", type: "L", size: 2 ** 31, magic: "gnu" }),
    code: "bundle_header_too_large",
    says: "found: 2147483648",
  },
  {
    name: "a header whose checksum is wrong, after a good one",
    body: Buffer.concat([tarMember({ name: "data/a.txt" }, "hello"), Buffer.alloc(512, "x")]),
    code: "bundle_header_corrupt",
    says: "at: 1024",
  },
];

export const BAD_METADATA: readonly Refusal[] = [
  {
    name: "no metadata.txt",
    body: tarOf(tarMember({ name: "data/a.txt" }, "hello")),
    code: "metadata_missing",
    says: "no metadata.txt",
  },
  {
    name: "nothing but the end of a tar",
    body: tarOf(),
    code: "metadata_missing",
    says: "no metadata.txt",
  },
  {
    name: "metadata.txt that is not JSON",
    body: bundleTar(FILES, { metadataText: '[{"destinationTable": }]' }),
    code: "metadata_not_json",
    says: "not valid JSON",
  },
  {
    name: "metadata.txt that is not text",
    body: bundleTar(FILES, { metadataText: Buffer.from("[\xff\xfe]", "latin1") }),
    code: "metadata_not_json",
    says: "not valid JSON",
  },
  {
    name: "metadata.txt that is no array",
    body: bundleTar(FILES, { metadataText: "{}" }),
    code: "metadata_invalid",
    says: "array",
  },
  {
    name: "metadata.txt whose objects are none",
    body: saying((right) => [...right, 7, { table: "Files" }]),
    code: "metadata_invalid",
    says: "problemCount: 2",
    problems: [
      ["metadata_invalid", "object 6"],
      ["metadata_invalid", "object 7"],
    ],
  },
  {
    name: "two metadata.txt",
    body: bundleOfMembers([tarMember({ name: "./metadata.txt" }, "[]")]),
    code: "metadata_duplicate",
    says: "more than one metadata.txt",
    problems: [["metadata_duplicate", "metadata.txt"]],
  },
  { name: "no files", body: saying(() => TRANSACTION), code: "bundle_empty", says: "lists no files" },
  {
    name: "the same file listed twice",
    body: saying((right) => [...right, declared("data/a.txt", "hello")]),
    code: "file_duplicate",
    says: "data/a.txt",
    problems: [["file_duplicate", "data/a.txt"]],
  },
];

export const BROKEN_PROMISES: readonly Refusal[] = [
  {
    name: "a wrong digest",
    body: misdeclared({ hashsum: "0".repeat(40) }),
    code: "file_digest_mismatch",
    // printf hello | sha1sum
    says: "found: sha1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
    problems: [["file_digest_mismatch", "data/a.txt"]],
  },
  {
    name: "a wrong size",
    body: misdeclared({ size: 6 }),
    code: "file_size_mismatch",
    says: "path: data/a.txt; expected: 6; found: 5",
    problems: [["file_size_mismatch", "data/a.txt"]],
  },
  {
    name: "a file that is not there",
    body: saying((right) => [...right, declared("data/gone.txt", "gone")]),
    code: "file_missing",
    says: "data/gone.txt",
    problems: [["file_missing", "data/gone.txt"]],
  },
  {
    name: "a digest nobody knows",
    body: misdeclared({ hashtype: "crc32" }),
    code: "digest_unknown",
    says: "path: data/a.txt; found: crc32",
    problems: [["digest_unknown", "data/a.txt"]],
  },
  {
    name: "several promises broken at once",
    body: saying((right) => [
      ...right.slice(0, -2),
      declared("data/a.txt", "hullo"),
      declared("data/b/c.txt", "worlds"),
      declared("data/gone.txt", "gone"),
    ]),
    code: "bundle_refused",
    says: "problemCount: 3",
    problems: [
      ["file_digest_mismatch", "data/a.txt"],
      ["file_size_mismatch", "data/b/c.txt"],
      ["file_missing", "data/gone.txt"],
    ],
  },
];

/** A file outside every folder of ours, where a name that climbs would lead. */
export const OUTSIDE = `/tmp/longshore-climbed-out-${process.pid}`;
const LATIN1 = Buffer.from("data/caf\xe9", "latin1");
const member = (fields: Parameters<typeof tarMember>[0], data = "") => bundleOfMembers([tarMember(fields, data)]);

export const BAD_MEMBERS: readonly Refusal[] = [
  ...[OUTSIDE, `data/${"../".repeat(20)}${OUTSIDE.slice(1)}`, `..${OUTSIDE}`, "data/./a", "data//a"].map((path) => ({
    name: `the name ${path}`,
    body: member({ name: path }, "evil"),
    code: "bundle_name_unsafe",
    says: `path: ${path}`,
    problems: [["bundle_name_unsafe", path]] as const,
  })),
  ...(
    [
      ["1", "hard link"],
      ["2", "symbolic link"],
      ["3", "character device"],
      ["4", "block device"],
      ["6", "named pipe"],
    ] as const
  ).map(([type, found]) => ({
    name: `a ${found}`,
    body: member({ name: "data/odd", type, linkName: "/etc/passwd" }),
    code: "bundle_member_type",
    says: `path: data/odd; expected: a regular file or a directory; found: ${found}`,
    problems: [["bundle_member_type", "data/odd"]] as const,
  })),
  {
    name: "a symbolic link, and a file that would go through it",
    body: bundleOfMembers([
      tarMember({ name: "data/way", type: "2", linkName: dirname(OUTSIDE) }),
      tarMember({ name: `data/way/${OUTSIDE.slice(5)}` }, "evil"),
    ]),
    code: "bundle_member_type",
    says: "path: data/way",
    problems: [["bundle_member_type", "data/way"]],
  },
  {
    name: "the same name twice",
    body: bundleOfMembers([tarMember({ name: "data/a" }, "1"), tarMember({ name: "./data/a" }, "2")], {
      "data/a": "1",
    }),
    code: "bundle_member_duplicate",
    says: "path: data/a",
    problems: [["bundle_member_duplicate", "data/a"]],
  },
  {
    name: "a file that is also a folder",
    body: bundleOfMembers([tarMember({ name: "data/a" }, "1"), tarMember({ name: "data/a/b" }, "2")], {
      "data/a": "1",
      "data/a/b": "2",
    }),
    code: "bundle_name_unsafe",
    says: "path: data/a",
    problems: [["bundle_name_unsafe", "data/a"]],
  },
  {
    name: "names that are not UTF-8, in the header and in pax",
    body: bundleOfMembers([
      tarMember({ name: LATIN1 }, "1"),
      Buffer.concat([paxHeader({ path: LATIN1 }), tarMember({ name: "data/x" }, "2")]),
    ]),
    code: "bundle_name_encoding",
    says: "problemCount: 2",
    problems: [
      ["bundle_name_encoding", "data/caf\ufffd"],
      ["bundle_name_encoding", "data/caf\ufffd"],
    ],
  },
  {
    name: "a name of 40,000 bytes",
    body: bundleOfMembers([
      Buffer.concat([gnuLong("L", `data/${"n".repeat(40_000)}`), tarMember({ name: "data/n" }, "1")]),
    ]),
    code: "bundle_name_unsafe",
    says: `path: data/${"n".repeat(295)}…`,
    problems: [["bundle_name_unsafe", `data/${"n".repeat(295)}…`]],
  },
];
