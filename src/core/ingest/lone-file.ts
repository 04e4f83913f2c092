import { crc32 } from "node:zlib";
import { contentPaths } from "../archive/content-path.ts";
import type { StagedTree, WrittenFile } from "../archive/object-storage.ts";
import { type DigestName, digestsOf } from "../digest.ts";
import { AppError } from "../errors.ts";
import {
  METADATA_CONTENT_PATH,
  METADATA_PATH,
  noteMembers,
  type ReceivedBundle,
  type ReceiveOptions,
} from "./bundle/bundle.ts";

/** What is said of a file that comes without a bundle around it. */
export interface LoneFile {
  /** One plain part of a path. */
  readonly name: string;
  /** ISO 8601 UTC. */
  readonly modifiedAt: string;
}

/**
 * Stages one file and the metadata that a bundle would have brought with it: to whoever accepts it, it is a bundle like
 * any other. Durable on return. Memory: the writer's buffers.
 * @throws what `bytes` throws; storage errors.
 */
export async function receiveLoneFile(
  bytes: AsyncIterable<Uint8Array>,
  file: LoneFile,
  tree: StagedTree,
  { algorithms, onBytes, signal }: Omit<ReceiveOptions, "expected">,
): Promise<ReceivedBundle> {
  const [algorithm] = algorithms;
  if (algorithm === undefined) throw new AppError("internal", { expected: "an algorithm" });
  const path = `data/${file.name}`;
  const contentPath = contentPaths().choose(path);
  const written = await write(tree, contentPath, bytes, { algorithms, onBytes, signal });
  const { sizeBytes, digests } = written;
  const document = loneFileMetadata(file, { sizeBytes, algorithm, value: digests[algorithm] ?? "" });
  await tree.put(METADATA_CONTENT_PATH, document);
  const modifiedAt = Date.parse(file.modifiedAt) / 1000;
  await noteMembers(tree, [
    { ...written, path, contentPath, modifiedAt },
    {
      path: METADATA_PATH,
      contentPath: METADATA_CONTENT_PATH,
      sizeBytes: document.length,
      digests: digestsOf(document, algorithms),
      crc32: crc32(document),
      modifiedAt,
    },
  ]);
  await tree.sync();
  return { memberCount: 2, sizeBytes: sizeBytes + document.length, passedOver: [] };
}

/** The metadata array of one file. @param source where it lies on the server, for a move. */
export function loneFileMetadata(
  { name, modifiedAt }: LoneFile,
  found: { readonly sizeBytes: number; readonly algorithm: DigestName; readonly value: string },
  source?: string,
): Uint8Array {
  const file = {
    destinationTable: "Files",
    name,
    subdir: "",
    size: found.sizeBytes,
    mimetype: "application/octet-stream",
    hashtype: found.algorithm,
    hashsum: found.value,
    mtime: modifiedAt,
    ...(source === undefined ? {} : { source }),
  };
  return Buffer.from(`${JSON.stringify([file], null, 2)}\n`);
}

async function write(
  tree: StagedTree,
  contentPath: string,
  bytes: AsyncIterable<Uint8Array>,
  { algorithms, onBytes, signal }: Omit<ReceiveOptions, "expected">,
): Promise<WrittenFile> {
  const writer = tree.writer(algorithms);
  try {
    writer.begin(contentPath);
    for await (const chunk of bytes) {
      signal.throwIfAborted();
      onBytes(chunk.length);
      await writer.write(chunk);
    }
    writer.end();
    const [written] = await writer.finish();
    if (!written) throw new AppError("internal", { expected: "one file" });
    return written;
  } finally {
    await writer.abort();
  }
}
