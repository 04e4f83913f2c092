import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CODES } from "../../src/core/errors.ts";

/** The SDK and the command line may not import the table of codes; this is what keeps them to it. */
test("every code that the SDK and the command line throw themselves is in the table of codes", async () => {
  const root = join(import.meta.dirname, "../../src");
  const found = new Set<string>();
  for (const folder of ["sdk", "cli"])
    for (const name of await readdir(join(root, folder), { recursive: true })) {
      if (!name.endsWith(".ts")) continue;
      const text = await readFile(join(root, folder, name), "utf8");
      for (const [, code = ""] of text.matchAll(/new LongshoreError\(\s*"([a-z_]+)"/g)) found.add(code);
      for (const [, code = ""] of text.matchAll(/\.code === "([a-z]+_[a-z_]+)"/g)) found.add(code);
    }
  assert.ok(found.size >= 8, `found only ${[...found].join(", ")}: the pattern no longer matches`);
  assert.deepEqual(
    [...found].filter((code) => !(code in CODES)),
    [],
  );
});
