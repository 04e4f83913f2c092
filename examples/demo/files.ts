import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";

const DAYS = 30;
const SMALL_PER_DAY = 100;
const LARGE_BYTES = 256 * 1024 * 1024;

/** A folder as an instrument leaves it: per day tables, logs, settings and pictures, and one large raw recording. */
export async function makeFiles(folder: string): Promise<{ readonly count: number; readonly bytes: number }> {
  let count = 0;
  let bytes = 0;
  const write = async (path: string, content: string | Uint8Array) => {
    await writeFile(join(folder, path), content);
    count++;
    bytes += Buffer.byteLength(content);
  };

  for (let day = 1; day <= DAYS; day++) {
    const name = `day-${String(day).padStart(2, "0")}`;
    await mkdir(join(folder, name), { recursive: true });
    await write(
      `${name}/settings.json`,
      `${JSON.stringify({ day, gain: 1 + day / 100, filter: "hanning" }, null, 2)}\n`,
    );
    await write(`${name}/notes – été.txt`, `Day ${day}. The name of this file is not plain ASCII, on purpose.\n`);
    await write(`${name}/preview.png`, picture(day));
    for (let run = 0; run < SMALL_PER_DAY; run++) {
      const values = createHash("sha512").update(`${day}/${run}`).digest();
      const rows = Array.from(values, (value, second) => `${second},${value / 255},${(value % 16) - 8}`);
      await write(`${name}/run-${String(run).padStart(3, "0")}.csv`, `second,amplitude,phase\n${rows.join("\n")}\n`);
    }
  }

  const raw = await open(join(folder, "raw.bin"), "w");
  const block = randomBytes(4 * 1024 * 1024);
  for (let written = 0; written < LARGE_BYTES; written += block.length) await raw.write(block);
  await raw.close();
  return { count: count + 1, bytes: bytes + LARGE_BYTES };
}

/** A small valid PNG (16 × 16, grey), different for each day. */
function picture(day: number): Uint8Array {
  const rows = Buffer.concat(
    Array.from({ length: 16 }, (_, y) =>
      Buffer.from([0, ...Array.from({ length: 16 }, (_, x) => (x * y * day) % 256)]),
    ),
  );
  const header = Buffer.alloc(13);
  header.writeUInt32BE(16, 0);
  header.writeUInt32BE(16, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
