import { malformed } from "../malformed.ts";
import type { Fields } from "./fields.ts";
import { openFractalHeap } from "./fractal-heap.ts";
import { MESSAGE, readObjectHeader } from "./object-header.ts";
import type { Hdf5Source } from "./source.ts";

/** Where a shared message lies: in the file's heap of them, or in an object's header. */
const IN_HEAP = 1;
const HEAP_ID_BYTES = 8;

/** What a shared message points to (the specification, IV.A.2: "shared message"). It may not point on. */
export function sharedMessage(source: Hdf5Source, type: number, pointer: Fields): Fields {
  const version = pointer.u8();
  const kind = pointer.u8();
  if (version === 3 && kind === IN_HEAP) return messageInHeap(source, type, pointer.take(HEAP_ID_BYTES));
  if (version === 1) pointer.skip(6);
  const address = pointer.sized(source.addressBytes);
  const message = readObjectHeader(source, address).find((one) => one.type === type && !one.isShared);
  if (message === undefined) throw malformed("a shared message is not where it should be", pointer.offset);
  return source.fields(message.address, message.length);
}

/** A message of the file's heap of shared ones, of which there is one for each group of types (III.G, IV.A.2.p). */
export function messageInHeap(source: Hdf5Source, type: number, id: Buffer): Fields {
  const { extensionAddress, addressBytes } = source;
  const extension = extensionAddress === undefined ? [] : readObjectHeader(source, extensionAddress);
  const message = extension.find((one) => one.type === MESSAGE.sharedTable);
  if (message === undefined) throw malformed("a message is shared, and the file has no table of such");
  const pointer = source.fields(message.address, message.length).skip(1);
  const tableAddress = pointer.sized(addressBytes);
  const indexes = pointer.u8();
  const indexBytes = 14 + 2 * addressBytes;
  const table = source.fields(tableAddress, 4 + indexes * indexBytes).expect("SMTB");
  for (let i = 0; i < indexes; i++) {
    const types = table.skip(2).u16();
    table.skip(10 + addressBytes);
    const heapAddress = table.sizedOrNone(addressBytes);
    if ((types & (1 << type)) !== 0 && heapAddress !== undefined)
      return openFractalHeap(source, heapAddress).object(id);
  }
  throw malformed("a message is shared in a heap that is not there");
}
