import { malformed } from "../malformed.ts";
import type { Hdf5Source } from "./source.ts";

/** Objects of one collection that are looked through for one. */
const MAX_OBJECTS = 100_000;

/**
 * The bytes of an object that varies in length (the specification, III.E), up to so many.
 * @param index in its collection.
 */
export function globalHeapObject(source: Hdf5Source, collection: number, index: number, maxBytes: number): Buffer {
  const { lengthBytes } = source;
  const header = source
    .fields(collection, 8 + lengthBytes)
    .expect("GCOL")
    .skip(4);
  const end = collection + header.sized(lengthBytes);
  const objectHeaderBytes = 8 + lengthBytes;
  let at = collection + objectHeaderBytes;
  for (let i = 0; i < MAX_OBJECTS && at + objectHeaderBytes <= end; i++) {
    const object = source.fields(at, objectHeaderBytes);
    const found = object.u16();
    const length = object.skip(6).sized(lengthBytes);
    if (found === index)
      return source.fields(at + objectHeaderBytes, Math.min(length, maxBytes)).take(Math.min(length, maxBytes));
    // Object 0 is the free space behind the last.
    if (found === 0) break;
    at += objectHeaderBytes + Math.ceil(length / 8) * 8;
  }
  throw malformed("a value is not where it should be", collection);
}
