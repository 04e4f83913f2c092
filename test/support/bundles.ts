import { createHash } from "node:crypto";
import { pack } from "tar-stream";
import { tarMember, tarOf } from "./tars.ts";

export type Content = string | Uint8Array;
export type Files = Readonly<Record<string, Content>>;
/** An object of a metadata document. */
export type MetadataObject = Readonly<Record<string, unknown>>;

export const TRANSACTION: readonly MetadataObject[] = [
  { destinationTable: "Transactions.submitter", value: 10 },
  { destinationTable: "Transactions.project", value: "1234a" },
  { destinationTable: "Transactions.instrument", value: 54 },
  { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
];

/** What Node calls the algorithms that metadata names otherwise. */
const IN_NODE: Readonly<Record<string, string>> = {
  blake2b: "blake2b512",
  blake2s: "blake2s256",
  sha3_256: "sha3-256",
  sha3_512: "sha3-512",
};

/** The Files object of one file; `path` is the whole logical path, beginning with `data/`. */
export function declared(path: string, content: Content, given: MetadataObject = {}): MetadataObject {
  const hashtype = String(given.hashtype ?? "sha1");
  const slash = path.lastIndexOf("/");
  return {
    destinationTable: "Files",
    name: path.slice(slash + 1),
    subdir: path.slice(0, slash),
    size: Buffer.byteLength(content),
    mimetype: "text/plain",
    hashtype,
    hashsum: createHash(IN_NODE[hashtype] ?? hashtype)
      .update(content)
      .digest("hex"),
    mtime: "2020-09-13T12:26:40",
    ctime: "2020-09-13T12:26:40",
    ...given,
  };
}

export interface BundleOptions {
  readonly metadataAt?: "first" | "last" | "middle";
  /** Changes the right metadata objects into others. */
  readonly metadata?: (right: readonly MetadataObject[]) => readonly unknown[];
  /** Instead of the metadata's text. */
  readonly metadataText?: Content;
}

/** A bundle of these files, by logical path, as a plain archiver writes it. */
export async function bundleTar(files: Files, options: BundleOptions = {}): Promise<Buffer> {
  const right = [...TRANSACTION, ...Object.entries(files).map(([path, content]) => declared(path, content))];
  const text = options.metadataText ?? JSON.stringify(options.metadata?.(right) ?? right, null, 2);
  const members = Object.entries(files);
  const at = { first: 0, last: members.length, middle: members.length >> 1 }[options.metadataAt ?? "last"];
  members.splice(at, 0, ["metadata.txt", text]);
  const tar = pack();
  for (const [name, content] of members)
    tar.entry({ name, mtime: new Date(1_600_000_000_000) }, Buffer.from(content as string));
  tar.finalize();
  return Buffer.concat(await Array.fromAsync(tar as AsyncIterable<Uint8Array>));
}

/** A bundle whose tar members are made by hand; its metadata declares `files`. */
export function bundleOfMembers(members: readonly Uint8Array[], files: Files = {}): Buffer {
  const objects = [...TRANSACTION, ...Object.entries(files).map(([path, content]) => declared(path, content))];
  return tarOf(...members, tarMember({ name: "metadata.txt" }, JSON.stringify(objects)));
}
