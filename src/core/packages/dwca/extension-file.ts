import { AppError } from "../../errors.ts";
import type { Extension } from "./extensions.ts";

/** A start tag or an empty element, with its attributes; or what is skipped as a whole. */
const MARKUP =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*\/?>/g;
const ATTRIBUTE = /([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * Reads one of GBIF's extension definitions (rs.gbif.org/core, rs.gbif.org/extension): the root's `name` and `rowType`, and
 * each `property`'s `name` and `qualName`. Nothing else of it is looked at, so no more of XML is read than start tags;
 * a document type is refused, and with it entities of its own.
 * @param path for messages. @throws AppError dwca_invalid.
 */
export function readExtension(xml: string, path: string): Extension {
  const invalid = (expected: string, found: string) => new AppError("dwca_invalid", { path, expected, found });
  if (/<!DOCTYPE/i.test(xml)) throw invalid("an extension definition", "a document type");
  let root: ReadonlyMap<string, string> | undefined;
  const terms = new Map<string, string>();
  for (const [, tag, attributes = ""] of xml.matchAll(MARKUP)) {
    if (tag === undefined) continue;
    const given = attributesOf(attributes);
    if (!root) {
      if (tag !== "extension") throw invalid("the root element extension", tag);
      root = given;
    } else if (tag === "property") {
      const [name, uri] = [given.get("name"), given.get("qualName")];
      if (!name || !uri) throw invalid("a property with name and qualName", attributes.trim().slice(0, 100));
      if (!terms.has(name)) terms.set(name, uri);
    }
  }
  const [name, rowType] = [root?.get("name"), root?.get("rowType")];
  if (!name || !rowType)
    throw invalid("an extension element with name and rowType", root ? "none of them" : "no element");
  if (!/^[A-Za-z][A-Za-z0-9]*$/.test(name)) throw invalid("a name of letters and digits", name);
  if (terms.size === 0) throw invalid("at least one property", "none");
  return { name, rowType, terms };
}

function attributesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(ATTRIBUTE)].map(([, name = "", double, single]) => [name, unescaped(double ?? single ?? "")]),
  );
}

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
