import { existsSync, realpathSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { basename, dirname, join } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { ExtractFile } from "../../core/extract/extractor.ts";
import type { Outcome, Sandbox, SandboxLimits } from "../../core/extract/sandbox.ts";
import { endingWithParent } from "./confinement.ts";
import { type ExtractorProcess, startExtractorProcess } from "./process.ts";
import { turns } from "./turns.ts";

export interface SandboxSettings {
  /** URLs of modules that export `extractor`, by the extractor's name. */
  readonly modules: ReadonlyMap<string, string>;
  /** Folders and files that extractors may read: the roots of what is crawled, and the folder that files are fetched to. */
  readonly readable: readonly string[];
  readonly limits: SandboxLimits;
  /** That run at the same time. */
  readonly processes: number;
}

/**
 * Processes of this Node, kept for the next run (a start takes about 0.1 s), under its permission model: they read what
 * `readable` names and this package, write nowhere, start nothing. The network is taken from them by `no-network.ts`.
 *
 * That holds against files: what parses them is JavaScript, and cannot be led to call what it does not call. It is no
 * wall against an extractor that is itself hostile: Node says so of its permission model, too.
 */
export function childProcessSandbox({ modules, readable, limits, processes }: SandboxSettings): Sandbox {
  const allowed = [...readable, ...ownCode()];
  const idle: ExtractorProcess[] = [];
  const started = new Set<ExtractorProcess>();
  const closing = new AbortController();
  const { take, passOn } = turns(processes);
  let launcher: Promise<readonly string[]> | undefined;

  async function living(): Promise<ExtractorProcess> {
    for (let kept = idle.pop(); kept; kept = idle.pop()) {
      if (kept.isAlive) return kept;
      started.delete(kept);
    }
    launcher ??= endingWithParent();
    const fresh = startExtractorProcess(limits, allowed, await launcher);
    started.add(fresh);
    return fresh;
  }

  /** As many outcomes as one process gives: all, or fewer when it had to be ended or gave way. */
  async function* byOneProcess(
    module: string,
    groups: readonly (readonly ExtractFile[])[],
    deadline: number,
    signal: AbortSignal,
  ): AsyncGenerator<Outcome, void, undefined> {
    const extractor = await living();
    let isDone = false;
    try {
      extractor.ask({ module, groups });
      for (const _ of groups) {
        const answer = await extractor.answer(deadline - performance.now(), signal);
        if ("resigns" in answer) return;
        if ("reason" in answer) {
          yield answer;
          return;
        }
        yield "threw" in answer ? { reason: "threw", message: answer.threw } : answer;
      }
      isDone = true;
    } finally {
      if (isDone) idle.push(extractor);
      else {
        await extractor.kill();
        started.delete(extractor);
      }
    }
  }

  return {
    async *run({ extractor, groups, signal }) {
      const module = modules.get(extractor);
      if (module === undefined)
        throw new AppError("internal", {}, { cause: new Error(`No extractor "${extractor}".`) });
      const either = AbortSignal.any([signal, closing.signal]);
      await take();
      try {
        const deadline = performance.now() + limits.totalMs;
        let done = 0;
        while (done < groups.length) {
          either.throwIfAborted();
          let last: Outcome | undefined;
          for await (last of byOneProcess(module, groups.slice(done), deadline, either)) {
            done += 1;
            yield last;
          }
          if (last && "reason" in last && last.reason === "total") for (; done < groups.length; done++) yield last;
        }
      } finally {
        passOn();
      }
    },
    async close() {
      closing.abort(new AppError("internal", {}, { cause: new Error("The sandbox is closed.") }));
      await Promise.all([...started].map((one) => one.kill()));
    },
  };
}

/**
 * Where this package and those it needs lie: in its own folder, which may link to where they really are, or beside it when
 * it is installed itself.
 */
export function ownCode(): readonly string[] {
  const manifest = findPackageJSON("..", import.meta.url);
  if (manifest === undefined) throw new Error("The sandbox does not find the package it belongs to.");
  const folder = dirname(manifest);
  const parent = dirname(folder);
  const packages = basename(parent) === "node_modules" ? parent : join(folder, "node_modules");
  return [...new Set([folder, packages, ...(existsSync(packages) ? [realpathSync(packages)] : [])])];
}
