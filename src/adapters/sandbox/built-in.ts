import { execFile } from "node:child_process";
import { readdir, realpath } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { AppError } from "../../core/errors.ts";
import type { ExtractorFacts } from "../../core/extract/extractions.ts";
import type { ExtractorSet } from "../../core/extract/registry.ts";
import type { Sandbox } from "../../core/extract/sandbox.ts";
import { SNIFFER } from "../../core/extract/sniff.ts";
import { ABSENT, ignoring } from "../storage/fs/errors.ts";
import { childProcessSandbox, ownCode, type SandboxSettings } from "./child-process.ts";
import type { ModuleFacts } from "./facts.ts";

/** The sources run as .ts, the published build as .js. */
const EXTENSION = extname(import.meta.url);
const MODULES = new URL("../../core/extract/extractors/", import.meta.url);
const SNIFFER_MODULE = new URL(`../../core/extract/sniff${EXTENSION}`, import.meta.url);
/** Of all extractors' facts: their schemas take some kilobytes each. */
const FACTS_BYTES = 16 * 1024 * 1024;

const run = promisify(execFile);

/**
 * The extractors of this package: whatever lies in `core/extract/extractors/`. What they need is large and takes time to
 * load, so this process imports none of them: another one does, says what they are, and ends. Nothing of it happens before
 * somebody asks.
 */
export function builtInExtractors(settings: Omit<SandboxSettings, "modules">): ExtractorSet {
  let opening: Promise<{ readonly facts: readonly ExtractorFacts[]; readonly sandbox: Sandbox }> | undefined;
  let isClosed = false;

  async function open() {
    const known = await moduleFacts();
    const readable = await Promise.all(settings.readable.map(resolved));
    const modules = new Map(known.map(({ name, module }) => [name, module]));
    return {
      facts: known.map(({ module: _, ...facts }) => ({ ...facts, isBuiltIn: true })),
      sandbox: childProcessSandbox({
        ...settings,
        modules: modules.set(SNIFFER, SNIFFER_MODULE.href),
        readable: [...new Set([...settings.readable, ...readable])],
      }),
    };
  }

  function opened() {
    if (isClosed) throw new AppError("internal", {}, { cause: new Error("The sandbox is closed.") });
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  return {
    facts: async () => (await opened()).facts,
    sandbox: {
      async *run(one) {
        yield* (await opened()).sandbox.run(one);
      },
      async close() {
        isClosed = true;
        await (await opening)?.sandbox.close();
      },
    },
  };
}

async function moduleFacts(): Promise<readonly ModuleFacts[]> {
  const names = (await readdir(MODULES)).filter((name) => name.endsWith(EXTENSION)).toSorted();
  const urls = names.map((name) => new URL(name, MODULES).href);
  const child = fileURLToPath(new URL(`./facts${EXTENSION}`, import.meta.url));
  const reads = ownCode().map((path) => `--allow-fs-read=${path}`);
  const { stdout } = await run(process.execPath, ["--permission", ...reads, child, ...urls], {
    env: {},
    maxBuffer: FACTS_BYTES,
  });
  return JSON.parse(stdout) as readonly ModuleFacts[];
}

/** Files are read where they lie, and permission is for that place: a root may be a link to it. */
async function resolved(path: string): Promise<string> {
  return (await realpath(path).catch(ignoring(...ABSENT))) ?? path;
}
