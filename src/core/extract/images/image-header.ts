import { malformed } from "../malformed.ts";
import type { ReadAt, TiffReader } from "./tiff-reader.ts";

export interface ImagePage {
  readonly width: number;
  readonly height: number;
  /** Bits of one channel of a pixel; of a palette image, of one index. */
  readonly bitDepth: number | null;
  readonly channels: number | null;
  readonly colour: string | null;
}

export interface ImageHeader extends ImagePage {
  /** Pictures in the file; `null` where the format does not say without reading all of it. */
  readonly frames: number | null;
  /** Where a file may hold different pictures, each of them. */
  readonly pages?: readonly (ImagePage & { readonly compression: string | null; readonly isReduced: boolean })[];
  readonly exif?: TiffReader;
  /** An XMP packet, or its beginning. */
  readonly xmp?: Buffer;
  /** An ICC profile, or its beginning. */
  readonly profile?: Buffer;
  /** What else the header says in words. */
  readonly notes?: Readonly<Record<string, string | number>>;
}

/** @throws AppError content_malformed when even width and height cannot be told. */
export type HeaderReader = (read: ReadAt, sizeBytes: number) => ImageHeader;

/** Parts of a file that are looked at, before it is taken for endless. */
export const MAX_PARTS = 10_000;

/** All of it, or the file has ended. */
export function whole(read: ReadAt, at: number, length: number): Buffer {
  const bytes = read(at, length);
  if (bytes.length < length) throw malformed("the file ends within its headers", at + bytes.length);
  return bytes;
}

/** The same bytes, counted from another start. */
export function within(read: ReadAt, start: number): ReadAt {
  return (at, length) => read(start + at, length);
}

/** Those that are there. */
export function known<T extends object>(parts: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>;
  };
}

/** Text of a fixed length, up to its first NUL or unset byte. */
export function fixedText(bytes: Buffer, at: number, length: number): string {
  return bytes
    .toString("latin1", at, at + length)
    .replace(/[\0\xff][\s\S]*$/, "")
    .trim();
}
