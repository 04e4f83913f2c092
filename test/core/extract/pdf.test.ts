import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { childProcessSandbox } from "../../../src/adapters/sandbox/child-process.ts";
import type { ExtractFile } from "../../../src/core/extract/extractor.ts";
import { extractor as keywords } from "../../../src/core/extract/extractors/keyword-document.ts";
import { extractor as pdf } from "../../../src/core/extract/extractors/pdf.ts";
import { seededRandom } from "../../support/random.ts";
import { pdfOfObjects, samplePdf } from "./documents.ts";
import { describing } from "./records.ts";

const PAGES = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";

test("a PDF's properties are its own, then those of its XMP", async (t) => {
  const { describe } = await describing(t, pdf);
  const { data, problems } = await describe(samplePdf("hello"));
  assert.deepEqual(problems, []);
  // As written in the sample; the sizes by ISO 32000-1: the crop box, turned, times the user unit.
  assert.deepEqual(data, {
    version: "1.6",
    pages: 3,
    pageSizes: [
      { widthPoints: 612, heightPoints: 792, pages: 2 },
      { widthPoints: 1584, heightPoints: 1224, pages: 1 },
    ],
    title: "Core samples (draft)",
    author: "A. Adams, B. Brown",
    subject: null,
    keywords: null,
    creator: null,
    producer: "by hand",
    language: "en-GB",
    createdAt: "2024-05-06T07:08:09+02:00",
    modifiedAt: "2024",
    isEncrypted: false,
    isTagged: true,
    isLinearized: false,
    hasForm: false,
    hasSignatures: false,
    custom: { Depth: "12 m" },
  });
});

test("a PDF's keywords come from the text of its pages", async (t) => {
  const { describe } = await describing(t, keywords);
  const { data, problems } = await describe(samplePdf("The sediment core was found.\nA sediment core is long."));
  assert.deepEqual(problems, []);
  assert.equal(data.words, 10);
  const [first] = data.phrases as { phrase: string; count: number }[];
  assert.deepEqual([first?.phrase, first?.count], ["sediment core", 2]);
});

test("a PDF without text has no keywords, and a problem", async (t) => {
  const { describe } = await describing(t, keywords);
  const { data, problems } = await describe(samplePdf(""));
  assert.deepEqual([data.words, data.phrases], [0, []]);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["content_textless"],
  );
});

/**
 * `qpdf --encrypt secret owner 40 -- --static-id --deterministic-id` of a PDF with one empty page and a title, by qpdf 11.3.
 */
const LOCKED =
  "JVBERi0xLjYKJb/3ov4KMSAwIG9iago8PCAvUGFnZXMgMyAwIFIgL1R5cGUgL0NhdGFsb2cgPj4KZW5kb2JqCjIgMCBvYmoKPDwgL1RpdGxlIDxjOWZmYjlkYTAyNmQ+ID4+CmVuZG9iagozIDAgb2JqCjw8IC9Db3VudCAxIC9LaWRzIFsgNCAwIFIgXSAvVHlwZSAvUGFnZXMgPj4KZW5kb2JqCjQgMCBvYmoKPDwgL01lZGlhQm94IFsgMCAwIDkgOSBdIC9QYXJlbnQgMyAwIFIgL1R5cGUgL1BhZ2UgPj4KZW5kb2JqCjUgMCBvYmoKPDwgL0ZpbHRlciAvU3RhbmRhcmQgL0xlbmd0aCA0MCAvTyA8OTJmZTBmNDQ1NGFkNGM5NjQ0NjkzZjMzYzA3Y2I1NGY1ODdkY2UxZTI2ODJmZTllY2VhNjEwN2ExZWY2MzBkZD4gL1AgLTQgL1IgMiAvVSA8ZjUzYmUyZjBiOGRhYzQzMTMxOTdkZjJkMTYwYmI1YWRlM2FjMDViNWI2NTY0NDhlNDA1YzFiNjgzZDlkMjcwYj4gL1YgMSA+PgplbmRvYmoKeHJlZgowIDYKMDAwMDAwMDAwMCA2NTUzNSBmIAowMDAwMDAwMDE1IDAwMDAwIG4gCjAwMDAwMDAwNjQgMDAwMDAgbiAKMDAwMDAwMDEwNyAwMDAwMCBuIAowMDAwMDAwMTY2IDAwMDAwIG4gCjAwMDAwMDAyMzUgMDAwMDAgbiAKdHJhaWxlciA8PCAvSW5mbyAyIDAgUiAvUm9vdCAxIDAgUiAvU2l6ZSA2IC9JRCBbPDMxNDE1OTI2NTM1ODk3OTMyMzg0NjI2NDMzODMyNzk1PjwzMTQxNTkyNjUzNTg5NzkzMjM4NDYyNjQzMzgzMjc5NT5dIC9FbmNyeXB0IDUgMCBSID4+CnN0YXJ0eHJlZgo0NDEKJSVFT0YK";

