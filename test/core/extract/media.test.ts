import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { extractor } from "../../../src/core/extract/extractors/media.ts";
import { mediaTypeOf } from "../../../src/core/extract/media-type.ts";
import { seededRandom } from "../../support/random.ts";
import { describing } from "./records.ts";

/**
 * Made by ffmpeg 5.1: `-f lavfi -i color=c=red:size=32x16:rate=24000/1001:duration=0.2 -f lavfi -i anullsrc=r=16000:cl=mono
 * -t 0.2 -c:v mpeg4 -c:a aac -b:a 8k -bitexact -metadata title="Tiny film" -metadata:s:a:0 language=deu`.
 */
const MP4 =
  "AAAAHGZ0eXBpc29tAAACAGlzb21pc28ybXA0MQAAAAhmcmVlAAAAWG1kYXQBGCAHAAABswAQBwAAAbYQABgUYUG2CyB4Rtt+ARggBwAAAbZQfTwI7wEYIAcAAAG2UPpYCO8AAAG2UXd8CO8BGCAHAAABtlH0mAjvARggBwAABcFtb292AAAAbG12aGQAAAAAAAAAAAAAAAAAAAPoAAAA0QABAAABAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADAAACpnRyYWsAAABcdGtoZAAAAAMAAAAAAAAAAAAAAAEAAAAAAAAA0QAAAAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAIAAAABAAAAAAACRlZHRzAAAAHGVsc3QAAAAAAAAAAQAAANEAAAAAAAEAAAAAAh5tZGlhAAAAIG1kaGQAAAAAAAAAAAAAAAAAAF3AAAATjVXEAAAAAAAtaGRscgAAAAAAAAAAdmlkZQAAAAAAAAAAAAAAAFZpZGVvSGFuZGxlcgAAAAHJbWluZgAAABR2bWhkAAAAAQAAAAAAAAAAAAAAJGRpbmYAAAAcZHJlZgAAAAAAAAABAAAADHVybCAAAAABAAABiXN0YmwAAADZc3RzZAAAAAAAAAABAAAAyW1wNHYAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAIAAQAEgAAABIAAAAAAAAAAEKTGF2YyBtcGVnNAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAY//8AAABPZXNkcwAAAAADgICAPgABAASAgIAwIBEAAAAAAw1AAAAI/QWAgIAeAAABsAEAAAG1iRMAAAEAAAABIADEjYruBQEEAhRjBoCAgAECAAAAEHBhc3AAAAABAAAAAQAAABRidHJ0AAAAAAADDUAAAAj9AAAAGHN0dHMAAAAAAAAAAQAAAAUAAAPpAAAAFHN0c3MAAAAAAAAAAQAAAAEAAAA0c3RzYwAAAAAAAAADAAAAAQAAAAEAAAABAAAAAwAAAAIAAAABAAAABAAAAAEAAAABAAAAKHN0c3oAAAAAAAAAAAAAAAUAAAAYAAAACQAAAAkAAAAJAAAACQAAACBzdGNvAAAAAAAAAAQAAAAwAAAATAAAAFkAAABvAAACSXRyYWsAAABcdGtoZAAAAAMAAAAAAAAAAAAAAAIAAAAAAAAAyAAAAAAAAAAAAAAAAQEAAAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAACRlZHRzAAAAHGVsc3QAAAAAAAAAAQAAAMgAAAQAAAEAAAAAAcFtZGlhAAAAIG1kaGQAAAAAAAAAAAAAAAAAAD6AAAAQgBC1AAAAAAAtaGRscgAAAAAAAAAAc291bgAAAAAAAAAAAAAAAFNvdW5kSGFuZGxlcgAAAAFsbWluZgAAABBzbWhkAAAAAAAAAAAAAAAkZGluZgAAABxkcmVmAAAAAAAAAAEAAAAMdXJsIAAAAAEAAAEwc3RibAAAAH5zdHNkAAAAAAAAAAEAAABubXA0YQAAAAAAAAABAAAAAAAAAAAAAgAQAAAAAD6AAAAAAAA2ZXNkcwAAAAADgICAJQACAASAgIAXQBUAAAAAAB9AAAACXgWAgIAFFAhW5QAGgICAAQIAAAAUYnRydAAAAAAAAB9AAAACXgAAACBzdHRzAAAAAAAAAAIAAAAEAAAEAAAAAAEAAACAAAAAHHN0c2MAAAAAAAAAAQAAAAEAAAABAAAAAQAAABRzdHN6AAAAAAAAAAQAAAAFAAAAJHN0Y28AAAAAAAAABQAAACwAAABIAAAAVQAAAGsAAAB4AAAAGnNncGQBAAAAcm9sbAAAAAIAAAAB//8AAAAcc2JncAAAAAByb2xsAAAAAQAAAAUAAAABAAAAXnVkdGEAAABWbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAbWRpcmFwcGwAAAAAAAAAAAAAAAApaWxzdAAAACGpbmFtAAAAGWRhdGEAAAABAAAAAFRpbnkgZmlsbQ==";

