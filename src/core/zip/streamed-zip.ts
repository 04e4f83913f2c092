import { type BlockDeflate, blockDeflate } from "./block-deflate.ts";
import {
  centralBytes,
  descriptor,
  endOfDirectory,
  localBytes,
  MAX_32,
  writeCentral,
  writeLocal,
  type ZipMember,
} from "./headers.ts";

/** Whatever takes bytes one after the other. */
export interface ByteSink {
  write(part: string | Uint8Array): Promise<void> | undefined;
}

/** A ZIP that is written as its members come, one after the other, to a sink that cannot go back. */
export interface StreamedZip {
  /** Ends the member before. */
  member(name: string): Promise<ByteSink>;
  finish(): Promise<void>;
}

/**
 * Sizes and CRC-32 follow each member (APPNOTE §4.3.9), as they are not known before it.
 * @param modifiedAt of all members, epoch milliseconds: the same bytes for the same content.
 */
export function streamedZip(sink: ByteSink, { level = 1, modifiedAt = 0 } = {}): StreamedZip {
  const members: { readonly member: ZipMember; readonly offset: number }[] = [];
  let offset = 0;
  let open: { readonly name: string; readonly at: number; readonly deflate: BlockDeflate } | undefined;

  async function put(...pieces: readonly Uint8Array[]): Promise<void> {
    for (const bytes of pieces) {
      offset += bytes.length;
      await sink.write(bytes);
    }
  }

  const unknown = (name: string): ZipMember => ({
    name,
    method: "deflated",
    crc32: 0,
    sizeBytes: 0,
    compressedBytes: 0,
    modifiedAt,
    isStreamed: true,
  });

  async function endMember(): Promise<void> {
    if (!open) return;
    const member = { ...unknown(open.name), ...(await open.deflate.end()) };
    await put(descriptor(member));
    members.push({ member, offset: open.at });
    open = undefined;
  }

  return {
    async member(name) {
      await endMember();
      const at = offset;
      const header = Buffer.alloc(localBytes(unknown(name)));
      writeLocal(header, 0, unknown(name));
      await put(header);
      const deflate = blockDeflate({ level, write: (pieces) => put(...pieces) });
      open = { name, at, deflate };
      return deflate;
    },
    async finish() {
      await endMember();
      const directoryAt = offset;
      for (const { member, offset: at } of members) {
        const entry = Buffer.alloc(centralBytes(member, at >= MAX_32));
        writeCentral(entry, 0, member, at, at >= MAX_32);
        await put(entry);
      }
      await put(endOfDirectory(members.length, directoryAt, offset - directoryAt));
    },
  };
}