test("a PDF with a password says only that", async (t) => {
  const bytes = Buffer.from(LOCKED, "base64");
  const { data, problems } = await (await describing(t, pdf)).describe(bytes);
  assert.deepEqual([data.version, data.isEncrypted, data.pages, data.title], ["1.6", true, null, null]);
  assert.deepEqual([problems[0]?.code, problems.length], ["content_encrypted", 1]);
  const read = await (await describing(t, keywords)).describe(bytes);
  assert.deepEqual([read.problems[0]?.code, read.data.isWhole], ["content_encrypted", false]);
});

const CYCLES: Readonly<Record<string, readonly string[]>> = {
  "pages that are their own children": [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [2 0 R] /Count 9 >>",
  ],
  "a page whose parent is itself": [
    "<< /Type /Catalog /Pages 2 0 R >>",
    PAGES,
    "<< /Type /Page /Parent 3 0 R /Resources 3 0 R /Contents [3 0 R] >>",
  ],
  "a form that draws itself": [
    "<< /Type /Catalog /Pages 2 0 R >>",
    PAGES,
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 4 0 R >> >> >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >> /Length 5 >>\nstream\n/X Do\nendstream",
  ],
  "a length that refers to itself": [
    "<< /Type /Catalog /Pages 2 0 R /Length 1 0 R >>",
    PAGES,
    "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
    "<< /Length 4 0 R >>\nstream\nBT ET\nendstream",
  ],
  "an object that is a reference to itself": ["1 0 R"],
};

/**
 * In the sandbox, as its parser may leave promises behind that are rejected when the file has long been described: that is
 * no failure of the file, nor of the next. Whatever is damaged is described or refused as damaged.
 */
async function surviveInSandbox(t: TestContext, files: readonly Buffer[]): Promise<void> {
  const { folder } = await describing(t, pdf);
  const groups: ExtractFile[][] = [];
  for (const [i, bytes] of files.entries()) {
    const localPath = join(folder, `${i}.pdf`);
    await writeFile(localPath, bytes);
    groups.push([{ localPath, name: `${i}.pdf`, sizeBytes: bytes.length }]);
  }
  const moduleOf = (name: string) => new URL(`../../../src/core/extract/extractors/${name}.ts`, import.meta.url).href;
  const sandbox = childProcessSandbox({
    modules: new Map(["pdf", "keyword-document"].map((name) => [name, moduleOf(name)])),
    readable: [folder],
    limits: { silenceMs: 60_000, totalMs: 600_000, memoryBytes: 1024 ** 3, outputBytes: 1024 ** 2 },
    processes: 1,
  });
  t.after(() => sandbox.close());
  for (const extractor of ["pdf", "keyword-document"]) {
    let at = 0;
    for await (const outcome of sandbox.run({ extractor, groups, signal: t.signal })) {
      if ("reason" in outcome)
        assert.deepEqual(
          [outcome.reason, outcome.message.slice(0, 19)],
          ["threw", "The file is damaged"],
          `${extractor} of ${files[at]?.toString("base64").slice(0, 4000)}: ${outcome.message}`,
        );
      at += 1;
    }
    assert.equal(at, files.length);
  }
}

for (const [what, objects] of Object.entries(CYCLES))
  test(`${what}: described or refused`, async (t) => surviveInSandbox(t, [pdfOfObjects(objects)]));

test("PDFs cut off or changed at random are described or refused", async (t) => {
  const sample = samplePdf("Some words to find.");
  const random = seededRandom(t);
  const damaged = Array.from({ length: 200 }, (_, round) => {
    if (round % 3 === 0) return sample.subarray(0, random(sample.length));
    const changed = Buffer.from(sample);
    for (let change = random(12); change >= 0; change--) changed[random(changed.length)] = random(256);
    return changed;
  });
  await surviveInSandbox(t, damaged);
});
