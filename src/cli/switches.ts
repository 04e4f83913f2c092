import type { Command } from "commander";
import type { Switch } from "../sdk/index.ts";
import { type CliContext, command, type JsonOption, withExamples } from "./command.ts";
import { table } from "./terminal.ts";

const WHAT = "a part (ingest, carts, packages, crawls, schedules, registers, drops, fixity) or an absolute path";

/** `longshore pause`, `resume` and `switches`. */
export function switchCommands({ terminal, server }: CliContext): readonly Command[] {
  function show(switches: readonly Switch[], { json }: JsonOption): void {
    if (json) {
      for (const one of switches) terminal.printJson(one);
      return;
    }
    const rows = switches.map(({ id, running, stoppedBy }) => [
      id,
      running ? "runs" : "paused",
      stoppedBy ? (stoppedBy.by ?? "control file") : "",
      stoppedBy?.since ?? "",
      stoppedBy?.reason ?? "",
    ]);
    for (const line of table(["SWITCH", "STATE", "BY", "SINCE", "REASON"], rows)) terminal.print(line);
  }

  const pause = command("pause", "Pause everything, or one part: jobs wait, and nothing is lost.")
    .argument("[what]", `${WHAT}; everything when left out`, "all")
    .option("--reason <text>", "why; shown to whoever is refused meanwhile")
    .action(async (what: string, options: JsonOption & { readonly reason?: string }) =>
      show(await server().client.switches.pause(what, options.reason), options),
    );
  withExamples(pause, [
    ["longshore pause", "everything"],
    ['longshore pause ingest --reason "new disks, back at noon"', "no bundle comes in; carts and packages go on"],
    ["longshore pause /srv/drop/scanner-2", "whatever lies there stays as it is"],
  ]);

  const resume = command("resume", "Take a pause back, and show what is still paused.")
    .argument("[what]", `${WHAT}; the pause of everything when left out`, "all")
    .action(async (what: string, options: JsonOption) => show(await server().client.switches.resume(what), options));

  withExamples(resume, [
    ["longshore resume ingest", "bundles come in again"],
    ["longshore resume", "the pause of everything is over; parts that were paused by name stay so"],
  ]);

  const switches = command("switches", "List what may run and what is paused, by whom and why.").action(
    async (options: JsonOption) => show(await server().client.switches.list(), options),
  );
  withExamples(switches, [["longshore switches", "before work on the disks, and after it"]]);
  return [pause, resume, switches];
}
