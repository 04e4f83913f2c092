import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import { exifOf } from "../images/exif.ts";
import { IMAGE_FORMATS } from "../images/formats.ts";
import { colourProfile } from "../images/icc.ts";
import { xmpProperties } from "../images/xmp.ts";
import { malformed } from "../malformed.ts";
import { mediaTypeOf } from "../media-type.ts";
import { COUNT, FLAG, listSchema, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

const ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8];

const PAGE = {
  width: { ...COUNT, description: "pixels" },
  height: { ...COUNT, description: "pixels" },
  bitDepth: orNull({ ...COUNT, description: "bits of one channel" }),
  channels: orNull(NUMBER),
  colour: orNull(TEXT),
};

/** What an image's headers say; its pixels are not looked at, so nothing is said of the colours they have. */
export const extractor = fileByFile({
  name: "image-headers",
  version: "1",
  takes: { mediaTypes: Object.keys(IMAGE_FORMATS), extensions: [] },
  schema: objectSchema({
    format: { ...TEXT, description: "media type" },
    ...PAGE,
    frames: orNull({ ...COUNT, description: "pictures in the file" }),
    pages: {
      ...listSchema(
        objectSchema({
          ...PAGE,
          compression: orNull(TEXT),
          isReduced: { ...FLAG, description: "a smaller copy of another page" },
        }),
      ),
      description: "each picture of a TIFF; of other formats, none",
    },
    profile: orNull(objectSchema({ name: TEXT, colourSpace: { ...TEXT, description: "as ICC names it" } })),
    orientation: orNull({ ...COUNT, description: "Exif: 1 is upright" }),
    takenAt: orNull({ ...TEXT, description: "by the camera's clock" }),
    exif: { ...mapSchema({ type: ["string", "number"] }), description: "of Exif, and of the format's own header" },
    xmp: { ...mapSchema(TEXT), description: "plain properties, by their names with prefix" },
    gps: orNull(
      objectSchema({
        latitude: { ...NUMBER, description: "degrees, north of the equator" },
        longitude: { ...NUMBER, description: "degrees, east of Greenwich" },
        altitudeMetres: orNull(NUMBER),
      }),
    ),
  }),
  describe(bytes) {
    const format = mediaTypeOf(bytes.read(0, 4096));
    const header = IMAGE_FORMATS[format]?.((at, length) => bytes.read(at, length), bytes.sizeBytes);
    if (header === undefined) throw malformed("it is no image of a known format");
    const { exif: tiff, xmp, profile, notes = {}, pages = [], ...picture } = header;
    const none: { readonly exif: RecordData; readonly gps: RecordData | null } = { exif: {}, gps: null };
    const { exif, gps } = tiff?.isTiff ? exifOf(tiff, tiff.directory(tiff.first()).tags) : none;
    const { orientation: upright, takenAt: camera, ...others } = exif;
    const { createdAt: maker, ...words } = notes;
    const taken = camera ?? maker;
    const colours = profile && colourProfile(profile);
    return {
      data: {
        format,
        ...picture,
        pages: pages.map((page) => ({ ...page })),
        profile: colours ? { ...colours } : null,
        // Exif 2.32 §4.6.4: 1 to 8.
        orientation: ORIENTATIONS.find((one) => one === upright) ?? null,
        takenAt: typeof taken === "string" ? taken : null,
        exif: { ...others, ...words },
        xmp: xmp ? xmpProperties(xmp) : {},
        gps,
      },
      problems: [],
    };
  },
});
