import { type Command, InvalidArgumentError } from "commander";
import { type CliContext, command, type JsonOption, jobFailure, withExamples } from "./command.ts";
import { Interrupted } from "./failure.ts";
import { jobDisplay } from "./job-display.ts";

interface OffloadOptions extends JsonOption {
  readonly to: string;
  readonly move?: true;
  readonly newFolder: boolean;
  readonly timeout?: number;
  readonly wait: boolean;
}

export function offloadCommand(context: CliContext): Command {
  const { terminal } = context;
  const offload = command(
    "offload",
    "Copy or move folders of stores into another store, each file read back and compared.",
  )
    .argument("<source...>", "addresses of folders, as for crawls")
    .requiredOption("--to <target>", "address of the folder that they are copied into")
    .option("--move", "remove each file whose copy is proven to be the same")
    .option("--no-new-folder", "straight into the target, not into a folder named for the time")
    .option("--timeout <seconds>", "give up after this; nothing is removed that has no proven copy", seconds)
    .option("--no-wait", "end when it has begun")
    .action(async (sources: readonly string[], options: OffloadOptions) => {
      const { to: target, move, newFolder: inNewFolder, timeout, json } = options;
      const { client } = context.server();
      const { job: id, folder } = await client.offloads.start({
        sources,
        target,
        mode: move ? "move" : "copy",
        inNewFolder,
        ...(timeout !== undefined && { timeoutMs: timeout * 1_000 }),
      });
      const started = () => (json ? terminal.printJson({ job: id, folder }) : terminal.print(folder));
      if (!options.wait) return started();
      const display = jobDisplay(terminal, () => performance.now());
      try {
        const job = await client.jobs.wait(id, {
          signal: context.interruptible(),
          onRetry: (error) => terminal.note(`  ${error.message} Trying again.`),
          onNews: (news) => news.type === "progress" && display.show(news.job),
        });
        if (job.state !== "succeeded") throw jobFailure(job);
      } catch (error) {
        if (error instanceof Interrupted)
          throw new Interrupted(`Interrupted: job ${id} goes on without us (longshore jobs watch ${id}).`);
        throw error;
      }
      started();
    });
  return withExamples(offload, [
    ["longshore offload /srv/records/run-17 --to s3://bucket/records", "a copy, in a folder named for the time"],
    ["longshore offload /srv/scratch --to file:///srv/shelf --move --timeout 3600", "moved, for an hour at most"],
  ]);
}

function seconds(text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new InvalidArgumentError("Expected seconds, more than 0.");
}
