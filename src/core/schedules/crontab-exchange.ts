import type { Principal } from "../access/access.ts";
import { AppError } from "../errors.ts";
import type { CommandRunner } from "./command-runner.ts";
import { crontabInvalid, type Finding, finding } from "./crontab/finding.ts";
import { type Crontab, type CrontabEntry, type Dialect, entriesOf, readCrontab } from "./crontab/read.ts";
import { readSchtasks } from "./crontab/windows/read.ts";
import { writeSchtasks } from "./crontab/windows/write.ts";
import { writeComment, writeEntry, writeVariable } from "./crontab/write.ts";
import { isCommand, NO_CONDITIONS, type Schedule, type ScheduleDefinition } from "./schedule.ts";
import type { Schedules } from "./schedules.ts";

/** Of a crontab, or lines `schtasks /create` of Windows. */
export const EXCHANGE_FORMS = ["user", "system", "windows"] as const;
export type ExchangeForm = (typeof EXCHANGE_FORMS)[number];

export interface ImportRequest {
  readonly text: string;
  readonly form: ExchangeForm;
  /** Of entries without a `CRON_TZ`. */
  readonly timeZone: string;
  /** What their names begin with, where no comment names them. */
  readonly prefix: string;
  /** Schedules of the same names are changed. */
  readonly replace: boolean;
  /** Nothing is kept: what would be is told. */
  readonly dryRun: boolean;
}

export interface Imported {
  readonly schedules: readonly (ScheduleDefinition & { readonly id: string | null })[];
  readonly warnings: readonly Finding[];
}

export interface CrontabExchange {
  /** What is wrong and what is odd about a text. Nothing is kept. */
  check(
    text: string,
    form: ExchangeForm,
  ): Promise<{ readonly problems: readonly Finding[]; readonly warnings: readonly Finding[] }>;
  /** All of it or nothing. @throws AppError crontab_invalid with all findings, and those of {@link Schedules.create}. */
  import(principal: Principal, request: ImportRequest): Promise<Imported>;
  /** All schedules that run commands; of the others, and of what a crontab cannot say, a comment. */
  export(form: ExchangeForm): Promise<string>;
}

export interface CrontabExchangeParts {
  readonly schedules: Pick<Schedules, "checkAll" | "createAll" | "list">;
  readonly runner: Pick<CommandRunner, "users" | "account">;
  readonly canMail: boolean;
}

/** Above an entry, it names the schedule. */
const NAME_COMMENT = /^#\s*schedule:\s*(\S.*?)\s*$/;
const EXPORTED_AT_ONCE = 500;

export function crontabExchange({ schedules, runner, canMail }: CrontabExchangeParts): CrontabExchange {
  const read = async (text: string, dialect: Dialect) => {
    const users = await runner.users();
    return readCrontab(text, { dialect, ...(users && { users }) });
  };

  async function* all(): AsyncGenerator<Schedule> {
    let after: string | undefined;
    for (;;) {
      const page = await schedules.list({ limit: EXPORTED_AT_ONCE, ...(after === undefined ? {} : { after }) });
      yield* page;
      after = page.at(-1)?.name;
      if (page.length < EXPORTED_AT_ONCE) return;
    }
  }

  async function definitionsOf(request: ImportRequest) {
    if (request.form === "windows") {
      const { tasks, problems, warnings } = readSchtasks(request.text);
      if (problems.length > 0) throw crontabInvalid(problems);
      return {
        definitions: tasks.map(({ name, command, expression, user = null }) =>
          declared(request, { name, expression, action: { kind: "shell", command, stdin: null, user } }),
        ),
        warnings,
      };
    }
    const { crontab, problems, warnings } = await read(request.text, request.form);
    if (!crontab) throw crontabInvalid(problems);
    const entries = entriesOf(crontab);
    const empty = entries.filter(({ command }) => command.trim() === "").map(commandMissing);
    if (empty.length > 0) throw crontabInvalid(empty);
    const unsent = canMail ? [] : entries.filter(({ environment }) => environment.MAILTO).map(mailMissing);
    return {
      definitions: entries.map((entry) => definitionOf(request, crontab, entry, canMail)),
      warnings: [...warnings, ...unsent],
    };
  }

  return {
    async check(text, form) {
      const { problems, warnings } = form === "windows" ? readSchtasks(text) : await read(text, form);
      return { problems, warnings };
    },

    async import(principal, request) {
      const { definitions, warnings } = await definitionsOf(request);
      if (request.dryRun) {
        await schedules.checkAll(principal, definitions);
        return { schedules: definitions.map((one) => ({ ...one, id: null })), warnings };
      }
      return { schedules: await schedules.createAll(principal, definitions, request), warnings };
    },

    async export(form) {
      const lines: string[] = [];
      const variables = new Map<string, string>();
      const { name: own } = await runner.account(null);
      for await (const schedule of all())
        lines.push(...(form === "windows" ? windowsLines(schedule) : crontabLines(schedule, form, variables, own)), "");
      return lines.join("\n");
    },
  };
}

