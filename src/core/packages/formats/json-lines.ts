import { AppError } from "../../errors.ts";
import { jsonText } from "../cell-text.ts";
import { PIECE_CHARS, type RowFormat } from "../row-format.ts";
import type { Field } from "../rows.ts";

const NAME = "resource.jsonl";

/** One JSON object a line (jsonlines.org), in the order of the fields; numbers with all their digits. */
export function jsonLinesFormat(): RowFormat {
  let keys: readonly string[] = [];
  const plan = (fields: readonly Field[]) => {
    keys = fields.map(({ id }, at) => `${at === 0 ? "{" : ","}${JSON.stringify(id)}:`);
  };
  return {
    wants: "rows",
    async begin(fields, sink) {
      plan(fields);
      sink.member(NAME);
    },
    async page({ content }, sink) {
      if (!("rows" in content)) throw new AppError("internal", { expected: "rows", found: "csv" });
      let text = "";
      for (const row of content.rows) {
        for (const [at, cell] of row.entries()) text += `${keys[at]}${jsonText(cell)}`;
        text += "}\n";
        if (text.length < PIECE_CHARS) continue;
        await sink.member(NAME).write(text);
        text = "";
      }
      await sink.member(NAME).write(text);
    },
    async end() {},
    state: () => ({}),
    resume: plan,
  };
}
