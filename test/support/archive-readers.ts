import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LaidFile } from "./layouts.ts";
import { without } from "./tools.ts";

/** Readers that know nothing of Longshore, and why a test of one is skipped. */
export const missing = {
  gnuTar: without("GNU tar", ["sh", "-c", "tar --version | grep -q GNU"], "apt package tar"),
  bsdtar: without("bsdtar", ["bsdtar", "--version"], "apt package libarchive-tools"),
  python: without("Python 3", ["python3", "--version"], "apt package python3"),
  unzip: without("unzip", ["unzip", "-v"], "apt package unzip"),
  sevenZip: without("7-Zip", ["7z", "i"], "apt package 7zip"),
  sha512sum: without("sha512sum", ["sha512sum", "--version"], "apt package coreutils"),
} as const;

/** A folder that is gone after the test; after the suite, with its `after`. */
export function scratch(owner: { after(clean: () => void): unknown }): string {
  const folder = mkdtempSync(join(tmpdir(), "longshore-layout-"));
  owner.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a tool in a time zone far from UTC, so that whatever takes a time for a local one is found out. */
export function run(program: string, words: readonly string[], cwd?: string): string {
  return execFileSync(program, words, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "Asia/Tokyo", PYTHONUTF8: "1" },
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

export function python(script: string, ...words: readonly string[]): unknown {
  return JSON.parse(run("python3", ["-c", script, ...words]));
}

/** What lies below a folder: path → digest of the bytes. */
export function treeOf(folder: string): Record<string, string> {
  return Object.fromEntries(filesBelow(folder).map((path) => [path, sha256(readFileSync(join(folder, path)))]));
}

/** Path → seconds since the epoch. */
export function timesBelow(folder: string): Record<string, number> {
  return Object.fromEntries(
    filesBelow(folder).map((path) => [path, Math.floor(statSync(join(folder, path)).mtimeMs / 1000)]),
  );
}

/** What {@link treeOf} tells when exactly these files lie below `prefix`. */
export function expectedTree(files: readonly LaidFile[], prefix: string): Record<string, string> {
  return Object.fromEntries(files.map(({ path, content }) => [`${prefix}${path}`, sha256(bytesOf(content))]).sort());
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
    .sort();
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function bytesOf(content: LaidFile["content"]): Uint8Array {
  if (typeof content === "string") return Buffer.from(content);
  return content instanceof Uint8Array ? content : Buffer.alloc(content.zeros);
}
