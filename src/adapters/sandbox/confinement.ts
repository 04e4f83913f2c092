import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What runtimes reserve and never touch: Node 24 about 600 MB. */
const RESERVED_BYTES = 1024 ** 3;

/** What a command may be kept from on this machine, by the tools of util-linux. */
export interface Confinement {
  /** It reaches no network, not even this machine's. */
  readonly hasNoNetwork: boolean;
  /** It and all it starts end together, however they hide. */
  readonly endsWhole: boolean;
  /** The command line that runs another one so confined. */
  wrap(argv: readonly string[], memoryBytes: number): readonly string[];
}

/**
 * The beginning of a command line whose process ends when this one does, even by SIGKILL: one that loops would stay for
 * ever. Empty where the system cannot do that.
 */
export async function endingWithParent(): Promise<readonly string[]> {
  const launcher = ["setpriv", "--pdeathsig", "KILL"];
  return (await works("setpriv", ["--pdeathsig", "KILL"])) ? launcher : [];
}

/** A network and a process table of its own; whoever is not root needs a user namespace for that. */
const APART = ["--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"];
const NAMESPACES: readonly (readonly string[])[] = [APART, ["--user", "--map-current-user", ...APART]];

/** Finds out what works here: some kernels and containers forbid namespaces. */
export async function confinement(): Promise<Confinement> {
  const tried = await Promise.all(
    NAMESPACES.map(async (flags) => ((await works("unshare", flags)) ? flags : undefined)),
  );
  const namespaces = tried.find((flags) => flags !== undefined);
  const hasLimits = await works("prlimit", ["--core=0"]);
  const launcher = await endingWithParent();
  return {
    hasNoNetwork: namespaces !== undefined,
    endsWhole: namespaces !== undefined,
    wrap: (argv, memoryBytes) => [
      ...launcher,
      ...(namespaces ? ["unshare", ...namespaces] : []),
      // Who watches looks at resident memory, now and then. This is what stops a process that grows between two looks.
      ...(hasLimits
        ? ["prlimit", "--core=0", `--data=${2 * memoryBytes + RESERVED_BYTES}`, `--fsize=${memoryBytes}`]
        : []),
      ...argv,
    ],
  };
}

async function works(tool: string, flags: readonly string[]): Promise<boolean> {
  if (process.platform !== "linux") return false;
  // Without an environment, as they are run later: tools are where every system has them, or not used.
  return run(tool, [...flags, "true"], { env: {} }).then(
    () => true,
    () => false,
  );
}
