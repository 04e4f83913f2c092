import { malformed } from "../malformed.ts";
import { recordsOf } from "./b-tree-2.ts";
import { type Dataspace, elementsOf, readDataspace } from "./dataspace.ts";
import { type Datatype, readDatatype } from "./datatype.ts";
import type { Fields } from "./fields.ts";
import { openFractalHeap } from "./fractal-heap.ts";
import { fieldsOf, MESSAGE, type Message, messageOf } from "./object-header.ts";
import { messageInHeap, sharedMessage } from "./shared-messages.ts";
import type { Hdf5Source } from "./source.ts";
import { readValue, type SimpleValue } from "./values.ts";

const HEAP_ID_BYTES = 8;
const IS_SHARED = 0x02;

export interface Attribute {
  readonly name: string;
  /** In which it was made, where the object keeps that. */
  readonly order: number | undefined;
  readonly type: Datatype;
  readonly space: Dataspace;
  /** Of one array after the other, if it holds arrays. */
  readonly elements: number;
  /** The first values, row by row. */
  values(most: number): readonly SimpleValue[];
  /** Value by value as they lie in the file. */
  raw(most: number): readonly Buffer[];
}

/**
 * An object's attributes, in the order in which they were made where that is kept, else by name as they come.
 * @param most that are read. @param unreadable is told of each that cannot be read.
 */
export function attributesOf(
  source: Hdf5Source,
  messages: readonly Message[],
  most: number,
  unreadable: (error: unknown) => void,
): readonly Attribute[] {
  const found: Attribute[] = [];
  const places = attributeFields(source, messages);
  for (;;) {
    try {
      const place = places.next();
      if (place.done || found.length === most) break;
      found.push(readAttribute(source, place.value.fields(), place.value.order));
    } catch (error) {
      unreadable(error);
    }
  }
  return found.toSorted((a, b) => (a.order ?? 0) - (b.order ?? 0));
}

interface Place {
  readonly order: number | undefined;
  fields(): Fields;
}

/** In the header, or when they are many in a heap of their own. */
function* attributeFields(source: Hdf5Source, messages: readonly Message[]): Generator<Place, void, undefined> {
  for (const message of messages)
    if (message.type === MESSAGE.attribute) yield { order: message.order, fields: () => fieldsOf(source, message) };
  const info = messageOf(source, messages, MESSAGE.attributeInfo);
  if (info) yield* denseAttributes(source, info);
}

/** Attribute Info message (the specification, IV.A.2.v), and records of type 8. */
function* denseAttributes(source: Hdf5Source, info: Fields): Generator<Place, void, undefined> {
  const flags = info.skip(1).u8();
  if (flags & 1) info.skip(2);
  const heapAddress = info.sizedOrNone(source.addressBytes);
  const byName = info.sizedOrNone(source.addressBytes);
  if (heapAddress === undefined || byName === undefined) return;
  const heap = openFractalHeap(source, heapAddress);
  for (const record of recordsOf(source, byName)) {
    const id = record.take(HEAP_ID_BYTES);
    const isShared = (record.u8() & IS_SHARED) !== 0;
    const order = record.u32();
    yield {
      order,
      fields: () => (isShared ? messageInHeap(source, MESSAGE.attribute, id) : heap.object(id)),
    };
  }
}

/** Attribute message (IV.A.2.m). Version 1 pads its parts to eights. */
function readAttribute(source: Hdf5Source, fields: Fields, order: number | undefined): Attribute {
  const version = fields.u8();
  const flags = fields.u8();
  const [nameBytes, typeBytes, spaceBytes] = [fields.u16(), fields.u16(), fields.u16()];
  if (version === 3) fields.skip(1);
  const padded = (length: number) => (version === 1 ? Math.ceil(length / 8) * 8 : length);
  const name = fields.part(padded(nameBytes)).text();
  const typeFields = fields.part(padded(typeBytes));
  const spaceFields = fields.part(padded(spaceBytes));
  const isTypeShared = version > 1 && (flags & 1) !== 0;
  const isSpaceShared = version > 1 && (flags & 2) !== 0;
  const type = readDatatype(isTypeShared ? sharedMessage(source, MESSAGE.datatype, typeFields) : typeFields);
  const space = readDataspace(
    isSpaceShared ? sharedMessage(source, MESSAGE.dataspace, spaceFields) : spaceFields,
    source.lengthBytes,
  );
  const element = type.class === "array" ? type.base : type;
  const perValue = type.class === "array" ? type.dims.reduce((product, size) => product * size, 1) : 1;
  const elements = elementsOf(space) * perValue;
  const { offset } = fields;
  const data = fields.take(fields.left);

  function raw(most: number): readonly Buffer[] {
    const count = Math.min(elements, most);
    const { sizeBytes } = element;
    if (count * sizeBytes > data.length) throw malformed("an attribute's values end early", offset);
    return Array.from({ length: count }, (_, i) => data.subarray(i * sizeBytes, (i + 1) * sizeBytes));
  }
  return {
    name,
    order,
    type,
    space,
    elements,
    raw,
    values: (most) => raw(most).map((bytes) => readValue(source, element, bytes)),
  };
}
