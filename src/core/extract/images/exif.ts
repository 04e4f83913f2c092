import type { RecordData } from "../extractor.ts";
import { numberOf, type Tags, type TiffReader, wholeOf } from "./tiff-reader.ts";

/** Tags that are told, of TIFF 6.0 and Exif 2.32 §4.6. */
const TAGS: ReadonlyMap<number, string> = new Map([
  [0x010d, "documentName"],
  [0x010e, "description"],
  [0x010f, "make"],
  [0x0110, "model"],
  [0x0112, "orientation"],
  [0x011a, "xResolution"],
  [0x011b, "yResolution"],
  [0x0128, "resolutionUnit"],
  [0x0131, "software"],
  [0x0132, "modifiedAt"],
  [0x013b, "artist"],
  [0x013c, "hostComputer"],
  [0x8298, "copyright"],
  [0x829a, "exposureSeconds"],
  [0x829d, "fNumber"],
  [0x8822, "exposureProgram"],
  [0x8827, "iso"],
  [0x9003, "takenAt"],
  [0x9011, "takenAtOffset"],
  [0x9204, "exposureBias"],
  [0x9207, "meteringMode"],
  [0x9209, "flash"],
  [0x920a, "focalLengthMm"],
  [0xa001, "colourSpace"],
  [0xa403, "whiteBalance"],
  [0xa405, "focalLength35mm"],
  [0xa431, "bodySerial"],
  [0xa433, "lensMake"],
  [0xa434, "lens"],
]);
const EXIF_POINTER = 0x8769;
const GPS_POINTER = 0x8825;
const TIMES = new Set(["modifiedAt", "takenAt"]);

/** What a camera says: of a directory, and of those for Exif and GPS that it points to. */
export function exifOf(tiff: TiffReader, tags: Tags): { readonly exif: RecordData; readonly gps: RecordData | null } {
  const pointed = (tag: number): Tags => {
    const at = wholeOf(tags, tag);
    return at === undefined ? new Map() : tiff.directory(at).tags;
  };
  const all = new Map([...tags, ...pointed(EXIF_POINTER)]);
  const exif: Record<string, string | number> = {};
  for (const [tag, name] of TAGS) {
    const value = all.get(tag);
    const plain = typeof value === "string" ? value : value?.[0];
    if (plain === undefined || plain === "" || (typeof plain === "number" && !Number.isFinite(plain))) continue;
    exif[name] = TIMES.has(name) ? isoTime(String(plain)) : typeof plain === "string" ? plain.toWellFormed() : plain;
  }
  return { exif, gps: gpsOf(pointed(GPS_POINTER)) };
}

/** Exif writes `2024:05:06 07:08:09`, in the camera's own time. */
function isoTime(text: string): string {
  return text.replace(/^(\d{4}):(\d\d):(\d\d)[ T](\d\d:\d\d:\d\d).*$/s, "$1-$2-$3T$4").toWellFormed();
}

/** Exif 2.32 §4.6.6: degrees, minutes and seconds, and which hemisphere; metres, and whether below the sea. */
function gpsOf(tags: Tags): RecordData | null {
  const degrees = (tag: number): number | undefined => {
    const value = tags.get(tag);
    if (typeof value === "string" || value === undefined) return undefined;
    const [whole = Number.NaN, minutes = 0, seconds = 0] = value;
    const sign = /^[SW]/.test(String(tags.get(tag - 1))) ? -1 : 1;
    return sign * (whole + minutes / 60 + seconds / 3600);
  };
  const [latitude, longitude] = [degrees(2), degrees(4)];
  if (latitude === undefined || longitude === undefined) return null;
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return null;
  const metres = numberOf(tags, 6);
  // Adding 0 makes nothing of a negative zero, which JSON has not.
  const altitudeMetres = metres === undefined ? null : metres * (numberOf(tags, 5) === 1 ? -1 : 1);
  return { latitude: rounded(latitude), longitude: rounded(longitude), altitudeMetres };
}

/** 7 digits of a degree are a centimetre. Adding 0 makes nothing of a negative zero. */
function rounded(degrees: number): number {
  return Math.round(degrees * 1e7) / 1e7;
}
