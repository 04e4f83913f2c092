import type { Problem } from "../../errors.ts";
import { ByteCursor } from "../byte-cursor.ts";
import { fileByFile } from "../file-by-file.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformedProblem } from "../malformed.ts";
import { countAt, type PathNode, pathTree } from "../path-tree.ts";
import { COUNT, FLAG, listSchema, mapSchema, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { encodingOf, HEAD_BYTES, type TextEncoding, utf8Of } from "../text-encoding.ts";
import { textSample } from "../text-sample.ts";
import { scanXml } from "../xml-scan.ts";

/** The structure of an XML document. In one reading, and in memory that does not depend on the file's length. */
export const extractor = fileByFile({
  name: "xml",
  version: "1",
  takes: {
    mediaTypes: ["application/xml", "text/xml", "image/svg+xml", "application/xhtml+xml"],
    extensions: ["xml", "xsd", "xsl", "xslt", "rdf", "gml", "kml", "gpx", "rss", "atom", "svg"],
  },
  schema: objectSchema({
    root: orNull({ ...TEXT, description: "name of the outermost element" }),
    documentType: orNull(TEXT),
    namespaces: mapSchema({
      ...TEXT,
      description: "declared by the root, by prefix; the default one by an empty name",
    }),
    elements: COUNT,
    attributes: COUNT,
    maxDepth: COUNT,
    entitiesDeclared: { ...COUNT, description: "they are never expanded" },
    paths: listSchema(
      objectSchema({
        path: { ...TEXT, description: "names from the root, and @ before an attribute's" },
        count: COUNT,
      }),
    ),
    morePaths: { ...FLAG, description: "whether there are more paths than listed" },
    text: { ...TEXT, description: "text at the file's beginning" },
  }),
  describe(bytes, { name }) {
    const tree = pathTree();
    const sample = textSample();
    const open: (PathNode | undefined)[] = [tree.root];
    let root: string | null = null;
    let documentType: string | null = null;
    let namespaces: Readonly<Record<string, string>> = {};
    let [elements, attributeCount, maxDepth, entitiesDeclared] = [0, 0, 0, 0];
    const problems: Problem[] = [];

    try {
      scanXml(new ByteCursor(utf8Of(bytes, encodingOfXml(bytes))), {
        element(tag, attributes) {
          if (root === null) {
            root = tag;
            namespaces = declaredBy(attributes);
          }
          const node = tree.below(open.at(-1), tag);
          countAt(node, "element");
          open.push(node);
          for (const attribute of attributes.keys()) countAt(tree.below(node, `@${attribute}`), "attribute");
          elements += 1;
          attributeCount += attributes.size;
          maxDepth = Math.max(maxDepth, open.length - 1);
        },
        end() {
          open.pop();
        },
        text(piece) {
          if (piece.length > 0) sample.add(piece.toString("utf8"));
        },
        textBytes: () => sample.room(),
        entity() {
          entitiesDeclared += 1;
        },
        doctype(type) {
          documentType = type;
        },
      });
    } catch (error) {
      problems.push(malformedProblem(error, name));
    }
    const paths = tree.nodes.map(({ path, count }) => ({ path, count }));
    const counts = { elements, attributes: attributeCount, maxDepth, entitiesDeclared };
    const data = { root, documentType, namespaces, ...counts, paths, morePaths: tree.isFull(), text: sample.text() };
    return { data, problems };
  },
});

/** By its byte order mark; else as the XML declaration says (XML 1.0 §4.3.3); else UTF-8, as far as it is that. */
function encodingOfXml(bytes: LocalBytes): TextEncoding {
  const head = bytes.read(0, HEAD_BYTES);
  const found = encodingOf(head);
  const declared = /^<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)/
    .exec(head.toString("latin1", 0, 200))?.[1]
    ?.toLowerCase();
  if (declared === "iso-8859-1" || declared === "windows-1252") return "windows-1252";
  return found ?? "utf-8";
}

function declaredBy(attributes: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const declared = [...attributes].filter(([name]) => name === "xmlns" || name.startsWith("xmlns:"));
  return Object.fromEntries(declared.map(([name, uri]) => [name.slice("xmlns:".length), uri]));
}
