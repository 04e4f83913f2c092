import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { AppError } from "../../../src/core/errors.ts";
import type { Extractor, ExtractResult } from "../../../src/core/extract/extractor.ts";

/** A folder for files to describe, and every record checked against the extractor's own schema. */
export async function describing(t: TestContext, extractor: Extractor) {
  const folder = await mkdtemp(join(tmpdir(), "longshore-extract-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(extractor.schema);

  async function describe(content: string | Uint8Array, name = "file"): Promise<ExtractResult> {
    const localPath = join(folder, "content");
    await writeFile(localPath, content);
    const result = await extractor.extract([{ localPath, name, sizeBytes: content.length }]);
    // As it comes out of the sandbox: a NaN or an undefined would be another thing there.
    const data = JSON.parse(JSON.stringify(result.data));
    assert.ok(validate(data), JSON.stringify(validate.errors));
    assert.deepEqual(data, withoutNegativeZero(result.data), "the record is not JSON-safe");
    return result;
  }

  return {
    folder,
    describe,
    /** The record of damaged bytes is valid or refused as damaged; @returns which. */
    async survives(content: Uint8Array, name: string): Promise<"described" | "refused"> {
      try {
        await describe(content, name);
        return "described";
      } catch (error) {
        if (error instanceof AppError && error.code === "content_malformed") return "refused";
        throw new Error(`${extractor.name} threw of ${Buffer.from(content).toString("base64").slice(0, 4000)}`, {
          cause: error,
        });
      }
    },
  };
}

/** JSON has none; as a value of a file's own it may lose its sign. */
function withoutNegativeZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutNegativeZero(member)]));
}
