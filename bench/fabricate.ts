import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { systemClock } from "../src/adapters/system-clock.ts";
import { openFoundation } from "../src/compose/foundation.ts";
import { objectPath } from "../src/core/archive/ocfl.ts";
import type { ArchivedFile } from "../src/core/catalogue/catalogue-store.ts";
import { fileId, transactionId } from "../src/core/ids.ts";
import { loadConfig } from "../src/settings/config.ts";

export interface Fabricated {
  readonly files: number;
  readonly fileBytes: number;
  /** Files on the disk; each stands for several where there are fewer of them. */
  readonly onDisk: number;
}

/**
 * Transactions that nobody deposited: rows in the catalogue, and sparse files where their bytes are looked for. Sizes
 * and CRC-32 are true, so downloads are whole; digests are made up, and there are no inventories.
 * @returns their ids.
 */
export async function fabricate(dataDir: string, wanted: readonly Fabricated[]): Promise<readonly number[]> {
  const config = loadConfig({ LONGSHORE_DATA_DIR: dataDir });
  const { stores, close } = await openFoundation(config, systemClock);
  const ids: number[] = [];
  try {
    for (const { files, fileBytes, onDisk } of wanted) {
      const id = transactionId(await stores.sequences.reserve("upload_job", 1));
      const firstFile = await stores.sequences.reserve("file", files);
      const crc = crc32OfZeros(fileBytes);
      const contentPath = (file: number) => `v1/content/data/${file % onDisk}`;
      for (let file = 0; file < onDisk; file++)
        await makeSparse(join(config.archive.path, objectPath(id), contentPath(file)), fileBytes);
      async function* rows(): AsyncGenerator<ArchivedFile> {
        for (let file = 0; file < files; file++)
          yield {
            id: fileId(firstFile + file),
            transactionId: id,
            path: `data/d${String(file % 1000).padStart(3, "0")}/f${String(file).padStart(7, "0")}.bin`,
            contentPath: contentPath(file),
            sizeBytes: fileBytes,
            modifiedAt: "2020-09-13T12:26:40.000Z",
            changedAt: null,
            mediaType: "application/octet-stream",
            digests: { sha512: MADE_UP },
            crc32: crc,
            declared: { algorithm: "sha512", value: MADE_UP },
          };
      }
      const now = systemClock.now();
      const head = { id, submitter: "10", project: "1234a", instrument: "54", owner: "local", createdAt: now };
      const whole = { fileCount: files, sizeBytes: files * fileBytes, inventoryDigest: MADE_UP };
      await stores.catalogue.add({ ...head, ...whole, objectPath: objectPath(id) }, rows(), [], [], now);
      ids.push(id);
    }
  } finally {
    await close();
  }
  return ids;
}

const MADE_UP = "0".repeat(128);

async function makeSparse(path: string, sizeBytes: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "wx");
  await file.truncate(sizeBytes);
  await file.close();
}

function crc32OfZeros(sizeBytes: number): number {
  const zeros = new Uint8Array(1024 * 1024);
  let crc = 0;
  for (let left = sizeBytes; left > 0; left -= zeros.length) crc = crc32(zeros.subarray(0, left), crc);
  return crc;
}
