import { ByteText } from "../byte-text.ts";
import { jsonText } from "../cell-text.ts";
import { valuesOf } from "../page-rows.ts";
import type { RowFormat } from "../row-format.ts";
import type { Field } from "../rows.ts";

const NAME = "resource.jsonl";

/** One JSON object a line (jsonlines.org), in the order of the fields; numbers with all their digits. */
export function jsonLinesFormat(): RowFormat {
  const text = new ByteText();
  let fields: readonly Field[] = [];
  let keys: readonly string[] = [];
  const plan = (all: readonly Field[]) => {
    fields = all;
    keys = fields.map(({ id }, at) => `${at === 0 ? "{" : ","}${JSON.stringify(id)}:`);
  };
  return {
    async begin(all, sink) {
      plan(all);
      sink.member(NAME);
    },
    async page({ content }, sink) {
      const member = sink.member(NAME);
      for (const row of valuesOf(content, fields)) {
        for (const [at, cell] of row.entries()) {
          text.add(keys[at] ?? "");
          text.add(jsonText(cell));
        }
        text.add("}\n");
        if (text.isFull) await member.write(text.take());
      }
      await member.write(text.take());
    },
    async end() {},
    state: () => ({}),
    resume: plan,
  };
}
