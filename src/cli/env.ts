import { type Command, InvalidArgumentError } from "commander";
import type { NamedValue } from "../sdk/index.ts";
import { type CliContext, command, commandGroup, type JsonOption, withExamples } from "./command.ts";
import { type ScopeOptions, scopeOf, withScope } from "./environment-scope.ts";
import { table } from "./terminal.ts";

/** `longshore env`: named values for what registers and schedules run. */
export function envCommand(context: CliContext): Command {
  const { terminal } = context;

  const set = withScope(command("set", "Set values, in place of what these names stood for."))
    .argument("<name=value...>", "what to set; secrets have a command of their own", assignments)
    .action(async (given: readonly Assignment[], options: ScopeOptions) => {
      const { environment } = context.server().client;
      for (const { name, value } of given) {
        const kept = await environment.set(scopeOf(options) ?? "global", name, value);
        if (options.json) terminal.printJson(kept);
        else terminal.print(`set  ${kept.name}  for ${kept.scope}`);
      }
    });

  const list = withScope(command("list", "List values, by whom they are for and by name.")).action(
    async (options: ScopeOptions) => {
      const scope = scopeOf(options);
      const found: NamedValue[] = [];
      for await (const value of context.server().client.environment.list(scope === undefined ? {} : { scope }))
        if (options.json) terminal.printJson(value);
        else found.push(value);
      if (options.json) return;
      const rows = found.map(({ scope, name, value, setAt, setBy }) => [scope, name, value, setAt, setBy]);
      for (const line of table(["FOR", "NAME", "VALUE", "SET", "BY"], rows)) terminal.print(line);
    },
  );

  const rm = withScope(command("rm", "Remove a value."))
    .argument("<name>", "the value's name")
    .action(async (name: string, options: ScopeOptions & JsonOption) => {
      const scope = scopeOf(options) ?? "global";
      await context.server().client.environment.remove(scope, name);
      if (options.json) terminal.printJson({ scope, name, removed: true });
      else terminal.print(`removed  ${name}  for ${scope}`);
    });

  const env = commandGroup("env", "Set, list and remove named values for what registers and schedules run.", [
    set,
    list,
    rm,
  ]);
  return withExamples(env, [
    ["longshore env set API_URL=https://data.example.org/api", "for everything that runs"],
    ["longshore env set --schedule nightly TARGET=/srv/films", "for one schedule, in place of what all have"],
    ["longshore env list", "what is set, when and by whom"],
  ]);
}

interface Assignment {
  readonly name: string;
  readonly value: string;
}

function assignments(text: string, before: readonly Assignment[] = []): readonly Assignment[] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Expected NAME=value.");
  return [...before, { name, value }];
}
