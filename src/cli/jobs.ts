import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import type { Job, JobState } from "../sdk/index.ts";
import {
  type CliContext,
  command,
  commandGroup,
  count,
  id,
  type JsonOption,
  jobFailure,
  take,
  withExamples,
} from "./command.ts";
import { jobDisplay, jobLines, receiptLines } from "./job-display.ts";
import { table } from "./terminal.ts";

const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];

interface ListOptions extends JsonOption {
  readonly state?: JobState;
  readonly kind?: string;
  readonly owner?: string;
  readonly limit: number;
}

function wholeNumber(text: string): number {
  if (!/^-?\d{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

export function jobsCommand(context: CliContext): Command {
  const { terminal } = context;

  /** One job as the result of a command. */
  function show(job: Job, { json }: JsonOption): void {
    if (json) terminal.printJson(job);
    else for (const line of jobLines(job)) terminal.print(line);
  }

  const list = command("list", "List jobs, newest first.")
    .addOption(new Option("--state <state>", "only jobs in this state").choices(STATES))
    .option("--kind <kind>", "only jobs of this kind: ingest, move, verify, …")
    .option("--owner <name>", "only jobs of this owner")
    .option("--limit <number>", "how many at most", count, 50)
    .action(async ({ json, limit, ...filter }: ListOptions) => {
      const { client } = context.server();
      const jobs: Job[] = [];
      for await (const job of take(client.jobs.list({ ...filter, limit: Math.min(limit, 1000) }), limit)) {
        if (json) terminal.printJson(job);
        else jobs.push(job);
      }
      if (json) return;
      const rows = jobs.map((job) => [
        job.id,
        job.kind,
        job.state,
        job.task ? `${job.task.name} ${job.task.percent.toFixed(0)} %` : "",
        job.owner,
        job.createdAt,
        job.error?.code ?? "",
      ]);
      for (const line of table(["ID", "KIND", "STATE", "TASK", "OWNER", "CREATED", "ERROR"], rows))
        terminal.print(line);
    });

  const one = command("show", "Show one job: its tasks, its receipt, everything wrong with it.")
    .argument("<id>", "the job", id)
    .action(async (job: number, options: JsonOption) => show(await context.server().client.jobs.get(job), options));

  const watch = command("watch", "Follow a job until it is finished; the exit code says how it ended.")
    .argument("<id>", "the job", id)
    .action(async (number: number, options: JsonOption) => {
      const display = jobDisplay(terminal, () => performance.now());
      const job = await context.server().client.jobs.wait(number, {
        signal: context.interruptible(),
        onRetry: (error) => terminal.note(`  ${error.message} Trying again.`),
        onNews(news) {
          if (options.json) terminal.printJson(news);
          else if (news.type === "progress") display.show(news.job);
        },
      });
      if (job.state !== "succeeded") throw jobFailure(job);
      if (!options.json) for (const line of receiptLines(job.result ?? {})) terminal.print(line);
    });

  const cancel = command("cancel", "Stop a job: at once when it is queued, at its next step when it runs.")
    .argument("<id>", "the job", id)
    .action(async (job: number, options: JsonOption) => show(await context.server().client.jobs.cancel(job), options));

  const retry = command("retry", "Queue a failed or cancelled job again.")
    .argument("<id>", "the job", id)
    .action(async (job: number, options: JsonOption) => show(await context.server().client.jobs.retry(job), options));

  const set = command("set", "Set the state of a job that no worker holds (for operators).")
    .argument("<id>", "the job", id)
    .addArgument(new Argument("<state>", "the state it gets").choices(STATES.filter((state) => state !== "running")))
    .requiredOption("--reason <text>", "why; kept in the job's history and in the audit log")
    .action(async (job: number, state: JobState, options: JsonOption & { readonly reason: string }) =>
      show(await context.server().client.jobs.setState(job, state, options.reason), options),
    );

  const priority = command("priority", "Let a job be begun sooner, or later, than others (for operators).")
    .argument("<id>", "the job", id)
    .argument("<priority>", "from -10 to 10: higher is begun sooner, 0 is usual", wholeNumber)
    .action(async (job: number, value: number, options: JsonOption) =>
      show(await context.server().client.jobs.setPriority(job, value), options),
    );

  const all = [list, one, watch, cancel, retry, set, priority];
  const jobs = commandGroup("jobs", "See and steer jobs: work that outlives the request that asked for it.", all);
  return withExamples(jobs, [
    ["longshore jobs list --state failed", "what went wrong lately"],
    ["longshore jobs show 12 --json", "everything about job 12, for a program"],
    ["longshore jobs priority 12 5", "begun before what has the usual priority"],
    ["longshore jobs watch 12", "its tasks while they pass; exit code 0 when it succeeds"],
    ['longshore jobs set 12 failed --reason "disk replaced"', "an operator's decision, which is audited"],
  ]);
}
