import { isVerbatim } from "../csv/csv-rows.ts";
import { DelimitedText } from "../csv/delimited-text.ts";
import { cursorOver } from "../page-rows.ts";
import type { RowFormat } from "../row-format.ts";
import type { Field } from "../rows.ts";

/**
 * CSV and TSV: UTF-8 without a mark, a header of the fields' ids, LF after every line, fields quoted only where they must
 * be (RFC 4180). Null is nothing and an empty text `""`: readers that do not care see the same.
 */
export function delimitedFormat(format: "csv" | "tsv"): RowFormat {
  const text = new DelimitedText(format === "tsv" ? "\t" : ",", '""');
  const name = `resource.${format}`;
  let fields: readonly Field[] = [];
  /** PostgreSQL's CSV follows the very rules above: but for some types, its pages are passed on as they are. */
  let isPassedOn = false;

  function plan(all: readonly Field[]): void {
    fields = all;
    isPassedOn = format === "csv" && all.every(isVerbatim);
  }

  return {
    async begin(all, sink) {
      plan(all);
      text.line(all.map(({ id }) => id));
      await sink.member(name).write(text.take());
    },
    async page({ content }, sink) {
      const member = sink.member(name);
      if (isPassedOn && "csv" in content) {
        await member.write(content.csv);
        return;
      }
      for (const rows = cursorOver(content, fields); rows.next(); ) {
        for (let column = 0; column < fields.length; column++) {
          if (column > 0) text.add(text.delimiter);
          text.cell(rows, column);
        }
        text.add("\n");
        if (text.isFull) await member.write(text.take());
      }
      await member.write(text.take());
    },
    async end() {},
    state: () => ({}),
    resume: plan,
  };
}
