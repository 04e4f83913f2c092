import type { Command } from "commander";
import { type CliContext, command, type JsonOption, withExamples } from "./command.ts";
import { table } from "./terminal.ts";

/** `longshore nodes`. */
export function nodesCommand({ terminal, server }: CliContext): Command {
  const nodes = command("nodes", "List the processes that serve and work, and what each does for all.").action(
    async ({ json }: JsonOption) => {
      const found = await server().client.nodes.list();
      if (json) {
        for (const node of found) terminal.printJson(node);
        return;
      }
      const rows = found.map(({ id, role, version, lanes, tasks, duties, address, seenAt, alive }) => [
        id,
        role,
        alive ? "alive" : `silent since ${seenAt}`,
        version,
        Object.entries(lanes)
          .filter(([, jobs]) => jobs > 0)
          .map(([lane, jobs]) => `${lane}:${jobs}`)
          .join(",") || "none",
        tasks?.join(",") ?? "all",
        duties.join(","),
        address ?? "",
      ]);
      const titles = ["NODE", "ROLE", "STATE", "VERSION", "LANES", "TASKS", "DUTIES", "ADDRESS"];
      for (const line of table(titles, rows)) terminal.print(line);
    },
  );
  return withExamples(nodes, [
    ["longshore nodes", "who is there, and who runs schedules, upkeep, drop folders and indexing"],
    ["longshore nodes --json | jq 'select(.alive | not)'", "those that died"],
  ]);
}
