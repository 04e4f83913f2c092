import { spawnSync } from "node:child_process";
import dns from "node:dns/promises";
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { connect } from "node:net";
import type { Extractor } from "../../src/core/extract/extractor.ts";

const kept: unknown[] = [];

/** Does what the file says, with the word behind it: one line, `verb word`. */
const DEEDS: Readonly<Record<string, (word: string) => unknown>> = {
  say: (word) => word,
  throw: (word) => {
    throw new Error(word);
  },
  loop: () => {
    for (;;);
  },
  hang: () => new Promise(() => setInterval(() => {}, 1000)),
  "fill-heap": () => {
    for (;;) kept.push({ more: kept.length });
  },
  "fill-memory": () => {
    for (;;) kept.push(Buffer.alloc(4 * 1024 * 1024, 1));
  },
  /** Keeps some more memory each time, and answers. */
  leak: (megabytes) => {
    kept.push(Buffer.alloc(Number(megabytes) * 1024 * 1024, 1));
    return process.pid;
  },
  "say-much": (bytes) => "x".repeat(Number(bytes)),
  "print-garbage": (word) => {
    writeSync(3, `${word}\n`);
    return word;
  },
  "print-to-stdout": (word) => {
    console.log(word);
    return word;
  },
  exit: (code) => process.exit(Number(code)),
  signal: (name) => process.kill(process.pid, name),
  read: (path) => readFileSync(path, "utf8"),
  write: (path) => writeFileSync(path, "written"),
  spawn: (program) => spawnSync(program).error?.message ?? "it ran",
  fetch: async (url) => (await fetch(url)).status,
  "look-up": async (name) => (await dns.lookup(name)).address,
  connect: (port) =>
    new Promise((resolve, reject) => connect(Number(port), "127.0.0.1").once("connect", resolve).once("error", reject)),
  environment: () => Object.keys(process.env),
};

export const extractor: Extractor = {
  name: "misbehaving",
  version: "1",
  takes: { mediaTypes: ["*/*"], extensions: [] },
  schema: {},
  async extract([file]) {
    const [, verb = "", word = ""] = /^(\S+) ?(.*)$/.exec(readFileSync(file?.localPath ?? "", "utf8")) ?? [];
    const value = await DEEDS[verb]?.(word);
    return { data: { value: JSON.parse(JSON.stringify(value ?? null)) }, problems: [] };
  },
};
