import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

const EVERYTHING = [
  "adapters",
  "cli",
  "compose",
  "core",
  "http",
  "local",
  "sdk",
  "settings",
  "telemetry",
  "web",
  "log.ts",
  "version.ts",
];

/** Which top folder of src/ may import which. Files directly in src/ are the entry: no limit. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: ["core"],
  adapters: ["adapters", "core"],
  http: ["http", "core"],
  web: ["web", "http", "core"],
  sdk: ["sdk"],
  cli: ["cli", "sdk"],
  // Which adapter is meant by a setting is known here alone.
  settings: ["settings", "core"],
  telemetry: ["telemetry", "core"],
  compose: ["compose", "settings", "telemetry", "adapters", "core", "log.ts", "version.ts"],
  local: EVERYTHING,
};

/**
 * What of core the SDK shares, as it is the same at both ends: these import nothing but types and each other, so that
 * whoever bundles the SDK gets no more of the server.
 */
const SHARED_WITH_SDK = new Set(["core/rate.ts", "core/outbound/host-pace.ts", "core/outbound/tries.ts"]);

/** Pages' scripts run in browsers: they import each other, the SDK, and of the face only what imports nothing itself. */
const CLIENT = "web/client/";
const SHARED_WITH_CLIENT = new Set(["web/amounts.ts"]);

/** What core may use from outside: pure things. No server, no database, no file system, no environment. */
const CORE_PACKAGES = new Set([
  "node:stream",
  "node:stream/consumers",
  "node:stream/promises",
  "node:async_hooks",
  "node:crypto",
  "node:path",
  "node:zlib",
  "node:buffer",
  "zod",
  "ajv",
  "ajv/dist/2020.js",
  "croner",
  "cronstrue",
  "hyparquet",
  "hyparquet-writer",
]);
/** What reads foreign formats: only below core/extract, which runs it in the sandbox. */
const EXTRACTOR_PACKAGES = new Set([
  "@e965/xlsx",
  "htmlparser2",
  "hyparquet-compressors",
  "mediainfo.js",
  "unpdf/pdfjs",
  "web-tree-sitter",
]);
/** Extractors are given a file on this machine, in a process that may only read: this is what they read it with. */
const CORE_EXCEPTIONS: Readonly<Record<string, string>> = { "node:fs": "core/extract/local-bytes.ts" };
/** Collaborators that core is given (a clock, settings), never takes. */
const CORE_FORBIDDEN = [/\bDate\.now\b/, /\bnew Date\(\)/, /\bprocess\.env\b/, /\bsetTimeout\(/, /\bconsole\./];

const FROM = /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*)"([^"]+)"/g;

interface Source {
  readonly file: string;
  readonly folder: string;
  readonly text: string;
  readonly imports: readonly string[];
}

async function sources(): Promise<readonly Source[]> {
  const root = join(import.meta.dirname, "..", "src");
  const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith(".ts"));
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(root, file), "utf8");
      const folder = file.includes("/") ? (file.split("/")[0] ?? "") : "";
      return { file, folder, text, imports: [...text.matchAll(FROM)].map(([, spec = ""]) => spec) };
    }),
  );
}

test("folders import only in the allowed direction", async () => {
  const inFolders = (await sources()).filter(({ folder }) => folder !== "");
  assert.ok(inFolders.length > 50, `found only ${inFolders.length} sources: the check would pass on nothing`);
  let checked = 0;
  for (const { file, folder, imports } of inFolders) {
    const allowed = MAY_IMPORT[folder];
    assert.ok(allowed, `src/${folder} is a folder the dependency rule does not know`);
    for (const spec of imports.filter((one) => one.startsWith("."))) {
      const target = join(file, "..", spec);
      const to = target.split("/")[0] ?? "";
      const shared = (folder === "sdk" && SHARED_WITH_SDK.has(target)) || (file.startsWith(CLIENT) && to === "sdk");
      assert.ok(shared || allowed.includes(to), `src/${file} imports ${spec}: ${folder} may not import ${to}`);
      checked++;
    }
  }
  assert.ok(checked > 100, `followed only ${checked} imports: the pattern no longer matches them`);
});

test("scripts of pages bring nothing of the server along", async () => {
  const all = await sources();
  const client = all.filter(({ file }) => file.startsWith(CLIENT));
  assert.ok(client.length > 0, "found no script: the check would pass on nothing");
  for (const { file, imports } of client)
    for (const spec of imports) {
      const target = join(file, "..", spec);
      assert.ok(
        target.startsWith(CLIENT) || target.startsWith("sdk/") || SHARED_WITH_CLIENT.has(target),
        `src/${file} imports ${spec}, which browsers are not given`,
      );
    }
  for (const { file, imports } of all.filter((one) => SHARED_WITH_CLIENT.has(one.file)))
    assert.deepEqual(imports, [], `src/${file} is shared with browsers`);
});

test("what the SDK shares with core brings nothing else of the server along", async () => {
  const shared = (await sources()).filter(({ file }) => SHARED_WITH_SDK.has(file));
  assert.equal(shared.length, SHARED_WITH_SDK.size, "one of the shared files is gone");
  for (const { file, text } of shared)
    for (const [line, spec = ""] of text.matchAll(/^(?:import|export) .*from "([^"]+)";$/gm))
      assert.ok(
        /^(import|export) type /.test(line) || SHARED_WITH_SDK.has(join(file, "..", spec)),
        `src/${file} imports more than types from ${spec}`,
      );
});

test("core uses nothing but pure libraries and what it is given", async () => {
  const core = (await sources()).filter(({ folder }) => folder === "core");
  assert.ok(core.length > 20, `found only ${core.length} files of core: the check would pass on nothing`);
  for (const { file, text, imports } of core) {
    for (const spec of imports.filter((one) => !one.startsWith(".")))
      assert.ok(
        CORE_PACKAGES.has(spec) ||
          CORE_EXCEPTIONS[spec] === file ||
          (EXTRACTOR_PACKAGES.has(spec) && file.startsWith("core/extract/")),
        `src/${file} imports ${spec}, which core may not use`,
      );
    for (const forbidden of CORE_FORBIDDEN)
      assert.doesNotMatch(text, forbidden, `src/${file} takes ${forbidden.source}; it has to be given it`);
  }
});
