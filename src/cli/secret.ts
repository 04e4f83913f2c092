import type { Command } from "commander";
import type { Secret } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, withExamples } from "./command.ts";
import { type ScopeOptions, scopeOf, withScope } from "./environment-scope.ts";
import { secretInput } from "./secret-input.ts";
import { table } from "./terminal.ts";

/** `longshore secret`: named values that nobody is shown again. */
export function secretCommand(context: CliContext): Command {
  const { terminal } = context;

  const set = withScope(command("set", "Set a secret: typed without echo, or from standard input."))
    .argument("<name>", "the name it gets; its value is no argument, as every process can read those")
    .action(async (name: string, options: ScopeOptions) => {
      const value = await secretInput(process.stdin, process.stderr, `${name}: `);
      const kept = await context.server().client.secrets.set(scopeOf(options) ?? "global", name, value);
      if (options.json) terminal.printJson(kept);
      else terminal.print(`set  ${kept.name}  for ${kept.scope}`);
    });

  const list = withScope(command("list", "List secrets: their names, when they were set and by whom.")).action(
    async (options: ScopeOptions) => {
      const scope = scopeOf(options);
      const found: Secret[] = [];
      for await (const secret of context.server().client.secrets.list(scope === undefined ? {} : { scope }))
        if (options.json) terminal.printJson(secret);
        else found.push(secret);
      if (options.json) return;
      const rows = found.map(({ scope, name, readable, setAt, setBy }) => [
        scope,
        name,
        readable ? "sealed" : "lost",
        setAt,
        setBy,
      ]);
      for (const line of table(["FOR", "NAME", "STATE", "SET", "BY"], rows)) terminal.print(line);
      if (found.some(({ readable }) => !readable))
        terminal.note("Those that are lost were sealed under another LONGSHORE_SECRET_KEY: set them again.");
    },
  );

  const rm = withScope(command("rm", "Remove a secret."))
    .argument("<name>", "the secret's name")
    .action(async (name: string, options: ScopeOptions) => {
      const scope = scopeOf(options) ?? "global";
      await context.server().client.secrets.remove(scope, name);
      if (options.json) terminal.printJson({ scope, name, removed: true });
      else terminal.print(`removed  ${name}  for ${scope}`);
    });

  const about = "Set, list and remove secrets for what registers and schedules run.";
  const secret = commandGroup("secret", about, [set, list, rm]);
  return withExamples(secret, [
    ["longshore secret set API_KEY", "asks for it, and shows nothing of what is typed"],
    ["longshore secret set --schedule nightly API_KEY < key.txt", "from a file; a line break at its end is left out"],
    ["longshore secret list", "what is set, when and by whom; nobody is shown a secret again"],
  ]);
}
