import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { dirname, posix } from "node:path";
import { promisify } from "node:util";
import type { ExtractFile } from "../../core/extract/extractor.ts";
import type { CommandRun } from "./command.ts";

const run = promisify(execFile);

const RUNTIMES = ["podman", "docker"] as const;
const MOST_PROCESSES = 64;
const ASK_MS = 30_000;

/** Runs containers of images that are on this machine already: none is ever fetched. */
export interface ContainerRuntime {
  has(image: string): Promise<boolean>;
  /**
   * @param command of the image, when left out.
   * @returns how to run it, and the files as it sees them.
   */
  prepare(
    image: string,
    command: readonly string[],
    files: readonly ExtractFile[],
    memoryBytes: number,
  ): Pick<CommandRun, "argv" | "env" | "onKill"> & { readonly files: readonly ExtractFile[] };
}

/** The first there is; `undefined` without one. @param env of this process: a runtime is found, and finds its server, by it. */
export async function containerRuntime(env: Readonly<Record<string, string>>): Promise<ContainerRuntime | undefined> {
  for (const runtime of RUNTIMES) if (await succeeds(runtime, ["--version"], env)) return containersBy(runtime, env);
  return undefined;
}

function containersBy(runtime: string, env: Readonly<Record<string, string>>): ContainerRuntime {
  return {
    has: (image) => succeeds(runtime, ["image", "inspect", image], env),
    prepare(image, command, files, memoryBytes) {
      const name = `longshore-${randomUUID()}`;
      const folders = [...new Set(files.map(({ localPath }) => dirname(localPath)))];
      const within = (path: string) => `/in/${folders.indexOf(dirname(path))}`;
      const mounts = folders.map((folder) => `--mount=${mountOf(folder, within(`${folder}/x`))}`);
      const argv = [
        ...[runtime, "run", "--rm", "--interactive", `--name=${name}`, "--pull=never"],
        ...["--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"],
        ...[`--pids-limit=${MOST_PROCESSES}`, `--memory=${memoryBytes}`, `--memory-swap=${memoryBytes}`],
        ...[...mounts, image, ...command],
      ];
      return {
        argv,
        env,
        files: files.map((file) => ({
          ...file,
          localPath: posix.join(within(file.localPath), posix.basename(file.localPath)),
        })),
        async onKill() {
          // It is the runtime's child, not ours; one that has ended already is not there to be removed.
          await succeeds(runtime, ["rm", "--force", name], env);
        },
      };
    },
  };
}

/** `--mount` is a line of CSV. */
function mountOf(source: string, target: string): string {
  const fields = ["type=bind", `source=${source}`, `target=${target}`, "readonly"];
  return fields.map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",");
}

async function succeeds(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<boolean> {
  return run(program, args, { env, timeout: ASK_MS }).then(
    () => true,
    () => false,
  );
}
