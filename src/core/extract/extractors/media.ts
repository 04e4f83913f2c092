import mediaInfoFactory, { type MediaInfo, type MediaInfoResult } from "mediainfo.js";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { COUNT, FLAG, listSchema, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

/**
 * What its parser is given at a time, from the places it wants. Of a transport stream that it gets in one piece, it tells no
 * more than that there is a picture: so pieces are small.
 */
const CHUNK_BYTES = 16 * 1024;
/** Of files that it would read as a whole: what they are shows in their beginning. */
const MAX_READ_BYTES = 32 * 1024 * 1024;
const MAX_STREAMS = 500;
const MAX_TAGS = 100;
const MAX_TAG_CHARS = 1000;

const KINDS = ["video", "audio", "text", "image", "menu", "other"] as const;

/** Of what MediaInfo says of a file as a whole: what people or their programs have written into it. */
const TAGS =
  `Title Movie Album Performer Composer Director Actor Producer Publisher Genre Track Track_Position Part_Position Recorded_Date
  Recorded_Location Released_Date Encoded_Date Tagged_Date Encoded_Application Encoded_Library Encoded_Hardware_Name Copyright Comment
  Description Keywords Language ISRC ISAN EIDR_ID UMID ArchivalLocation`.split(/\s+/);

type Track = NonNullable<MediaInfoResult["media"]>["track"][number];
type Fields = Readonly<Record<string, unknown>>;

let loaded: Promise<MediaInfo> | undefined;

/** What sound and film are made of, by MediaInfo; nothing is decoded. */
export const extractor = fileByFile({
  name: "media",
  version: "1",
  takes: {
    mediaTypes: ["audio/*", "video/*", "application/mxf"],
    extensions: ["aac", "ac3", "dts", "dv", "m2v", "mp3"],
  },
  schema: objectSchema({
    container: TEXT,
    durationSeconds: orNull(NUMBER),
    bitRate: orNull({ ...NUMBER, description: "bits in a second, of all streams" }),
    streams: listSchema(
      objectSchema({
        kind: { enum: [...KINDS] },
        codec: TEXT,
        codecProfile: orNull(TEXT),
        codecId: orNull({ ...TEXT, description: "as the container names it" }),
        language: orNull({ ...TEXT, description: "BCP 47" }),
        title: orNull(TEXT),
        durationSeconds: orNull(NUMBER),
        bitRate: orNull(NUMBER),
        width: orNull({ ...COUNT, description: "pixels" }),
        height: orNull({ ...COUNT, description: "pixels" }),
        frameRate: orNull({ ...NUMBER, description: "frames of a picture in a second" }),
        frames: orNull({ ...COUNT, description: "of a picture" }),
        scan: orNull({ ...TEXT, description: "progressive or interlaced" }),
        colourSpace: orNull(TEXT),
        chroma: orNull({ ...TEXT, description: "subsampling, as 4:2:0" }),
        bitDepth: orNull(COUNT),
        channels: orNull(COUNT),
        sampleRate: orNull({ ...NUMBER, description: "samples in a second" }),
        timeCode: orNull({ ...TEXT, description: "of the first frame" }),
      }),
    ),
    isWhole: { ...FLAG, description: `false when the file could not be described by ${MAX_READ_BYTES} of its bytes` },
    tags: { ...mapSchema(TEXT), description: `${MAX_TAGS} at most, each of ${MAX_TAG_CHARS} characters` },
  }),
  async describe(bytes) {
    const { tracks: found, isWhole } = await tracksOf(bytes);
    const [general, ...tracks] = found;
    const about = (general ?? {}) as Fields;
    const container = text(about, "Format");
    if (container === null || tracks.length === 0) throw malformed("it is no sound or film that is known");
    return {
      data: {
        container,
        durationSeconds: number(about, "Duration"),
        bitRate: number(about, "OverallBitRate"),
        streams: tracks.slice(0, MAX_STREAMS).map(streamOf),
        isWhole,
        tags: tagsOf(about),
      },
      problems: [],
    };
  },
});

async function tracksOf(bytes: LocalBytes): Promise<{ tracks: readonly Track[]; isWhole: boolean }> {
  loaded ??= mediaInfoFactory({ chunkSize: CHUNK_BYTES });
  const mediaInfo = await loaded;
  let left = MAX_READ_BYTES;
  try {
    const said = await mediaInfo.analyzeData(bytes.sizeBytes, (length, at) => {
      const piece = bytes.read(at, Math.min(length, left));
      left -= piece.length;
      return piece;
    });
    return { tracks: said.media?.track ?? [], isWhole: left > 0 };
  } catch (error) {
    // Its memory may be in any state: the next file gets another.
    loaded = undefined;
    throw malformed(`its parser gave up: ${String(error instanceof Error ? error.message : error).slice(0, 200)}`);
  }
}

function streamOf(track: Track): RecordData {
  const fields = track as unknown as Fields;
  const kind = KINDS.find((one) => one === track["@type"].toLowerCase()) ?? "other";
  const isPicture = kind === "video" || kind === "image";
  const [frames, seconds] = [number(fields, "FrameRate_Num"), number(fields, "FrameRate_Den")];
  const frameRate = frames !== null && seconds ? frames / seconds : number(fields, "FrameRate");
  return {
    kind,
    codec: text(fields, "Format") ?? "",
    codecProfile: text(fields, "Format_Profile"),
    codecId: text(fields, "CodecID"),
    language: text(fields, "Language"),
    title: text(fields, "Title"),
    durationSeconds: number(fields, "Duration"),
    bitRate: number(fields, "BitRate"),
    width: count(fields, "Width"),
    height: count(fields, "Height"),
    // Sound has "frames", too: packets, which are nobody's business.
    frameRate: isPicture && frameRate !== null ? Math.round(frameRate * 1e6) / 1e6 : null,
    frames: isPicture ? count(fields, "FrameCount") : null,
    scan: text(fields, "ScanType")?.toLowerCase() ?? null,
    colourSpace: text(fields, "ColorSpace"),
    chroma: text(fields, "ChromaSubsampling"),
    bitDepth: count(fields, "BitDepth"),
    channels: count(fields, "Channels"),
    sampleRate: number(fields, "SamplingRate"),
    timeCode: text(fields, "TimeCode_FirstFrame"),
  };
}

function tagsOf(general: Fields): RecordData {
  const { extra } = general;
  const own = typeof extra === "object" && extra !== null ? (extra as Fields) : {};
  const named = TAGS.map((name) => [
    `${name[0]?.toLowerCase()}${name.slice(1).replaceAll("_", "")}`,
    text(general, name),
  ]);
  const others = Object.keys(own).map((name) => [name.slice(0, 200).toWellFormed(), text(own, name)]);
  return Object.fromEntries([...named, ...others].filter(([, value]) => value !== null).slice(0, MAX_TAGS));
}

function text(fields: Fields, name: string): string | null {
  const value = fields[name];
  const said = typeof value === "number" ? String(value) : value;
  return typeof said === "string" && said !== "" ? said.slice(0, MAX_TAG_CHARS).toWellFormed() : null;
}

function number(fields: Fields, name: string): number | null {
  const value = Number(fields[name] ?? Number.NaN);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

function count(fields: Fields, name: string): number | null {
  const value = number(fields, name);
  return Number.isSafeInteger(value) ? value : null;
}
