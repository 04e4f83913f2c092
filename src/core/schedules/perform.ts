import type { Clock } from "../clock.ts";
import { AppError, type Details, type ErrorRecord } from "../errors.ts";
import { FINISHED_STATES, type Job } from "../jobs/job.ts";
import { type Fetch, PERSISTENT } from "../outbound/fetch.ts";
import { IDEMPOTENCY_KEY, retriesOf } from "../outbound/tries.ts";
import type { BuiltInContext, BuiltIns, FollowedJobs } from "./built-in.ts";
import { commandEnvironment, commandPreview, commandWords } from "./command-environment.ts";
import type { CommandRunner } from "./command-runner.ts";
import type { OutputWriter } from "./run-outputs.ts";
import { isCommand, type Run, runMark, type Schedule } from "./schedule.ts";

/** How an action ended that was not stopped. */
export interface Performed {
  readonly succeeded: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why it has failed, in a sentence. */
  readonly reason: string | null;
}

export interface PerformParts {
  readonly runner: CommandRunner;
  readonly builtIns: () => BuiltIns;
  readonly jobs: () => FollowedJobs;
  readonly fetch: Fetch;
  /** Values and secrets that are kept apart for the schedule. @throws AppError naming those that are missing. */
  readonly resolve: (schedule: Schedule) => Promise<Readonly<Record<string, string>>>;
  readonly clock: Clock;
}

/** What an answer over HTTP may take; its body is the run's output. */
const HTTP_LIMITS = { headMs: 60_000, silenceMs: 60_000, totalMs: 3_600_000, bodyBytes: 1024 ** 3 } as const;

const DONE: Performed = { succeeded: true, exitCode: null, signal: null, reason: null };

/** Does what the schedule says, once. @throws the signal's reason, and what could not even be begun. */
export async function perform(
  parts: PerformParts,
  schedule: Schedule,
  run: Run,
  output: OutputWriter,
  signal: AbortSignal,
): Promise<Performed> {
  const { action } = schedule;
  if (isCommand(action)) return performCommand(parts, schedule, run, output, signal);
  switch (action.kind) {
    case "http":
      return performHttp(parts, action, output, signal);
    case "built-in":
      return performBuiltIn(parts, schedule, action, run, output, signal);
    case "mail":
      // Its message goes into the outbox with the run's end.
      return DONE;
  }
}

async function performCommand(
  { runner, resolve }: PerformParts,
  { action, environment, ...schedule }: Schedule,
  run: Run,
  output: OutputWriter,
  signal: AbortSignal,
): Promise<Performed> {
  if (!isCommand(action)) throw new TypeError("not a command");
  const account = await runner.account(action.user);
  const resolved = await resolve({ action, environment, ...schedule });
  const env = commandEnvironment(account, resolved, environment);
  const argv = commandWords(action, env);
  if (run.cause === "test") await output.write(Buffer.from(commandPreview(argv, account, env, Object.keys(resolved))));
  const stdin = action.kind === "shell" ? (action.stdin ?? "") : "";
  const write = (chunk: Uint8Array) => output.write(chunk);
  const ended = await runner.run({ argv, account, env, stdin, write, signal }, runMark(run));
  signal.throwIfAborted();
  const succeeded = ended.exitCode === 0;
  const how =
    ended.exitCode === null ? `It was ended by ${ended.signal}.` : `It ended with exit code ${ended.exitCode}.`;
  return { ...ended, succeeded, reason: succeeded ? null : how };
}

async function performHttp(
  { fetch }: PerformParts,
  { method, url, headers, body }: Extract<Schedule["action"], { readonly kind: "http" }>,
  output: OutputWriter,
  signal: AbortSignal,
): Promise<Performed> {
  const hasKey = Object.keys(headers).some((name) => name.toLowerCase() === IDEMPOTENCY_KEY);
  const retries = retriesOf(method, hasKey, PERSISTENT);
  const given = body === null ? {} : { body };
  const answer = await fetch({ method, url, headers, ...given, retries, limits: HTTP_LIMITS, signal });
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) await output.write(chunk);
  const succeeded = answer.status >= 200 && answer.status < 300;
  return { ...DONE, succeeded, reason: succeeded ? null : `${answer.url} answered with status ${answer.status}.` };
}

async function performBuiltIn(
  { builtIns, jobs }: PerformParts,
  { owner }: Schedule,
  { name, input }: Extract<Schedule["action"], { readonly kind: "built-in" }>,
  run: Run,
  output: OutputWriter,
  signal: AbortSignal,
): Promise<Performed> {
  const builtIn = builtIns()[name];
  if (!builtIn) throw new AppError("schedule_invalid", { action: name, expected: Object.keys(builtIns()).join(", ") });
  const print: BuiltInContext["print"] = (line) => output.write(Buffer.from(`${line}\n`));
  const result = await builtIn.run(input, {
    owner: run.askedBy ?? owner,
    key: `run:${run.number}`,
    signal,
    print,
    follow: (job) => follow(jobs(), job, run.askedBy ?? owner, signal),
  });
  await print(JSON.stringify(result));
  return DONE;
}

async function follow(jobs: FollowedJobs, { id }: Pick<Job, "id">, actor: string, signal: AbortSignal): Promise<Job> {
  for await (const _ of jobs.watch(id, 0, signal));
  const job = await jobs.get(id);
  if (!FINISHED_STATES.includes(job.state)) {
    await cancelUnlessOver(jobs, job, actor);
    throw signal.reason;
  }
  if (job.state === "succeeded") return job;
  throw new AppError("run_failed", { job: id, state: job.state, ...reasonOf(job.error) });
}

/** Whether it ends before or after this is asked makes no difference. */
export async function cancelUnlessOver(jobs: FollowedJobs, { id }: Job, actor: string): Promise<void> {
  try {
    await jobs.cancel(id, actor);
  } catch (error) {
    if (!(error instanceof AppError && error.code === "job_state_conflict")) throw error;
  }
}

function reasonOf(error: ErrorRecord | null): Details {
  return error === null ? {} : { code: error.code, reason: error.message };
}
