import { exifOf } from "../exif.ts";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import { IMAGE_FORMATS } from "../image-formats.ts";
import { malformed } from "../malformed.ts";
import { mediaTypeOf } from "../media-type.ts";
import { COUNT, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

const ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8];

/** What an image's headers say; its pixels are not looked at. */
export const extractor = fileByFile({
  name: "image-headers",
  version: "1",
  takes: { mediaTypes: Object.keys(IMAGE_FORMATS), extensions: [] },
  schema: objectSchema({
    format: { ...TEXT, description: "media type" },
    width: { ...COUNT, description: "pixels" },
    height: { ...COUNT, description: "pixels" },
    bitDepth: orNull({ ...COUNT, description: "bits of one channel" }),
    channels: orNull(NUMBER),
    colour: orNull(TEXT),
    frames: orNull({ ...COUNT, description: "pictures in the file" }),
    orientation: orNull({ ...COUNT, description: "Exif: 1 is upright" }),
    takenAt: orNull({ ...TEXT, description: "by the camera's clock" }),
    exif: mapSchema({ type: ["string", "number"] }),
    gps: orNull(objectSchema({ latitude: NUMBER, longitude: NUMBER, altitudeMetres: orNull(NUMBER) })),
  }),
  describe(bytes) {
    const format = mediaTypeOf(bytes.read(0, 4096));
    const header = IMAGE_FORMATS[format]?.((at, length) => bytes.read(at, length), bytes.sizeBytes);
    if (header === undefined) throw malformed("it is no image of a known format");
    const { exif: tiff, notes = {}, ...picture } = header;
    const none: { readonly exif: RecordData; readonly gps: RecordData | null } = { exif: {}, gps: null };
    const { exif, gps } = tiff?.isTiff ? exifOf(tiff, tiff.directory(tiff.first()).tags) : none;
    const { orientation: upright, takenAt: camera, ...others } = exif;
    const { createdAt: scanner, ...words } = notes;
    const taken = camera ?? scanner;
    return {
      data: {
        format,
        ...picture,
        // Exif 2.32 §4.6.4: 1 to 8.
        orientation: ORIENTATIONS.find((one) => one === upright) ?? null,
        takenAt: typeof taken === "string" ? taken : null,
        exif: { ...others, ...words },
        gps,
      },
      problems: [],
    };
  },
});