function declared(
  { timeZone }: ImportRequest,
  given: Pick<ScheduleDefinition, "name" | "expression" | "action"> & Partial<ScheduleDefinition>,
): ScheduleDefinition {
  return {
    timeZone,
    environment: {},
    required: [],
    overlap: "skip",
    lock: null,
    misfire: "none",
    timeoutMs: null,
    deadManMs: null,
    conditions: NO_CONDITIONS,
    notify: { to: null, when: "never" },
    rerun: false,
    ...given,
  };
}

function definitionOf(
  request: ImportRequest,
  crontab: Crontab,
  entry: CrontabEntry,
  canMail: boolean,
): ScheduleDefinition {
  const { CRON_TZ: _, MAILTO = "", ...environment } = entry.environment;
  const above = crontab.lines[entry.line - 2];
  const [, named] = (above?.kind === "comment" && NAME_COMMENT.exec(above.text)) || [];
  const { command, stdin = null, user = null } = entry;
  return declared(request, {
    name: named ?? `${request.prefix}${entry.line}`,
    expression: entry.expression,
    action: { kind: "shell", command, stdin, user },
    environment,
    ...(entry.timeZone === undefined ? {} : { timeZone: entry.timeZone }),
    ...(MAILTO !== "" && canMail && { notify: { to: MAILTO, when: "output" } }),
  });
}

function commandMissing({ line, text, expression }: CrontabEntry): Finding {
  const what = { field: "command", value: "", expected: "a command" };
  return finding(
    "error",
    "command_missing",
    { line, column: text.length + 1 },
    what,
    `is missing after "${expression}"`,
  );
}

function mailMissing({ line, environment }: CrontabEntry): Finding {
  const what = { field: "environment", value: environment.MAILTO ?? "", expected: "a server that sends mails" };
  const hint = "With LONGSHORE_SMTP_URL set, MAILTO is the address that output is sent to.";
  return finding(
    "warning",
    "option_dropped",
    { line, column: 1 },
    what,
    "is left out: this server sends no mails",
    hint,
  );
}

/** @param variables as they stand above the entry; changed to what it needs. */
function crontabLines(
  schedule: Schedule,
  dialect: Dialect,
  variables: Map<string, string>,
  own: string,
): readonly string[] {
  const { name, action, environment, timeZone, expression, paused, notify } = schedule;
  const head = writeComment(`schedule: ${name}`);
  if (!isCommand(action)) return [head, writeComment(`runs no command, but: ${action.kind}`)];
  // No line takes a variable away again: what only others have is empty here.
  const cleared = Object.fromEntries([...variables.keys()].map((variable) => [variable, ""]));
  const wanted = {
    ...cleared,
    SHELL: "/bin/sh",
    PATH: "/usr/bin:/bin",
    ...environment,
    CRON_TZ: timeZone,
    MAILTO: notify.when === "never" ? "" : (notify.to ?? ""),
  };
  try {
    const set = Object.entries(wanted).filter(([variable, value]) => variables.get(variable) !== value);
    const lines = set.map(([variable, value]) => writeVariable({ name: variable, value }));
    const stdin = action.kind === "shell" ? action.stdin : null;
    const command = action.kind === "shell" ? action.command : [action.file, ...action.args].map(quoted).join(" ");
    const entry = writeEntry(
      { expression, command, ...(stdin === null ? {} : { stdin }), user: action.user ?? own },
      dialect,
    );
    for (const [variable, value] of set) variables.set(variable, value);
    return [...lines, ...(paused ? [writeComment("paused:")] : []), head, paused ? writeComment(entry) : entry];
  } catch (error) {
    return [head, writeComment(unwritable(error))];
  }
}

function windowsLines({ name, action, expression }: Schedule): readonly string[] {
  const remark = (text: string) => `REM ${text}`;
  if (!isCommand(action)) return [remark(`${name} runs no command, but: ${action.kind}`)];
  const command =
    action.kind === "shell" ? action.command : [action.file, ...action.args].map((one) => `"${one}"`).join(" ");
  try {
    return [writeSchtasks({ name, command, expression, ...(action.user === null ? {} : { user: action.user }) })];
  } catch (error) {
    return [remark(`${name}: ${unwritable(error)}`)];
  }
}

/** @throws what is no question of form. */
function unwritable(error: unknown): string {
  if (!(error instanceof AppError) || error.code !== "crontab_invalid") throw error;
  return `is not written: ${error.message}`;
}

/** For the shell: one word, whatever is in it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