/** Two channels of 16 bits at 48 kHz, as RIFF has it; `dataBytes` long. */
function wavHeader(dataBytes: number): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF");
  header.writeUInt32LE(dataBytes + 36, 4);
  header.write("WAVEfmt ", 8);
  for (const [at, value] of [
    [16, 16],
    [24, 48_000],
    [28, 192_000],
    [40, dataBytes],
  ] as const)
    header.writeUInt32LE(value, at);
  for (const [at, value] of [
    [20, 1],
    [22, 2],
    [32, 4],
    [34, 16],
  ] as const)
    header.writeUInt16LE(value, at);
  header.write("data", 36);
  return header;
}

test("film: container, streams and tags", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data, problems } = await describe(Buffer.from(MP4, "base64"), "tiny.mp4");
  assert.deepEqual(problems, []);
  const [video, audio] = data.streams as Record<string, unknown>[];
  // By ffprobe 5.1 of the same file; languages by BCP 47 instead of ISO 639-2.
  assert.deepEqual([data.container, (data.streams as unknown[]).length, data.isWhole], ["MPEG-4", 2, true]);
  const { kind, width, height, frameRate, frames } = video ?? {};
  assert.deepEqual(
    { kind, width, height, frameRate, frames },
    { kind: "video", width: 32, height: 16, frameRate: 23.976024, frames: 5 },
  );
  assert.deepEqual(
    [audio?.kind, audio?.codec, audio?.channels, audio?.sampleRate, audio?.language, audio?.frameRate],
    ["audio", "AAC", 1, 16_000, "de", null],
  );
  assert.equal((data.tags as Record<string, string>).title, "Tiny film");
});

test("sound: seconds, channels and samples", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(Buffer.concat([wavHeader(96_000), Buffer.alloc(96_000, 7)]), "a.wav");
  const [stream] = data.streams as Record<string, unknown>[];
  // 96,000 bytes at 192,000 bytes a second.
  assert.deepEqual([data.container, data.durationSeconds, data.bitRate], ["Wave", 0.5, 1_536_704]);
  assert.deepEqual([stream?.codec, stream?.channels, stream?.sampleRate, stream?.bitDepth], ["PCM", 2, 48_000, 16]);
});

test("a file of gigabytes is described by some of its bytes", async (t) => {
  const { folder } = await describing(t, extractor);
  const localPath = join(folder, "large.wav");
  const sizeBytes = 3_000_000_044;
  await writeFile(localPath, wavHeader(sizeBytes - 44));
  await truncate(localPath, sizeBytes);
  const { data } = await extractor.extract([{ localPath, name: "large.wav", sizeBytes }]);
  assert.deepEqual([data.durationSeconds, data.isWhole], [15_625, false]);
});

test("what is no sound and no film is refused, and the next file is described", async (t) => {
  const { describe, survives } = await describing(t, extractor);
  for (const other of ["plain words", "", "\0".repeat(5000)])
    assert.equal(await survives(Buffer.from(other), "a.mp3"), "refused");
  assert.equal((await describe(Buffer.from(MP4, "base64"))).data.container, "MPEG-4");
});

test("sound and film cut off or changed at random are described or refused", async (t) => {
  const { survives } = await describing(t, extractor);
  const random = seededRandom(t);
  for (const sample of [Buffer.from(MP4, "base64"), Buffer.concat([wavHeader(4000), Buffer.alloc(4000)])])
    for (let round = 0; round < 150; round++) {
      const damaged = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
      await survives(round % 3 === 0 ? sample.subarray(0, random(sample.length)) : damaged, "damaged");
    }
});

const TYPES: readonly (readonly [string, string])[] = [
  ["video/mp2t", `G${"\0".repeat(187)}`.repeat(4)],
  ["video/x-flv", "FLV\x01\x05"],
  ["video/x-ms-asf", "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"],
  ["audio/wav", "RF64\xff\xff\xff\xffWAVEds64"],
  ["audio/aac", "\xff\xf1\x50\x80"],
];
for (const [type, head] of TYPES)
  test(`content alone tells ${type}`, () => {
    assert.equal(mediaTypeOf(Buffer.from(head, "latin1")), type);
  });
