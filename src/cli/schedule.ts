import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { type CrontabForm, LongshoreError, type Run, type RunState, type Schedule } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, count, id, type JsonOption, take, withExamples } from "./command.ts";
import { actionText, findingLine, runText, scheduleLines } from "./schedule-display.ts";
import { type DeclareOptions, declared, withDeclaration } from "./schedule-options.ts";
import { table } from "./terminal.ts";

interface RunOptions extends JsonOption {
  readonly wait: boolean;
}

interface RunsOptions extends JsonOption {
  readonly limit?: number;
  readonly state?: RunState;
}

interface FormOption extends JsonOption {
  readonly form?: CrontabForm;
}

interface ImportOptions extends FormOption {
  readonly zone?: string;
  readonly prefix?: string;
  readonly replace?: true;
  readonly dryRun?: true;
}

const formOption = () =>
  new Option("--form <form>", "a user's crontab, the system's with its column of users, or lines schtasks /create")
    .choices(["user", "system", "windows"])
    .default("user");

/** `longshore schedule`. */
export function scheduleCommand(context: CliContext): Command {
  const { terminal } = context;
  const api = () => context.server().client.schedules;

  /** By name, or by id. */
  async function named(name: string): Promise<Schedule> {
    return (await api().find(name)) ?? api().get(name);
  }

  function show(schedule: Schedule, { json }: JsonOption): void {
    if (json) terminal.printJson(schedule);
    else for (const line of scheduleLines(schedule)) terminal.print(line);
  }

  async function printOutput({ schedule, number }: Run): Promise<void> {
    const { body } = await api().output(schedule, number, context.interruptible());
    if (body) await pipeline(Readable.fromWeb(body), process.stdout, { end: false });
  }

  const list = command("list", "List schedules by name: when they are due, and how they went last.").action(
    async ({ json }: JsonOption) => {
      const rows: string[][] = [];
      for await (const one of api().list()) {
        if (json) terminal.printJson(one);
        const due = one.paused ? "paused" : (one.nextDueAt ?? "");
        const last = one.lastRun ? `${one.lastRun.state}${one.silentSince === null ? "" : ", silent"}` : "";
        rows.push([one.name, one.expression, due, last, actionText(one.action)]);
      }
      if (json) return;
      for (const line of table(["NAME", "WHEN", "NEXT", "LAST", "DOES"], rows)) terminal.print(line);
    },
  );

  const showing = command("show", "Show one schedule.")
    .argument("<name>", "the schedule, by name or id")
    .action(async (name: string, options: JsonOption) => show(await api().get((await named(name)).id), options));

  const add = withDeclaration(command("add", "Declare a schedule: a name, when it is due, and what is done."))
    .argument("<name>", "of the schedule")
    .argument("<when>", "five fields of cron in quotes, or @daily, @reboot, …")
    .argument("[command...]", "for the shell; what follows -- is not read as an option")
    .action(async (name: string, when: string, words: readonly string[], options: DeclareOptions) => {
      const { action, ...rest } = declared({ ...options, when }, words);
      if (!action) throw new LongshoreError("usage", "Nothing to do: give a command, --built-in or --http.");
      show(await api().create({ ...rest, name, expression: when, action }), options);
    });

  const edit = withDeclaration(command("edit", "Change what is given; the rest stays."))
    .argument("<name>", "the schedule, by name or id")
    .argument("[command...]", "in place of what it does")
    .option("--name <name>", "another name")
    .option("--when <times>", "other times")
    .action(async (name: string, words: readonly string[], options: DeclareOptions & { readonly name?: string }) => {
      const rename = options.name === undefined ? {} : { name: options.name };
      const before = await named(name);
      const { notify, conditions, ...change } = declared(options, words);
      const together = {
        ...(notify && { notify: { ...before.notify, ...notify } }),
        ...(conditions && { conditions: { ...before.conditions, ...conditions } }),
      };
      show(await api().change(before.id, { ...change, ...together, ...rename }), options);
    });

  const rm = command("rm", "Forget schedules, with their history and outputs.")
    .argument("<name...>", "by name or id")
    .action(async (names: readonly string[], { json }: JsonOption) => {
      for (const name of names) {
        const { id: found } = await named(name);
        await api().remove(found);
        if (json) terminal.printJson({ id: found, removed: true });
        else terminal.print(`removed  ${name}`);
      }
    });

  const steer = (verb: "pause" | "resume", description: string) =>
    command(verb, description)
      .argument("<name>", "the schedule, by name or id")
      .action(async (name: string, options: JsonOption) => show(await api()[verb]((await named(name)).id), options));

  const running = (verb: "run" | "test", description: string) =>
    command(verb, description)
      .argument("<name>", "the schedule, by name or id")
      .option("--no-wait", "end when it waits for a worker")
      .action(async (name: string, { json, wait }: RunOptions) => {
        const { id: schedule } = await named(name);
        const begun = await api().run(schedule, { test: verb === "test" });
        const run = wait ? await api().waitForRun(schedule, begun.number, { signal: context.interruptible() }) : begun;
        if (wait && !json && run.startedAt !== null) await printOutput(run);
        if (json) terminal.printJson(run);
        else terminal.note(runText(run));
        requireSuccess(run);
      });

  const runs = command("runs", "List the runs of a schedule, newest first.")
    .argument("<name>", "the schedule, by name or id")
    .option("--limit <number>", "how many at most", count, 20)
    .option("--state <state>", "only those: succeeded, failed, skipped, missed, …")
    .action(async (name: string, { json, limit = 20, state }: RunsOptions) => {
      const rows: (string | number)[][] = [];
      const { id: schedule } = await named(name);
      const filter = { limit: Math.min(limit, 1_000), ...(state && { state }) };
      for await (const run of take(api().runs(schedule, filter), limit)) {
        if (json) terminal.printJson(run);
        else rows.push([run.number, run.dueAt, run.cause, runText(run)]);
      }
      if (json) return;
      for (const line of table(["RUN", "DUE", "CAUSE", "OUTCOME"], rows)) terminal.print(line);
    });

  const output = command("output", "Print what a run has printed.")
    .argument("<name>", "the schedule, by name or id")
    .argument("[run]", "the run's number; the newest when not given", id)
    .action(async (name: string, number: number | undefined) => {
      const { id: schedule, lastRun } = await named(name).then(({ id: found }) => api().get(found));
      const run = number === undefined ? lastRun : await api().getRun(schedule, number);
      if (!run) throw new LongshoreError("run_unknown", `Schedule ${name} has not run yet.`);
      await printOutput(run);
    });

  const cancel = command("cancel", "End a run, with all that it has started.")
    .argument("<name>", "the schedule, by name or id")
    .argument("<run>", "the run's number", id)
    .action(async (name: string, number: number, { json }: JsonOption) => {
      const run = await api().cancelRun((await named(name)).id, number);
      if (json) terminal.printJson(run);
      else terminal.print(runText(run));
    });

  const next = command("next", "Tell when an expression is due.")
    .argument("<when>", "five fields of cron in quotes, or a name")
    .option("--zone <name>", "time zone", "UTC")
    .option("--count <number>", "how many times", count, 5)
    .action(async (when: string, { json, zone: timeZone, count: times }: JsonOption & NextOptions) => {
      const found = await api().next(when, { timeZone, count: times });
      for (const one of found.warnings) terminal.note(findingLine(one));
      if (json) return terminal.printJson(found);
      terminal.print(found.description);
      for (const time of found.times) terminal.print(time);
    });

  const check = command("check", "Tell what is wrong, or odd, about a crontab; nothing is kept.")
    .argument("<file>", "the crontab")
    .addOption(formOption())
    .action(async (file: string, { json, form }: FormOption) => {
      const found = await api().check(await textOf(file), form);
      if (json) terminal.printJson(found);
      else for (const one of [...found.problems, ...found.warnings]) terminal.print(findingLine(one));
      const { problems } = found;
      if (problems.length > 0)
        throw new LongshoreError("crontab_invalid", `${file} is no crontab: ${problems[0]?.message}`);
      if (!json) terminal.note(`${file}: ${found.warnings.length === 0 ? "nothing to say" : "can be used"}`);
    });

  const importing = command("import", "Make a schedule of each entry of a crontab: of all or of none.")
    .argument("<file>", "the crontab")
    .addOption(formOption())
    .option("--zone <name>", "time zone of entries without a CRON_TZ; UTC when not given")
    .option("--prefix <text>", 'what names begin with, before the line\'s number; "line " when not given')
    .option("--replace", "change schedules of the same names")
    .option("--dry-run", "only tell what would be")
    .action(async (file: string, { json, form, zone, prefix, replace, dryRun }: ImportOptions) => {
      const imported = await api().import({
        text: await textOf(file),
        ...(form && { form }),
        ...(zone !== undefined && { timeZone: zone }),
        ...(prefix !== undefined && { prefix }),
        ...(replace && { replace }),
        ...(dryRun && { dryRun }),
      });
      for (const one of imported.warnings) terminal.note(findingLine(one));
      if (json) return terminal.printJson(imported);
      const rows = imported.schedules.map(({ name, expression, action }) => [name, expression, actionText(action)]);
      for (const line of table(["NAME", "WHEN", "DOES"], rows)) terminal.print(line);
    });

  const exporting = command("export", "Print all schedules that run commands, as a crontab or for Windows.")
    .addOption(formOption())
    .action(async ({ form }: FormOption) => {
      // As it is: a tab is a part of a command.
      await pipeline(Readable.from([await api().export(form)]), process.stdout, { end: false });
    });

  const actions = command("actions", "List Longshore's own work that --built-in can name.").action(
    async ({ json }: JsonOption) => {
      const found = await api().actions();
      if (json) terminal.printJson(found);
      else for (const line of table(["NAME", "DOES"], Object.entries(found))) terminal.print(line);
    },
  );

  const group = commandGroup("schedule", "Have things done at certain times, once each, with a history.", [
    list,
    showing,
    add,
    edit,
    rm,
    steer("pause", "Pause a schedule: what is due meanwhile is not made up for."),
    steer("resume", "Resume a schedule, from its next time on."),
    running("run", "Run it now, in the environment it always has; the exit code says how it went."),
    running("test", "Run it now, print what the command is given and what it prints, and tell nobody."),
    runs,
    output,
    cancel,
    next,
    check,
    importing,
    exporting,
    actions,
  ]);
  return withExamples(group, [
    ['longshore schedule add nightly "30 1 * * *" --zone Europe/London -- /opt/check --all', "at 01:30 in London"],
    ['longshore schedule add fixity "0 22 * * *" --built-in verify --overlap skip', "Longshore's own work"],
    ["longshore schedule test nightly", "what it would see, and what it prints"],
    ["longshore schedule import /etc/crontab --form system --dry-run", "what would become of a crontab"],
  ]);
}

interface NextOptions {
  readonly zone: string;
  readonly count: number;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new LongshoreError("local_file_unusable", `${file} cannot be read.`, { details: { path: file }, cause });
  }
}

function requireSuccess({ number, state, reason }: Run): void {
  if (["waiting", "running", "succeeded"].includes(state)) return;
  const code = state === "timed_out" ? "run_timed_out" : state === "cancelled" ? "job_cancelled" : "run_failed";
  throw new LongshoreError(code, `Run ${number} is ${state}. ${reason ?? ""}`.trimEnd(), {
    details: { run: number, state },
  });
}
