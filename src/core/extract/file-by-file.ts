import { AppError, type Problem } from "../errors.ts";
import type { ExtractFile, Extractor, ExtractResult, RecordData } from "./extractor.ts";
import { type LocalBytes, withLocalFile } from "./local-bytes.ts";
import { malformedProblem } from "./malformed.ts";
import { listSchema, objectSchema, TEXT } from "./record-schema.ts";

export interface FileExtractor extends Omit<Extractor, "extract"> {
  /** The bytes are closed when it returns. @throws AppError content_malformed when there is nothing to say of the file. */
  describe(bytes: LocalBytes, file: ExtractFile): ExtractResult | Promise<ExtractResult>;
}

/**
 * An extractor that looks at one file at a time. Of a group of one file, the record is the file's; of a larger one,
 * `members` has the record of each that could be read, by its name, and the others are problems.
 */
export function fileByFile({ describe, schema, ...about }: FileExtractor): Extractor {
  const one = async (file: ExtractFile) => withLocalFile(file.localPath, (bytes) => describe(bytes, file));
  const file = { $ref: "#/$defs/file" };
  const members = listSchema(objectSchema({ file: TEXT, record: file }));
  return {
    ...about,
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      anyOf: [file, objectSchema({ members })],
      $defs: { file: schema },
    },
    async extract(files) {
      const [only, ...more] = files;
      if (only !== undefined && more.length === 0) return one(only);
      const members: RecordData[] = [];
      const problems: Problem[] = [];
      for (const file of files) {
        try {
          const { data, problems: found } = await one(file);
          members.push({ file: file.name, record: data });
          problems.push(...found);
        } catch (error) {
          problems.push(malformedProblem(error, file.name));
        }
      }
      if (members.length === 0) throw new AppError("content_malformed", { hint: "no file of the group can be read" });
      return { data: { members }, problems };
    },
  };
}
