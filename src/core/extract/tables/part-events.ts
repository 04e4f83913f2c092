import { Parser } from "htmlparser2";
import type { ZipEntry } from "../archive-members.ts";
import { zipPartChunks } from "../documents/zip-part.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";

/** Of one part, expanded: what a bomb says is not listened to for longer. */
const MAX_PART_BYTES = 512 * 1024 * 1024;
/** Of a spreadsheet's elements. */
const MAX_DEPTH = 256;

export interface PartEvents {
  open(name: string, attributes: Readonly<Record<string, string>>): void;
  close?(name: string): void;
  text?(text: string): void;
  /** Asked after each chunk: nothing more is needed. */
  isDone?(): boolean;
}

/**
 * Reads an XML part of a workbook as it is expanded. Entities are XML's own five and characters by number: none is ever
 * expanded to more. Memory: one chunk, and the names of what is open.
 * @returns whether all of it was read. @throws AppError content_malformed.
 */
export async function readPart(bytes: LocalBytes, entry: ZipEntry, events: PartEvents): Promise<boolean> {
  let depth = 0;
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        depth += 1;
        if (depth > MAX_DEPTH) throw malformed(`${entry.member.path} is nested deeper than ${MAX_DEPTH}`);
        events.open(name, attributes);
      },
      onclosetag(name) {
        depth -= 1;
        events.close?.(name);
      },
      ontext: (text) => events.text?.(text),
    },
    { xmlMode: true },
  );
  const decoder = new TextDecoder();
  let expanded = 0;
  for await (const chunk of zipPartChunks(bytes, entry)) {
    expanded += chunk.length;
    if (expanded > MAX_PART_BYTES) return false;
    parser.write(decoder.decode(chunk, { stream: true }));
    if (events.isDone?.()) return true;
  }
  parser.end(decoder.decode());
  return true;
}
