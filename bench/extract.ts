/**
 * How many files the extractors describe in a second, over files of this machine, inside the sandbox: one process, one run
 * per extractor, the files in the page cache.
 *
 *     node bench/extract.ts [--runs 5] [--folder /usr] [--files 1500] [--only json]
 *
 * Prints one JSON line per extractor: files/s and MB/s are medians, `spread` is (fastest - slowest) / median.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { builtInExtractors } from "../src/adapters/sandbox/built-in.ts";
import type { ExtractFile } from "../src/core/extract/extractor.ts";
import type { ExtractorSet } from "../src/core/extract/registry.ts";
import { MACHINE, median, rounded } from "./measure.ts";

const MIB = 1024 * 1024;
/** Of files that are certainly an extractor's; of others, it says itself which endings it takes. */
const ENDINGS: Readonly<Record<string, RegExp>> = {
  "tabular-text": /\.(csv|tsv)$/,
  "keyword-text": /\.(txt|md|rst)$/,
  "keyword-document": /\.(pdf|docx|odt|html?|rtf)$/,
  "image-headers": /\.(png|jpe?g|gif|tiff?|webp|bmp)$/,
  "archive-listing": /\.(zip|tar|t?gz)$/,
  pdf: /\.pdf$/,
  media: /\.(wav|mp3|mp4|ogg|oga|flac|mkv|avi|mov)$/,
  xml: /\.(xml|svg)$/,
  generic: /./,
};

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    folder: { type: "string", default: "/usr" },
    files: { type: "string", default: "1500" },
    only: { type: "string" },
  },
});

const made = mkdtempSync(join(tmpdir(), "longshore-extract-bench-"));
const set = builtInExtractors({
  readable: [values.folder, made],
  limits: { silenceMs: 60_000, totalMs: 600_000, memoryBytes: 512 * MIB, outputBytes: 16 * MIB },
  processes: 1,
});
try {
  const found = await filesBelow(values.folder);
  for (const { name, takes } of await set.facts()) {
    if (values.only && values.only !== name) continue;
    const ending = ENDINGS[name] ?? new RegExp(`\\.(${takes.extensions.join("|")})$`);
    const own = name === "tabular-text" ? madeTables() : [];
    const files = [...found.filter((path) => ending.test(path)), ...own].slice(0, Number(values.files)).map(asFile);
    if (files.length > 0) console.log(JSON.stringify(await measure(set, name, files)));
  }
} finally {
  await set.sandbox.close();
  rmSync(made, { recursive: true, force: true });
}

async function measure({ sandbox }: ExtractorSet, name: string, files: readonly ExtractFile[]) {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const perSecond: number[] = [];
  let failed = 0;
  let withProblems = 0;
  // The first run warms the page cache and the process.
  for (let run = -1; run < Number(values.runs); run++) {
    const begun = performance.now();
    failed = 0;
    withProblems = 0;
    const groups = files.map((file) => [file]);
    for await (const outcome of sandbox.run({ extractor: name, groups, signal: new AbortController().signal })) {
      if ("reason" in outcome) failed += 1;
      else if (outcome.result.problems.length > 0) withProblems += 1;
    }
    if (run >= 0) perSecond.push(files.length / ((performance.now() - begun) / 1000));
  }
  const middle = median(perSecond);
  return {
    bench: "extract",
    extractor: name,
    files: files.length,
    megabytes: rounded(bytes / 1e6, 1),
    filesPerSecond: Math.round(middle),
    megabytesPerSecond: rounded((bytes / 1e6 / files.length) * middle, 1),
    spread: rounded((Math.max(...perSecond) - Math.min(...perSecond)) / middle),
    failed,
    withProblems,
    ...MACHINE,
  };
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Machines have few tables: 200 of 20 to 2,000 rows. */
function madeTables(): readonly string[] {
  return Array.from({ length: 200 }, (_, table) => {
    const rows = Array.from(
      { length: 20 + table * 10 },
      (_, i) => `${i},${i * 1.5},"name ${i % 7}",2024-01-0${1 + (i % 9)},${i % 3}`,
    );
    const path = join(made, `${table}.csv`);
    writeFileSync(path, `id,value,name,day,class\n${rows.join("\n")}\n`);
    return path;
  });
}

function asFile(localPath: string): ExtractFile {
  return { localPath, name: basename(localPath), sizeBytes: statSync(localPath).size };
}
