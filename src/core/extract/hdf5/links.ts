import { malformed } from "../malformed.ts";
import { recordsOf } from "./b-tree-2.ts";
import type { Fields } from "./fields.ts";
import { openFractalHeap } from "./fractal-heap.ts";
import { fieldsOf, MESSAGE, type Message, messageOf } from "./object-header.ts";
import type { Hdf5Source } from "./source.ts";

const LINK_ID_BYTES = 7;
const MAX_TREE_DEPTH = 32;
/** Cache type of a symbol table entry that is a soft link (the specification, III.C). */
const CACHED_SOFT_LINK = 2;

export type LinkTarget =
  | { readonly kind: "hard"; readonly address: number }
  | { readonly kind: "soft"; readonly target: string }
  | { readonly kind: "external"; readonly file: string; readonly target: string }
  | { readonly kind: "userDefined"; readonly type: number };

export interface Link {
  readonly name: string;
  /** In which it was made, where the group keeps that. */
  readonly order: number | undefined;
  readonly to: LinkTarget;
}

export function isGroup(messages: readonly Message[]): boolean {
  const { symbolTable, linkInfo, groupInfo } = MESSAGE;
  return messages.some(({ type }) => type === symbolTable || type === linkInfo || type === groupInfo);
}

/** A group's links, whichever of the three ways they are kept in; no order is promised. Nothing is followed. */
export function* linksOf(source: Hdf5Source, messages: readonly Message[]): Generator<Link, void, undefined> {
  const table = messageOf(source, messages, MESSAGE.symbolTable);
  if (table) yield* oldLinks(source, table);
  for (const message of messages) if (message.type === MESSAGE.link) yield readLink(source, fieldsOf(source, message));
  const info = messageOf(source, messages, MESSAGE.linkInfo);
  if (info) yield* denseLinks(source, info);
}

/** Link Info message (IV.A.2.c). */
function* denseLinks(source: Hdf5Source, info: Fields): Generator<Link, void, undefined> {
  const flags = info.skip(1).u8();
  if (flags & 1) info.skip(8);
  const heapAddress = info.sizedOrNone(source.addressBytes);
  const byName = info.sizedOrNone(source.addressBytes);
  if (heapAddress === undefined || byName === undefined) return;
  const heap = openFractalHeap(source, heapAddress);
  // Records of type 5: a hash of the name, and where the link is.
  for (const record of recordsOf(source, byName))
    yield readLink(source, heap.object(record.skip(4).take(LINK_ID_BYTES)));
}

/** Link message (IV.A.2.g). */
function readLink(source: Hdf5Source, fields: Fields): Link {
  const flags = fields.skip(1).u8();
  const type = flags & 0x08 ? fields.u8() : 0;
  const order = flags & 0x04 ? fields.sized(8) : undefined;
  if (flags & 0x10) fields.skip(1);
  const name = fields.take(fields.sized(1 << (flags & 3))).toString("utf8");
  return { name, order, to: targetOf(source, type, fields) };
}

function targetOf(source: Hdf5Source, type: number, fields: Fields): LinkTarget {
  if (type === 0) return { kind: "hard", address: fields.sized(source.addressBytes) };
  if (type === 1) return { kind: "soft", target: fields.take(fields.u16()).toString("utf8") };
  if (type !== 64) return { kind: "userDefined", type };
  const value = fields.part(fields.u16()).skip(1);
  return { kind: "external", file: value.text(), target: value.text() };
}

/** Symbol Table message (IV.A.2.r): a version 1 B-tree, whose names lie in a local heap. */
function* oldLinks(source: Hdf5Source, table: Fields): Generator<Link, void, undefined> {
  const { addressBytes, lengthBytes } = source;
  const tree = table.sized(addressBytes);
  const names = localHeap(source, table.sized(addressBytes));
  const visited = new Set<number>();
  yield* node(tree, 0);

  /** III.A.1: keys and children alternate; of a group's, keys say nothing that is needed. */
  function* node(at: number, depth: number): Generator<Link, void, undefined> {
    if (visited.has(at) || depth > MAX_TREE_DEPTH) throw malformed("a B-tree goes round in a circle", at);
    visited.add(at);
    const head = source
      .fields(at, 8 + 2 * addressBytes)
      .expect("TREE")
      .skip(1);
    const level = head.u8();
    const entries = head.u16();
    const from = at + 8 + 2 * addressBytes;
    const fields = source.fields(from, entries * (lengthBytes + addressBytes));
    for (let i = 0; i < entries; i++) {
      const child = fields.skip(lengthBytes).sized(addressBytes);
      if (level > 0) yield* node(child, depth + 1);
      else yield* symbols(child);
    }
  }

  /** III.B */
  function* symbols(at: number): Generator<Link, void, undefined> {
    if (visited.has(at)) throw malformed("a B-tree goes round in a circle", at);
    visited.add(at);
    const entries = source.fields(at, 8).expect("SNOD").skip(2).u16();
    const entryBytes = 2 * addressBytes + 24;
    const fields = source.fields(at + 8, entries * entryBytes);
    for (let i = 0; i < entries; i++) {
      const entry = fields.part(entryBytes);
      const name = names(entry.sized(addressBytes));
      const address = entry.sizedOrNone(addressBytes);
      const cached = entry.u32();
      const isSoft = cached === CACHED_SOFT_LINK;
      if (isSoft) yield { name, order: undefined, to: { kind: "soft", target: names(entry.skip(4).u32()) } };
      else if (address === undefined) throw malformed("a link leads nowhere", entry.offset);
      else yield { name, order: undefined, to: { kind: "hard", address } };
    }
  }
}

/** The texts of a local heap (III.D), by their offset in it. */
function localHeap(source: Hdf5Source, address: number): (offset: number) => string {
  const { addressBytes, lengthBytes } = source;
  const header = source
    .fields(address, 8 + 2 * lengthBytes + addressBytes)
    .expect("HEAP")
    .skip(4);
  const size = header.sized(lengthBytes);
  const at = header.skip(lengthBytes).sized(addressBytes);
  let texts: Buffer | undefined;
  return (offset) => {
    texts ??= source.fields(at, size).take(size);
    const end = texts.indexOf(0, offset);
    if (offset >= size || end < 0) throw malformed("a name is not where it should be", at + offset);
    return texts.toString("utf8", offset, end);
  };
}
