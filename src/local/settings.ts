import type { Command } from "commander";
import { command, type JsonOption, withExamples } from "../cli/command.ts";
import { type Terminal, table } from "../cli/terminal.ts";
import { effectiveSettings, loadConfig } from "../settings/config.ts";

/** `longshore config`: what is in force. */
export function settingsCommand(terminal: Terminal): Command {
  const config = command("config", "Show every setting, its value in force, and where that comes from.").action(
    ({ json }: JsonOption) => {
      const settings = effectiveSettings(process.env);
      if (json) terminal.printJson(Object.fromEntries(settings.map(({ name, ...rest }) => [name, rest])));
      else {
        const rows = settings.map(({ name, value, from }) => [name, value ?? "-", from]);
        for (const line of table(["SETTING", "VALUE", "FROM"], rows)) terminal.print(line);
      }
      // Shown first, judged afterwards: a bad value is easier to mend when it is seen among the others.
      loadConfig(process.env);
    },
  );
  return withExamples(config, [
    ["longshore config", "secrets are masked, so the output can be shown to others"],
    ["LONGSHORE_PORT=99999 longshore config", "exit code 2, and a sentence about every bad setting"],
  ]);
}
