import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type RegisteredSettings, registeredExtractors } from "../../src/adapters/sandbox/registered.ts";

const MIB = 1024 * 1024;

/** A script for Node: does what the group's first file says in its first line. */
export const DEEDS = `
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createConnection } from "node:net";
import { readFileSync, writeFileSync } from "node:fs";
const { files } = JSON.parse(readFileSync(0, "utf8"));
const [, verb = "", word = ""] = /^(\\S+) ?(.*)$/m.exec(files[0] ? readFileSync(files[0].path, "utf8") : "") ?? [];
const say = (value) => { process.stdout.write(JSON.stringify({ data: { value } })); };
const does = {
  "": () => say(null),
  say: () => say(word),
  names: () => say(files.map(({ name, sizeBytes }) => name + " " + sizeBytes)),
  problem: () => process.stdout.write(JSON.stringify({ data: { value: 1 }, problems: [{ path: "x", message: word }] })),
  environment: () => say(Object.keys(process.env).toSorted()),
  fail: () => { console.error("a line before\\n" + word); process.exit(3); },
  abort: () => process.abort(),
  loop: () => { for (;;); },
  print: () => process.stdout.write(word),
  much: () => process.stdout.write(JSON.stringify({ data: { value: "x".repeat(Number(word)) } })),
  leak: () => { const kept = []; setInterval(() => kept.push(Buffer.alloc(8 * 1024 * 1024, 1)), 5); },
  forks: () => { for (let i = 0; i < 3; i++) spawn("sleep", ["600", word], { detached: true, stdio: "inherit" }); setInterval(() => {}, 1000); },
  leaves: () => { spawn("sleep", ["600", word], { detached: true, stdio: "inherit" }).unref(); say("left"); process.exit(); },
  connect: () => createConnection(Number(word), "127.0.0.1").once("connect", () => { say("connected"); process.exit(); }).once("error", (e) => { say(e.code); }),
  wrote: () => { writeFileSync(process.env.TMPDIR + "/x", "x"); say(process.env.TMPDIR); },
};
does[verb]();
`;

export interface RegisteredFixture {
  /** In which extractors' folders lie. */
  readonly root: string;
  /** Puts an extractor there; fields of `manifest` that are `undefined` are left out. */
  put(folder: string, manifest?: Readonly<Record<string, unknown>>): Promise<void>;
  set: ReturnType<typeof registeredExtractors>;
  readonly invalid: string[];
  run(extractor: string, groups: readonly (readonly string[])[], signal?: AbortSignal): Promise<readonly Told[]>;
}
/** A record's value, or why there is none. */
export type Told =
  | { readonly value: unknown; readonly problems: number }
  | { readonly reason: string; readonly message: string };

export async function registeredFixture(
  t: TestContext,
  settings: Partial<RegisteredSettings> = {},
): Promise<RegisteredFixture> {
  const root = await mkdtemp(join(tmpdir(), "longshore-registered-"));
  const files = await mkdtemp(join(tmpdir(), "longshore-registered-files-"));
  const invalid: string[] = [];
  const set = registeredExtractors({
    folder: root,
    limits: { silenceMs: 60_000, totalMs: 600_000, memoryBytes: 512 * MIB, outputBytes: MIB },
    processes: 2,
    containerEnvironment: {},
    reserved: async () => ["generic"],
    onInvalid: ({ message }) => invalid.push(message),
    ...settings,
  });
  t.after(async () => {
    await set.sandbox.close();
    await rm(root, { recursive: true });
    await rm(files, { recursive: true });
  });
  let count = 0;
  return {
    root,
    set,
    invalid,
    async put(folder, manifest = {}) {
      await mkdir(join(root, folder), { recursive: true });
      await writeFile(join(root, folder, "extract.mjs"), DEEDS);
      const fields = {
        name: folder,
        version: "1",
        takes: { extensions: ["deed"] },
        command: [process.execPath, "extract.mjs"],
        ...manifest,
      };
      await writeFile(join(root, folder, "extractor.json"), JSON.stringify(fields));
    },
    async run(extractor, groups, signal = new AbortController().signal) {
      const written = groups.map((group) =>
        group.map(async (deed, index) => {
          const localPath = join(files, `${count++}`);
          await writeFile(localPath, deed);
          return { localPath, name: `${index}.deed`, sizeBytes: deed.length };
        }),
      );
      const outcomes = await Array.fromAsync(
        set.sandbox.run({ extractor, groups: await Promise.all(written.map((one) => Promise.all(one))), signal }),
      );
      return outcomes.map((one) =>
        "reason" in one ? one : { value: one.result.data.value, problems: one.result.problems.length },
      );
    },
  };
}

/** A program in a folder of its own, for a `PATH`. */
export async function programIn(folder: string, name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), 0o755);
}
