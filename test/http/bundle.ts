import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

export interface BundleOptions {
  /** Declares this digest for every file instead of the right one. */
  readonly hashsum?: string;
  readonly mediaType?: string;
}

/** A bundle made by GNU tar, its digests by sha1sum; `files` by path below `data/`. */
export function bundle(
  files: Readonly<Record<string, string | Uint8Array>>,
  options: BundleOptions = {},
): Uint8Array<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), "longshore-bundle-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(folder, "data", dirname(path)), { recursive: true });
      writeFileSync(join(folder, "data", path), content);
    }
    // One call for all: a process for each of a thousand files takes longer than the test.
    const sums = execFileSync(
      "sha1sum",
      ["--zero", "--", ...Object.keys(files).map((path) => join(folder, "data", path))],
      {
        encoding: "utf8",
        maxBuffer: 2 ** 30,
      },
    ).split("\0");
    const metadata = Object.entries(files).map(([path, content], at) => ({
      destinationTable: "Files",
      name: basename(path),
      subdir: join("data", dirname(path)),
      size: Buffer.byteLength(content),
      mimetype: options.mediaType ?? "text/plain",
      hashtype: "sha1",
      hashsum: options.hashsum ?? sums[at]?.slice(0, 40) ?? "",
      ctime: "2020-09-13T12:26:40",
      mtime: "2020-09-13T12:26:40",
    }));
    writeFileSync(join(folder, "metadata.txt"), JSON.stringify([...TRANSACTION, ...metadata]));
    return new Uint8Array(
      execFileSync("tar", ["-C", folder, "-cf", "-", "metadata.txt", "data"], { maxBuffer: 2 ** 30 }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const TRANSACTION = [
  { destinationTable: "Transactions.submitter", value: 10 },
  { destinationTable: "Transactions.project", value: "1234a" },
  { destinationTable: "Transactions.instrument", value: 54 },
  { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
];

/** The first field of what sha1sum, sha512sum and their like print. */
export function sum(tool: string, path: string): string {
  return execFileSync(tool, [path], { encoding: "utf8" }).split(/\s/)[0]?.replace("\\", "") ?? "";
}
