import { cellText, quoted, specialTo } from "../cell-text.ts";
import { PIECE_CHARS, type RowFormat } from "../row-format.ts";
import type { Cell } from "../rows.ts";

/**
 * CSV and TSV: UTF-8 without a mark, a header of the fields' ids, LF after every line, fields quoted only where they must
 * be (RFC 4180). Null is nothing and an empty text `""`: readers that do not care see the same.
 */
export function delimitedFormat(format: "csv" | "tsv"): RowFormat {
  const delimiter = format === "tsv" ? "\t" : ",";
  const special = specialTo(delimiter);
  const name = `resource.${format}`;
  const field = (cell: Cell) => (cell === "" ? '""' : quoted(cellText(cell), special));

  return {
    // PostgreSQL's CSV follows the very rules above, so its pages are passed on as they are.
    wants: format === "csv" ? "csv" : "rows",
    async begin(fields, sink) {
      await sink.member(name).write(`${fields.map(({ id }) => field(id)).join(delimiter)}\n`);
    },
    async page({ content }, sink) {
      const member = sink.member(name);
      if ("csv" in content) {
        await member.write(content.csv);
        return;
      }
      let text = "";
      for (const row of content.rows) {
        let first = true;
        for (const cell of row) {
          if (!first) text += delimiter;
          first = false;
          text += field(cell);
        }
        text += "\n";
        if (text.length < PIECE_CHARS) continue;
        await member.write(text);
        text = "";
      }
      await member.write(text);
    },
    async end() {},
    state: () => ({}),
    resume() {},
  };
}
