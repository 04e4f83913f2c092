/** Who a command is run as. */
export interface Account {
  readonly name: string;
  readonly home: string;
  /** `null`: whoever the server runs as. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
}

export interface CommandToRun {
  /** The program, and what follows it. */
  readonly argv: readonly string[];
  readonly account: Account;
  /** All of it: nothing of the server's own is added. */
  readonly env: Readonly<Record<string, string>>;
  /** Empty when it reads nothing. */
  readonly stdin: string;
  /** What it prints, both streams in the order in which they are written. It is read no faster than this takes it. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends it. */
  readonly signal: AbortSignal;
}

export interface CommandEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/**
 * Runs commands of this machine without a terminal, each in a session of its own.
 *
 * Adapter: `adapters/run/local-commands.ts`. Contract: `test/adapters/local-commands.test.ts`.
 */
export interface CommandRunner {
  /** @param user whoever the server runs as when `null`. @throws AppError user_refused. */
  account(user: string | null): Promise<Account>;
  /** Names of the machine's users; `undefined` where they cannot be known. */
  users(): Promise<readonly string[] | undefined>;
  /**
   * Resolves when the command has ended and nobody holds its output any more, as cron waits: what it leaves behind with
   * its output elsewhere lives on. When the signal aborts, it is ended with all it has started, first with SIGTERM and
   * some seconds later with SIGKILL.
   * @param mark is in the environment of all that it starts, as `LONGSHORE_RUN`.
   */
  run(command: CommandToRun, mark: string): Promise<CommandEnd>;
  /**
   * Ends what a process that has died left running under this mark.
   * @returns how many processes there were; `undefined` where that cannot be known.
   */
  endMarked(mark: string): Promise<number | undefined>;
}
