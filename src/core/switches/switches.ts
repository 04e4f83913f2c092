import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type ControlFile, parseControlFile, unusable } from "./control-file.ts";
import {
  isWithin,
  type Pause,
  plainPath,
  SUBSYSTEMS,
  type Subject,
  type Subsystem,
  type SwitchStore,
} from "./switch.ts";

/** What stops something. */
export interface Halt {
  readonly subject: Subject;
  readonly reason: string | null;
  /** Who paused it; `null`: the control file. */
  readonly by: string | null;
  /** Epoch milliseconds; `null` when the control file does not tell. */
  readonly since: number | null;
}

export interface SwitchState {
  readonly subject: Subject;
  /** `undefined`: it may run. */
  readonly halt: Halt | undefined;
}

/**
 * What may run at this moment. Nothing is remembered between calls: the control file is read and the database asked each
 * time, so ask before each item. Whatever cannot be read means stop, and an error that is thrown here is no permission.
 */
export interface Switches {
  /**
   * @param subsystem `undefined`: of something that is part of none.
   * @param path absolute; where the item lies.
   */
  halted(subsystem: Subsystem | undefined, path?: string): Promise<Halt | undefined>;
  mayRun(subsystem: Subsystem | undefined, path?: string): Promise<boolean>;
  /** @throws AppError paused, saying by what. */
  requireRunning(subsystem: Subsystem | undefined, path?: string): Promise<void>;
  /** Everything, each subsystem, and every path that is paused. */
  list(): Promise<readonly SwitchState[]>;
  pause(subject: Subject, by: string, reason?: string): Promise<void>;
  /** Takes a pause back; another one, or the control file, may still stop it. @returns whether there was one. */
  resume(subject: Subject): Promise<boolean>;
}

export interface SwitchParts {
  readonly store: SwitchStore;
  /** The control file's text; throws when it cannot be read. Absent: there is none. */
  readonly readControlFile?: (() => Promise<string>) | undefined;
  readonly clock: Clock;
}

export function switchService({ store, readControlFile, clock }: SwitchParts): Switches {
  async function controlFile(): Promise<ControlFile | undefined> {
    return readControlFile?.().then(parseControlFile, () => unusable("cannot be read"));
  }

  async function halted(subsystem: Subsystem | undefined, path?: string): Promise<Halt | undefined> {
    if (path !== undefined && !path.startsWith("/"))
      throw new AppError("internal", { expected: "an absolute path", found: path });
    const [file, pauses] = await Promise.all([controlFile(), store.list()]);
    return verdict(file, pauses, subsystem, path === undefined ? undefined : plainPath(path));
  }

  return {
    halted,
    mayRun: async (subsystem, path) => (await halted(subsystem, path)) === undefined,

    async requireRunning(subsystem, path) {
      const halt = await halted(subsystem, path);
      if (!halt) return;
      throw new AppError("paused", { switch: halt.subject, reason: halt.reason });
    },

    async list() {
      const [file, pauses] = await Promise.all([controlFile(), store.list()]);
      const paths = pauses.map(({ subject }) => subject).filter((subject) => subject.startsWith("/"));
      const of = (subject: Subject): SwitchState => ({
        subject,
        halt: subject.startsWith("/")
          ? verdict(file, pauses, undefined, subject)
          : verdict(
              file,
              pauses,
              SUBSYSTEMS.find((name) => name === subject),
              undefined,
            ),
      });
      return (["all", ...SUBSYSTEMS, ...paths] as readonly Subject[]).map(of);
    },

    pause: (subject, by, reason) => store.put({ subject, by, reason: reason ?? null, at: clock.now() }),
    resume: (subject) => store.remove(subject),
  };
}

/** The widest pause first: it is the one to take back first. */
function verdict(
  file: ControlFile | undefined,
  pauses: readonly Pause[],
  subsystem: Subsystem | undefined,
  path: string | undefined,
): Halt | undefined {
  const concerns = ({ subject }: Pause) =>
    subject === "all" || subject === subsystem || (path !== undefined && isWithin(subject, path));
  const pause = pauses.filter(concerns).sort((a, b) => rank(a) - rank(b))[0];
  if (pause) return { subject: pause.subject, reason: pause.reason, by: pause.by, since: pause.at };
  const reason = file?.(subsystem, path);
  if (reason === undefined) return undefined;
  return { subject: (path as Subject | undefined) ?? subsystem ?? "all", reason, by: null, since: null };
}

function rank({ subject }: Pause): number {
  if (subject === "all") return 0;
  return subject.startsWith("/") ? 1 + subject.length : 1;
}
