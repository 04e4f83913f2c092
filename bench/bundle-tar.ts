import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";

export interface Workload {
  readonly name: string;
  readonly files: number;
  readonly fileBytes: number;
}

export const WORKLOADS: readonly Workload[] = [
  { name: "1 GiB in 4 files", files: 4, fileBytes: 256 * 1024 ** 2 },
  { name: "10,000 x 4 KiB", files: 10_000, fileBytes: 4096 },
  { name: "100,000 x 4 KiB", files: 100_000, fileBytes: 4096 },
  { name: "10 GiB in 40 files", files: 40, fileBytes: 256 * 1024 ** 2 },
];

const BLOCK = randomBytes(1024 * 1024);

/** Writes a bundle of distinct random files, `metadata.txt` last, as Pacifica's uploader does. */
export async function writeBundle(path: string, { files, fileBytes }: Workload): Promise<void> {
  const tar = pack();
  const written = pipeline(tar, createWriteStream(path));
  const metadata: object[] = [
    { destinationTable: "Transactions.submitter", value: 10 },
    { destinationTable: "Transactions.project", value: "1234a" },
    { destinationTable: "Transactions.instrument", value: 54 },
  ];
  for (let index = 0; index < files; index++) {
    const name = `f${String(index).padStart(6, "0")}.bin`;
    const subdir = `data/d${String(index % 100).padStart(3, "0")}`;
    const entry = tar.entry({ name: `${subdir}/${name}`, size: fileBytes });
    const hash = createHash("sha1");
    for (let left = fileBytes; left > 0; ) {
      const block = Buffer.from(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
      block.writeUInt32BE(index, 0);
      hash.update(block);
      if (!entry.write(block)) await once(entry, "drain");
      left -= block.length;
    }
    entry.end(Buffer.alloc(0));
    metadata.push({
      destinationTable: "Files",
      name,
      subdir,
      size: fileBytes,
      mimetype: "application/octet-stream",
      hashtype: "sha1",
      hashsum: hash.digest("hex"),
      mtime: "2020-09-13T12:26:40",
    });
  }
  tar.entry({ name: "metadata.txt" }, JSON.stringify(metadata));
  tar.finalize();
  await written;
}
