import { malformed } from "../malformed.ts";
import type { Fields } from "./fields.ts";
import { sharedMessage } from "./shared-messages.ts";
import type { Hdf5Source } from "./source.ts";

/** Types of messages (the specification, IV.A.2) that are read here. */
export const MESSAGE = {
  dataspace: 0x01,
  linkInfo: 0x02,
  datatype: 0x03,
  link: 0x06,
  externalFiles: 0x07,
  layout: 0x08,
  groupInfo: 0x0a,
  filters: 0x0b,
  attribute: 0x0c,
  sharedTable: 0x0f,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const;

const IS_SHARED = 0x02;
/** Blocks of one header: a header may go on in other places. */
const MAX_BLOCKS = 10_000;

export interface Message {
  readonly type: number;
  readonly isShared: boolean;
  /** In which it was made, where the object keeps that. */
  readonly order: number | undefined;
  readonly address: number;
  readonly length: number;
}

/** What an object is made of, in the order in which it lies in the file; messages are not yet looked into. */
export function readObjectHeader(source: Hdf5Source, address: number): readonly Message[] {
  const start = source.fieldsUpTo(address, 64);
  return start.left >= 4 && start.take(4).toString("latin1") === "OHDR"
    ? readVersion2(source, address, start)
    : readVersion1(source, address);
}

interface Block {
  readonly address: number;
  readonly length: number;
}

/** IV.A.1.a */
function readVersion1(source: Hdf5Source, address: number): readonly Message[] {
  const prefix = source.fields(address, 16);
  const version = prefix.u8();
  if (version !== 1) throw malformed("no object header is there", prefix.offset - 1);
  const count = prefix.skip(1).u16();
  const length = prefix.skip(4).u32();
  const messages: Message[] = [];
  const blocks: Block[] = [{ address: address + 16, length }];
  for (const block of blocks) {
    const fields = source.fields(block.address, block.length);
    while (fields.left >= 8 && messages.length < count) {
      const message = { type: fields.u16(), length: fields.u16(), isShared: (fields.u8() & IS_SHARED) !== 0 };
      fields.skip(3);
      const at = block.address + block.length - fields.left;
      add(source, { ...message, order: undefined, address: at }, messages, blocks);
      fields.skip(message.length);
    }
  }
  return messages;
}

/** IV.A.1.b */
function readVersion2(source: Hdf5Source, address: number, start: Fields): readonly Message[] {
  const before = start.left;
  const version = start.u8();
  if (version !== 2) throw malformed(`object header version ${version} is not known`, start.offset - 1);
  const flags = start.u8();
  if (flags & 0x20) start.skip(16);
  if (flags & 0x10) start.skip(4);
  const length = start.sized(1 << (flags & 3));
  const messages: Message[] = [];
  const blocks: Block[] = [{ address: address + 4 + before - start.left, length }];
  const hasOrder = (flags & 0x04) !== 0;
  const prefixBytes = hasOrder ? 6 : 4;
  for (const [i, block] of blocks.entries()) {
    // Blocks that the header goes on in have a signature, and a checksum behind.
    const from = i === 0 ? block.address : block.address + 4;
    const until = i === 0 ? block.length : block.length - 8;
    if (i > 0) source.fields(block.address, 4).expect("OCHK");
    const fields = source.fields(from, until);
    while (fields.left >= prefixBytes) {
      const message = { type: fields.u8(), length: fields.u16(), isShared: (fields.u8() & IS_SHARED) !== 0 };
      const order = hasOrder ? fields.u16() : undefined;
      add(source, { ...message, order, address: from + until - fields.left }, messages, blocks);
      fields.skip(message.length);
    }
  }
  return messages;
}

function add(source: Hdf5Source, message: Message, messages: Message[], blocks: Block[]): void {
  messages.push(message);
  if (message.type !== MESSAGE.continuation) return;
  const fields = source.fields(message.address, message.length);
  const next = { address: fields.sized(source.addressBytes), length: fields.sized(source.lengthBytes) };
  if (blocks.length === MAX_BLOCKS || blocks.some(({ address }) => address === next.address))
    throw malformed("an object header goes on for ever", fields.offset);
  blocks.push(next);
}

/** The first message of a type; `undefined` when the object has none. */
export function messageOf(source: Hdf5Source, messages: readonly Message[], type: number): Fields | undefined {
  const message = messages.find((one) => one.type === type);
  return message && fieldsOf(source, message);
}

/** What a message says, or what it says by pointing to another. */
export function fieldsOf(source: Hdf5Source, message: Message): Fields {
  const fields = source.fields(message.address, message.length);
  return message.isShared ? sharedMessage(source, message.type, fields) : fields;
}
