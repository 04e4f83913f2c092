import { Parser } from "htmlparser2";
import type { RecordData } from "../extractor.ts";

/** Packets are some kilobytes; of those with thumbnails in them, the beginning is read. */
export const MAX_XMP_BYTES = 256 * 1024;
const MAX_PROPERTIES = 200;
const MAX_VALUE_CHARS = 1000;

const CONTAINERS = new Set(["rdf:Bag", "rdf:Seq", "rdf:Alt", "rdf:li"]);

/**
 * The plain properties of an XMP packet (ISO 16684-1, 7), by their names with prefix: as attributes or elements, and lists
 * of plain values, parted by `; `. Structures, such as a file's history, are left out.
 */
export function xmpProperties(packet: Buffer): RecordData {
  const properties = new Map<string, string>();
  const open: string[] = [];
  /** Where the description lies that is open, or -1. */
  let described = -1;
  let text = "";

  function set(name: string, value: string): void {
    const plain = value.trim().slice(0, MAX_VALUE_CHARS).toWellFormed();
    if (plain === "" || /^(rdf|xmlns|xml|x):|^xmlns$/.test(name)) return;
    const before = properties.get(name);
    if (before === undefined && properties.size >= MAX_PROPERTIES) return;
    properties.set(
      name.slice(0, 200).toWellFormed(),
      before === undefined ? plain : `${before}; ${plain}`.slice(0, MAX_VALUE_CHARS).toWellFormed(),
    );
  }
  /** The property that text stands for here: directly, or as one of its list. */
  function property(): string | undefined {
    if (described < 0 || open.length > described + 4) return undefined;
    const [name, ...within] = open.slice(described + 1);
    return within.every((one) => CONTAINERS.has(one)) ? name : undefined;
  }

  const parser = new Parser(
    {
      onopentag(name, attributes) {
        // Only of the description itself: one within a property is a structure.
        if (name === "rdf:Description" && described < 0) {
          described = open.length;
          for (const [attribute, value] of Object.entries(attributes)) set(attribute, value);
        }
        open.push(name);
        text = "";
      },
      ontext(piece) {
        if (text.length < MAX_VALUE_CHARS) text += piece;
      },
      onclosetag() {
        const name = property();
        if (name !== undefined) set(name, text);
        open.pop();
        if (open.length === described) described = -1;
        text = "";
      },
    },
    { xmlMode: true },
  );
  parser.end(packet.toString("utf8"));
  return Object.fromEntries(properties);
}
