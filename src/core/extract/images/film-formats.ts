import { malformed } from "../malformed.ts";
import { fixedText, type ImageHeader, MAX_PARTS, whole } from "./image-header.ts";
import type { ReadAt } from "./tiff-reader.ts";

/** SMPTE ST 268, table 1: descriptors of what a picture's samples are. */
const DPX_COLOURS: Readonly<Record<number, readonly [number, string]>> = {
  1: [1, "red"],
  2: [1, "green"],
  3: [1, "blue"],
  4: [1, "alpha"],
  6: [1, "luma"],
  50: [3, "rgb"],
  51: [4, "rgb+alpha"],
  52: [4, "rgb+alpha"],
  100: [2, "ycbcr"],
  101: [3, "ycbcr+alpha"],
  102: [3, "ycbcr"],
  103: [4, "ycbcr+alpha"],
};
/** Table 5A: transfer characteristics and colorimetry. */
const DPX_CHARACTERISTICS: Readonly<Record<number, string>> = {
  1: "printing density",
  2: "linear",
  3: "logarithmic",
  4: "unspecified video",
  5: "SMPTE 274M",
  6: "ITU-R BT.709",
  7: "ITU-R BT.601 625",
  8: "ITU-R BT.601 525",
  9: "NTSC",
  10: "PAL",
};
const UNSET = 0xffffffff;

/** The generic header, which is always there, and those for film and television, which need not be. */
export function dpx(read: ReadAt): ImageHeader {
  const head = whole(read, 0, 808);
  const isBig = head.toString("latin1", 0, 4) === "SDPX";
  const rest = read(0, 2048);
  const long = (at: number) => (at + 4 > rest.length ? UNSET : isBig ? rest.readUInt32BE(at) : rest.readUInt32LE(at));
  const float = (at: number) => {
    const value = at + 4 > rest.length ? Number.NaN : isBig ? rest.readFloatBE(at) : rest.readFloatLE(at);
    return long(at) !== UNSET && Number.isFinite(value) && value > 0 ? Math.round(value * 1000) / 1000 : "";
  };
  const count = (at: number) => (long(at) === UNSET ? 0 : long(at));
  const sequenceLength = count(1716);
  const text = (at: number, bytes: number) => fixedText(rest, at, bytes);
  const [channels, colour] = DPX_COLOURS[head.readUInt8(800)] ?? [null, null];
  const notes = {
    fileName: text(36, 100),
    createdAt: text(136, 24).replace(/^(\d{4}):(\d\d):(\d\d):/, "$1-$2-$3T"),
    creator: text(160, 100),
    project: text(260, 200),
    copyright: text(460, 200),
    transfer: DPX_CHARACTERISTICS[head.readUInt8(801)] ?? "",
    colorimetry: DPX_CHARACTERISTICS[head.readUInt8(802)] ?? "",
    sourceFile: text(1432, 100),
    inputDevice: text(1556, 32),
    inputDeviceSerial: text(1588, 32),
    filmManufacturer: text(1664, 2),
    filmType: text(1666, 2),
    filmPrefix: text(1670, 6),
    filmCount: text(1676, 4),
    filmFormat: text(1680, 32),
    framePosition: sequenceLength > 0 ? count(1712) : "",
    sequenceLength: sequenceLength || "",
    frameRate: float(1724) || float(1940),
    frameId: text(1732, 32),
    slate: text(1764, 100),
    timeCode: timeCode(long(1920)),
  };
  return {
    width: isBig ? head.readUInt32BE(772) : head.readUInt32LE(772),
    height: isBig ? head.readUInt32BE(776) : head.readUInt32LE(776),
    bitDepth: head.readUInt8(803),
    channels,
    colour,
    frames: 1,
    notes: Object.fromEntries(Object.entries(notes).filter(([, value]) => value !== "")),
  };
}

/** SMPTE ST 12: two decimal digits in each byte, hours first. */
function timeCode(word: number): string {
  const digits = word.toString(16).padStart(8, "0");
  return word !== UNSET && word !== 0 && /^\d{8}$/.test(digits) ? digits.replace(/(\d\d)(?=\d)/g, "$1:") : "";
}

const EXR_BITS: Readonly<Record<number, number>> = { 0: 32, 1: 16, 2: 32 };
/** What text attributes are told, by names that others have for the same. */
const EXR_WORDS: Readonly<Record<string, string>> = {
  owner: "artist",
  comments: "description",
  capDate: "createdAt",
  software: "software",
  reelName: "reelName",
};
const MAX_ATTRIBUTE_BYTES = 64 * 1024;

/** OpenEXR File Layout: attributes of the first part; each is a name, a type, a size and a value. */
export function exr(read: ReadAt): ImageHeader {
  whole(read, 0, 8);
  let at = 8;
  let window: readonly number[] | undefined;
  let channels: { readonly name: string; readonly bits: number }[] = [];
  const notes: Record<string, string> = {};
  for (let attributes = 0; attributes < MAX_PARTS; attributes++) {
    const head = read(at, 520);
    const nameEnd = head.indexOf(0);
    if (nameEnd <= 0) break;
    const typeEnd = head.indexOf(0, nameEnd + 1);
    if (typeEnd < 0 || typeEnd + 5 > head.length) throw malformed("an attribute of an OpenEXR file does not end", at);
    const [name, type] = [head.toString("latin1", 0, nameEnd), head.toString("latin1", nameEnd + 1, typeEnd)];
    const length = head.readUInt32LE(typeEnd + 1);
    const value = read(at + typeEnd + 5, Math.min(length, MAX_ATTRIBUTE_BYTES));
    if (name === "dataWindow" && value.length === 16) window = [0, 4, 8, 12].map((offset) => value.readInt32LE(offset));
    if (type === "chlist") channels = exrChannels(value);
    const word = EXR_WORDS[name];
    if (word !== undefined && type === "string") {
      const said = value.toString("utf8", 0, 1000).trim();
      notes[word] = word === "createdAt" ? said.replace(/^(\d{4}):(\d\d):(\d\d) /, "$1-$2-$3T") : said;
    }
    at += typeEnd + 5 + length;
  }
  if (!window) throw malformed("an OpenEXR file does not say its data window");
  const [left = 0, top = 0, right = 0, bottom = 0] = window;
  const names = channels
    .map(({ name }) => name)
    .toSorted()
    .join("");
  return {
    width: Math.max(0, right - left + 1),
    height: Math.max(0, bottom - top + 1),
    bitDepth: channels[0]?.bits ?? null,
    channels: channels.length,
    colour: ({ BGR: "rgb", ABGR: "rgb+alpha", Y: "luma", AY: "luma+alpha", BYRY: "ycbcr" } as const)[names] ?? null,
    frames: 1,
    notes,
  };
}

function exrChannels(list: Buffer): { name: string; bits: number }[] {
  const channels: { name: string; bits: number }[] = [];
  for (let at = 0; at < list.length; ) {
    const end = list.indexOf(0, at);
    if (end <= at || end + 17 > list.length) break;
    channels.push({ name: list.toString("latin1", at, end), bits: EXR_BITS[list.readUInt32LE(end + 1)] ?? 0 });
    at = end + 17;
  }
  return channels;
}
