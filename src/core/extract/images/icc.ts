import { inflateSync } from "node:zlib";

/** Of a profile, so much is looked at: its description stands before its tables. */
export const MAX_PROFILE_BYTES = 1024 * 1024;
const MAX_TAGS = 100;

export interface ColourProfile {
  readonly name: string;
  /** `RGB`, `CMYK`, `GRAY`, `Lab`, … */
  readonly colourSpace: string;
}

/** What an ICC profile (ICC.1:2022) calls itself; `undefined` for what is none, or has no name. */
export function colourProfile(profile: Buffer): ColourProfile | undefined {
  if (profile.length < 132 || profile.toString("latin1", 36, 40) !== "acsp") return undefined;
  const colourSpace = profile.toString("latin1", 16, 20).trim();
  for (let tag = 0; tag < Math.min(profile.readUInt32BE(128), MAX_TAGS); tag++) {
    const entry = profile.subarray(132 + tag * 12, 144 + tag * 12);
    if (entry.length < 12) return undefined;
    if (entry.toString("latin1", 0, 4) !== "desc") continue;
    const name = descriptionOf(profile.subarray(entry.readUInt32BE(4), entry.readUInt32BE(4) + entry.readUInt32BE(8)));
    return name === undefined || name === "" ? undefined : { name, colourSpace };
  }
  return undefined;
}

/** 10.15 multiLocalizedUnicodeType, its first language; or textDescriptionType of ICC.1:2001, 6.5.17. */
function descriptionOf(tag: Buffer): string | undefined {
  if (tag.length < 28) return undefined;
  const type = tag.toString("latin1", 0, 4);
  const isLocalized = type === "mluc";
  if (!isLocalized && type !== "desc") return undefined;
  const [at, length] = isLocalized ? [tag.readUInt32BE(24), tag.readUInt32BE(20)] : [12, tag.readUInt32BE(8)];
  const bytes = Buffer.from(tag.subarray(at, at + Math.min(length, 1000)));
  const text = isLocalized
    ? bytes
        .subarray(0, bytes.length & ~1)
        .swap16()
        .toString("utf16le")
    : bytes.toString("latin1");
  return text
    .replace(/\0[\s\S]*$/, "")
    .trim()
    .toWellFormed();
}

/** As PNG packs it; nothing, when it is damaged or larger than any. */
export function inflatedProfile(packed: Buffer): Buffer | undefined {
  try {
    return inflateSync(packed, { maxOutputLength: MAX_PROFILE_BYTES });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (/^Z_|^ERR_BUFFER_TOO_LARGE$/.test(code)) return undefined;
    throw error;
  }
}
