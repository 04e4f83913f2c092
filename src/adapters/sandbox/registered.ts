import { constants } from "node:fs";
import { access, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join, relative, resolve } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { ExtractorFacts } from "../../core/extract/extractions.ts";
import type { ExtractFile } from "../../core/extract/extractor.ts";
import { type AnswerReader, answerReader, type ExtractorManifest, parseManifest } from "../../core/extract/manifest.ts";
import type { RegisteredExtractors } from "../../core/extract/registry.ts";
import type { Outcome, SandboxLimits } from "../../core/extract/sandbox.ts";
import { SNIFFER } from "../../core/extract/sniff.ts";
import { ABSENT, ignoring, refusals } from "../storage/fs/errors.ts";
import { type CommandLimits, runCommand } from "./command.ts";
import { type Confinement, confinement } from "./confinement.ts";
import { type ContainerRuntime, containerRuntime } from "./container.ts";
import { turns } from "./turns.ts";

const MANIFEST = "extractor.json";
/** All that an extractor sees of this process's environment. */
const PATH = ["/usr/local/bin", "/usr/bin", "/bin"].join(delimiter);

export interface RegisteredSettings {
  /** Each folder in it is an extractor. */
  readonly folder: string;
  /** For extractors whose manifest says nothing else. */
  readonly limits: SandboxLimits;
  /** That run at the same time. */
  readonly processes: number;
  /**
   * What podman or docker need of this process's environment to find their images and servers: `PATH`, `HOME`,
   * `XDG_RUNTIME_DIR`, `DOCKER_HOST` and the like. No extractor sees it.
   */
  readonly containerEnvironment: Readonly<Record<string, string>>;
  /** Names that are taken. */
  reserved(): Promise<readonly string[]>;
  /** Told of each folder that cannot be taken up, once for each version of its manifest. */
  onInvalid?(error: AppError): void;
}

interface Registered {
  readonly facts: ExtractorFacts;
  readonly manifest: ExtractorManifest;
  /** Absolute. */
  readonly folder: string;
  readonly limits: CommandLimits;
  readonly read: AnswerReader;
}

interface Tools {
  readonly confined: Confinement;
  readonly containers: ContainerRuntime | undefined;
}

const absent = ignoring(...ABSENT);

/**
 * Extractors that an operator has put into a folder: programs, or images of containers. Whoever looks, looks into the folder
 * again: what was put there meanwhile is checked and taken up, by every process that shares the folder.
 *
 * Each group of files is a process of its own, with limits on time, memory and output, an environment of its own, and no
 * network where the system can take it away. It may read, and write, what this process's user may: that is no wall against
 * an extractor that is itself hostile, and an operator has to trust it as far. A container has its image and the files,
 * read-only, and nothing else.
 */
