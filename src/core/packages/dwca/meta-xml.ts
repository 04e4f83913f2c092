import type { DwcaFile } from "./mapping.ts";

export interface DescribedFile {
  readonly file: DwcaFile;
  /** Name of the member. */
  readonly location: string;
  /** Terms of the columns after the id's. */
  readonly terms: readonly string[];
}

/**
 * The archive's descriptor (Darwin Core text guide, §2): the core first, every file with the delimiters it really has,
 * column 0 the id of the core's record, every other column mapped to one term.
 */
export function metaXml(files: readonly DescribedFile[], delimiter: "," | "\t", hasEml: boolean): string {
  const described = files.map(({ file, location, terms }) => {
    const tag = file.isCore ? "core" : "extension";
    const fields = terms.map((term, at) => `    <field index="${at + 1}" term="${escaped(term)}"/>\n`).join("");
    return (
      `  <${tag} encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="${delimiter === "\t" ? "\\t" : ","}" ` +
      `fieldsEnclosedBy="&quot;" ignoreHeaderLines="1" rowType="${escaped(file.extension.rowType)}">\n` +
      `    <files>\n      <location>${escaped(location)}</location>\n    </files>\n` +
      `    <${file.isCore ? "id" : "coreid"} index="0"/>\n${fields}  </${tag}>\n`
    );
  });
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<archive xmlns="http://rs.tdwg.org/dwc/text/"${hasEml ? ' metadata="eml.xml"' : ""}>\n${described.join("")}</archive>\n`
  );
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
