import type { Extractor } from "../../core/extract/extractor.ts";

/** What an extractor says of itself, and the URL of the module that says it. */
export interface ModuleFacts extends Omit<Extractor, "extract"> {
  readonly module: string;
}

/** A process of its own: prints what the modules named in its arguments say, as one JSON document. */
const facts: ModuleFacts[] = [];
for (const module of process.argv.slice(2)) {
  const { extractor } = (await import(module)) as { extractor: Extractor };
  const { name, version, takes, schema } = extractor;
  facts.push({ name, version, takes, schema, module });
}
process.stdout.write(JSON.stringify(facts));