export function registeredExtractors(settings: RegisteredSettings): RegisteredExtractors {
  const root = resolve(settings.folder);
  const known = new Map<string, { readonly stamp: string; readonly extractor: Registered | undefined }>();
  const { take, passOn } = turns(settings.processes);
  const closing = new AbortController();
  let tools: Promise<Tools> | undefined;
  let looking: Promise<unknown> = Promise.resolve();

  function toolsHere(): Promise<Tools> {
    tools ??= Promise.all([confinement(), containerRuntime({ PATH, ...settings.containerEnvironment })]).then(
      ([confined, containers]) => ({
        confined,
        containers,
      }),
    );
    return tools;
  }

  /** One look at a time: two would check the same folder twice. */
  function inTurn<T>(look: () => Promise<T>): Promise<T> {
    const next = looking.then(look);
    looking = next.catch(() => {}); // thrown to whoever looked
    return next;
  }

  async function foldersThere(): Promise<readonly string[]> {
    const entries = (await readdir(root, { withFileTypes: true }).catch(absent)) ?? [];
    const names = entries.filter((entry) => !entry.isFile() && !entry.name.startsWith(".")).map(({ name }) => name);
    return names.toSorted();
  }

  async function stampOf(name: string): Promise<string | undefined> {
    const found = await stat(join(root, name, MANIFEST)).catch(absent);
    return found && `${found.mtimeMs} ${found.size}`;
  }

  async function look(): Promise<readonly Registered[]> {
    const names = await foldersThere();
    for (const name of known.keys()) if (!names.includes(name)) known.delete(name);
    for (const name of names) {
      const stamp = await stampOf(name);
      if (stamp === undefined || known.get(name)?.stamp === stamp) continue;
      try {
        known.set(name, { stamp, extractor: await check(name) });
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "extractor_invalid") throw error;
        known.set(name, { stamp, extractor: known.get(name)?.extractor });
        settings.onInvalid?.(error);
      }
    }
    return [...known.values()].flatMap(({ extractor }) => extractor ?? []);
  }

  /** @throws AppError extractor_invalid. */
  async function check(name: string): Promise<Registered> {
    const folder = join(root, name);
    const text = await readFile(join(folder, MANIFEST), "utf8").catch(absent);
    if (text === undefined) throw invalid(name, "it has no extractor.json");
    const manifest = parseManifest(text, name);
    const others = [...known].filter(([other]) => other !== name).flatMap(([, { extractor }]) => extractor ?? []);
    const taken = [...(await settings.reserved()), SNIFFER, ...others.map(({ facts }) => facts.name)];
    if (taken.includes(manifest.name)) throw invalid(name, `the name "${manifest.name}" is taken`);
    const read = answerReader(manifest.schema, name);
    const { timeMs, memoryBytes, outputBytes } = manifest.limits;
    const extractor: Registered = {
      folder,
      manifest,
      read,
      limits: {
        timeMs: timeMs ?? settings.limits.silenceMs,
        memoryBytes: memoryBytes ?? settings.limits.memoryBytes,
        outputBytes: outputBytes ?? settings.limits.outputBytes,
      },
      facts: {
        name: manifest.name,
        version: manifest.version,
        takes: manifest.takes,
        schema: manifest.schema ?? null,
        isBuiltIn: false,
      },
    };
    await requireProgram(extractor, name);
    await tryOut(extractor, name);
    return extractor;
  }

  /** @throws AppError extractor_invalid. */
  async function requireProgram({ manifest, folder }: Registered, name: string): Promise<void> {
    const { image, command } = manifest;
    if (image !== undefined) {
      const { containers } = await toolsHere();
      if (!containers) throw invalid(name, "this machine has neither podman nor docker");
      if (!(await containers.has(image))) throw invalid(name, `this machine does not have the image "${image}"`);
      return;
    }
    const [program = ""] = command ?? [];
    const places = program.includes("/")
      ? [resolve(folder, program)]
      : PATH.split(delimiter).map((one) => join(one, program));
    const runnable = await Promise.all(places.map(isRunnable));
    if (!runnable.includes(true)) throw invalid(name, `"${program}" is no program that can be run`);
  }

  /** On its sample, which it has to describe; without one on a group of no files, which it has to bear. */
  async function tryOut(extractor: Registered, name: string): Promise<void> {
    const { sample } = extractor.manifest;
    const files = sample === undefined ? [] : [await sampleFile(extractor.folder, sample, name)];
    const reader = sample === undefined ? { ...extractor, read: answerReader(undefined, name) } : extractor;
    const outcome = await describe(reader, files, closing.signal);
    if (!("reason" in outcome)) return;
    const of = sample === undefined ? "a group of no files" : `its sample "${sample}"`;
    throw invalid(name, `tried on ${of}, it failed (${outcome.reason}): ${outcome.message}`);
  }

  async function describe(
    { manifest, folder, limits, read }: Registered,
    files: readonly ExtractFile[],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { confined, containers } = await toolsHere();
    const { image, command = [] } = manifest;
    // Of its own, and gone afterwards: what a command leaves there is nobody's.
    const home = await refusals(() => mkdtemp(join(tmpdir(), "longshore-extractor-")));
    const begun = performance.now();
    try {
      const prepared =
        image !== undefined && containers
          ? containers.prepare(image, command, files, limits.memoryBytes)
          : {
              argv: confined.wrap(command, limits.memoryBytes),
              env: { PATH, LANG: "C.UTF-8", HOME: home, TMPDIR: home },
              files,
            };
      const input = prepared.files.map(({ localPath: path, name, sizeBytes }) => ({ path, name, sizeBytes }));
      const ended = await runCommand({
        ...prepared,
        cwd: folder,
        input: JSON.stringify({ files: input }),
        limits,
        signal,
      });
      if ("reason" in ended) return ended;
      const result = read(ended.printed);
      if ("wrong" in result) return { reason: "garbage", message: result.wrong };
      return { result, durationMs: performance.now() - begun, sizeChars: ended.printed.length };
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }

  return {
    facts: () => inTurn(async () => (await look()).map(({ facts }) => facts)),

    async register(folder) {
      const name = relative(root, resolve(root, folder));
      if (isAbsolute(name) || /[/\\]/.test(name) || name === "..")
        throw invalid(folder, "it does not lie directly in LONGSHORE_EXTRACTORS");
      return inTurn(async () => {
        const names = name === "" ? await foldersThere() : [name];
        const taken: ExtractorFacts[] = [];
        const wrong: AppError[] = [];
        for (const one of names) {
          try {
            const stamp = (await stampOf(one)) ?? "";
            const extractor = await check(one);
            known.set(one, { stamp, extractor });
            taken.push(extractor.facts);
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== "extractor_invalid") throw error;
            wrong.push(error);
          }
        }
        const [first] = wrong;
        if (!first) return taken;
        const hint = wrong.map(({ details }) => `${details.folder}: ${details.hint}`).join("; ");
        throw wrong.length === 1 ? first : invalid(folder, hint);
      });
    },

    sandbox: {
      async *run({ extractor: name, groups, signal }) {
        const extractor = [...known.values()].find((one) => one.extractor?.facts.name === name)?.extractor;
        if (!extractor) throw new AppError("internal", {}, { cause: new Error(`No extractor "${name}".`) });
        const either = AbortSignal.any([signal, closing.signal]);
        await take();
        try {
          const deadline = performance.now() + settings.limits.totalMs;
          for (const files of groups) {
            either.throwIfAborted();
            const leftMs = deadline - performance.now();
            const timeMs = Math.min(extractor.limits.timeMs, Math.max(1, leftMs));
            const outcome =
              leftMs <= 0
                ? TOTAL
                : await describe({ ...extractor, limits: { ...extractor.limits, timeMs } }, files, either);
            const isTotal = "reason" in outcome && outcome.reason === "silence" && timeMs < extractor.limits.timeMs;
            yield isTotal ? TOTAL : outcome;
          }
        } finally {
          passOn();
        }
      },
      async close() {
        closing.abort(new AppError("internal", {}, { cause: new Error("The sandbox is closed.") }));
        await looking;
      },
    },
  };
}

const TOTAL: Outcome = { reason: "total", message: "The run has used up its time." };

/** @throws AppError extractor_invalid. */
async function sampleFile(folder: string, sample: string, name: string): Promise<ExtractFile> {
  const localPath = resolve(folder, sample);
  const found = await stat(localPath).catch(absent);
  if (!found?.isFile()) throw invalid(name, `its sample "${sample}" is no file`);
  return { localPath, name: sample, sizeBytes: found.size };
}

async function isRunnable(path: string): Promise<boolean> {
  const found = await stat(path).catch(absent);
  if (!found?.isFile()) return false;
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function invalid(folder: string, hint: string): AppError {
  return new AppError("extractor_invalid", { folder, hint });
}
