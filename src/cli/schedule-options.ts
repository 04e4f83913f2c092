import { type Command, InvalidArgumentError, Option } from "commander";
import { LongshoreError, type NewSchedule, type ScheduleAction, type ScheduleConditions } from "../sdk/index.ts";
import type { JsonOption } from "./command.ts";

/** What a schedule is declared with, or changed to. */
export interface DeclareOptions extends JsonOption {
  readonly when?: string;
  readonly zone?: string;
  readonly program?: true;
  readonly stdin?: string;
  readonly user?: string;
  readonly builtIn?: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly http?: string;
  readonly method?: "GET" | "HEAD" | "POST";
  readonly body?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly require?: readonly string[];
  readonly overlap?: "skip" | "queue" | "kill";
  readonly lock?: string;
  readonly misfire?: "none" | "one" | "all";
  readonly timeout?: number;
  readonly deadMan?: number;
  readonly window?: NonNullable<ScheduleConditions["window"]>;
  readonly loadBelow?: number;
  readonly free?: NonNullable<ScheduleConditions["free"]>;
  readonly online?: readonly string[];
  readonly wait?: number;
  readonly mail?: string;
  readonly mailWhen?: "failure" | "always" | "output" | "never";
  readonly rerun?: true;
}

export function withDeclaration(target: Command): Command {
  return target
    .option("--zone <name>", "time zone, as Europe/London; UTC when not given")
    .option("--program", "the command is a program with its arguments, for no shell")
    .option("--stdin <text>", "what the command reads")
    .option("--user <name>", "who runs the command; whoever the server runs as when not given")
    .option("--built-in <name>", "Longshore's own work in place of a command (longshore schedule actions)")
    .option("--input <json>", "for --built-in", json)
    .option("--http <url>", "a request in place of a command")
    .addOption(new Option("--method <name>", "of --http").choices(["GET", "HEAD", "POST"]))
    .option("--body <text>", "of --http")
    .option("--env <name=value...>", "variables of the command", variable)
    .option("--require <name...>", "named values and secrets without which a run is refused")
    .addOption(new Option("--overlap <policy>", "when it still runs").choices(["skip", "queue", "kill"]))
    .option("--lock <name>", "of the schedules that name the same lock, one is running")
    .addOption(
      new Option("--misfire <policy>", "due times that were missed, made up for").choices(["none", "one", "all"]),
    )
    .option("--timeout <time>", "a run is ended after this: 90s, 30m, 2h, 1d", duration)
    .option("--dead-man <time>", "tell when no run has succeeded for this long", duration)
    .option("--window <from-until>", "only at these times of day: 22:00-06:00", window)
    .option("--load-below <number>", "only when the load per core is below this", Number)
    .option("--free <path=bytes>", "only with so many bytes free there", free)
    .option("--online <path...>", "only when these paths are there")
    .option("--wait <time>", "how long is waited for these conditions; not at all when not given", duration)
    .option("--mail <address>", "who is told of runs and of silence")
    .addOption(new Option("--mail-when <when>", "which runs").choices(["failure", "always", "output", "never"]))
    .option("--rerun", "run the command again when the process that worked on it has died");
}

/** What is given, and nothing else. @param command the words after the name. */
export function declared(options: DeclareOptions, command: readonly string[]): Partial<NewSchedule> {
  const action = actionOf(options, command);
  const conditions = conditionsOf(options);
  const { when, zone, env, require, overlap, lock, misfire, timeout, deadMan, mail, mailWhen, rerun } = options;
  return {
    ...(when !== undefined && { expression: when }),
    ...(zone !== undefined && { timeZone: zone }),
    ...(action && { action }),
    ...(env && { environment: env }),
    ...(require && { required: require }),
    ...(overlap && { overlap }),
    ...(lock !== undefined && { lock: lock === "" ? null : lock }),
    ...(misfire && { misfire }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...(deadMan !== undefined && { deadManMs: deadMan }),
    ...(conditions && { conditions }),
    ...((mail !== undefined || mailWhen) && {
      notify: { ...(mail !== undefined && { to: mail }), ...(mailWhen && { when: mailWhen }) },
    }),
    ...(rerun && { rerun }),
  };
}

function actionOf(options: DeclareOptions, words: readonly string[]): ScheduleAction | undefined {
  const { builtIn, input, http, method, body, program, stdin, user } = options;
  const kinds = [builtIn, http, words[0]].filter((kind) => kind !== undefined);
  if (kinds.length > 1) throw new LongshoreError("usage", "Give a command, --built-in or --http, not several of them.");
  if (builtIn !== undefined) return { kind: "built-in", name: builtIn, ...(input && { input }) };
  if (http !== undefined)
    return { kind: "http", url: http, ...(method && { method }), ...(body !== undefined && { body }) };
  const [file, ...args] = words;
  if (file === undefined) return undefined;
  const who = user === undefined ? {} : { user };
  return program
    ? { kind: "program", file, args, ...who }
    : { kind: "shell", command: words.join(" "), ...(stdin !== undefined && { stdin }), ...who };
}

function conditionsOf({ window: within, loadBelow, free: room, online, wait }: DeclareOptions) {
  const conditions: ScheduleConditions = {
    ...(within && { window: within }),
    ...(loadBelow !== undefined && { loadBelow }),
    ...(room && { free: room }),
    ...(online && { online }),
    ...(wait !== undefined && { waitMs: wait }),
  };
  return Object.keys(conditions).length === 0 ? undefined : conditions;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(text: string): number {
  const [, number, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError("Expected a number with s, m, h or d, as 90s.");
  return Number(number) * (UNIT_MS[unit] ?? 0);
}

function window(text: string): NonNullable<DeclareOptions["window"]> {
  const [, from, until] = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text) ?? [];
  if (from === undefined || until === undefined) throw new InvalidArgumentError("Expected HH:MM-HH:MM.");
  return { from, until };
}

function free(text: string): NonNullable<DeclareOptions["free"]> {
  const [, path, bytes] = /^(.+)=(\d+)$/.exec(text) ?? [];
  if (path === undefined || bytes === undefined) throw new InvalidArgumentError("Expected PATH=BYTES.");
  return { path, bytes: Number(bytes) };
}

function variable(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Expected NAME=value.");
  return { ...before, [name]: value };
}

function json(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new InvalidArgumentError("Expected a JSON object.");
}
