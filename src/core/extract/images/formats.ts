import { dpx, exr } from "./film-formats.ts";
import type { HeaderReader } from "./image-header.ts";
import { jp2, psd, tiff } from "./print-formats.ts";
import { bmp, gif, jpeg, png, webp } from "./web-formats.ts";

/** By media type. */
export const IMAGE_FORMATS: Readonly<Record<string, HeaderReader>> = {
  "image/png": png,
  "image/jpeg": jpeg,
  "image/gif": gif,
  "image/tiff": tiff,
  "image/bmp": bmp,
  "image/webp": webp,
  "image/x-dpx": dpx,
  "image/x-exr": exr,
  "image/vnd.adobe.photoshop": psd,
  "image/jp2": jp2,
};
