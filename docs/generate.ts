/**
 * Writes the documentation that has its truth in the code: `docs/config.md`, `docs/errors.md`, `docs/cli.md`,
 * `docs/formats/extractors.md` and `openapi.json`. With `--check`: writes nothing, and fails naming what is out of date.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { descendants } from "../src/cli/program.ts";
import { CODES, KINDS, type Kind } from "../src/core/errors.ts";
import { openApiDocument } from "../src/http/openapi.ts";
import { program } from "../src/run.ts";
import { SETTING_FACTS } from "../src/settings/config.ts";
import { VERSION } from "../src/version.ts";
import { extractorsPage } from "./extractors-page.ts";

const NOTE = "<!-- Made by docs/generate.ts; change the code it is made from. -->";
const HELP_WIDTH = 100;

function configPage(): string {
  const rows = SETTING_FACTS.map(({ name, description, default: fallback, secret }) => {
    const shown = fallback === undefined || fallback === "" ? "" : `\`${fallback}\``;
    return `| \`${name}\` | ${shown} | ${description}${secret ? " Secret: never shown or logged." : ""} |`;
  });
  return `# Settings

${NOTE}

Settings are environment variables. None is needed: without any, Longshore serves this machine from the folder \`data\`. They are read once, at
start; everything wrong with them is reported together, and a variable that begins with \`LONGSHORE_\` and is not in this list is refused.
\`longshore config\` shows what is in force, \`longshore doctor\` whether it works.

| variable | default | meaning |
|---|---|---|
${rows.join("\n")}
`;
}

function errorsPage(): string {
  const kinds = Object.entries(KINDS).map(
    ([kind, { status, exit, retry }]) => `| ${kind} | ${status} | ${exit} | ${retry ? "yes" : "no"} |`,
  );
  const sections = Object.entries(CODES).map(
    ([code, [kind, sentence]]) => `## ${code}\n\n${sentence} ${numbers(kind)}\n`,
  );
  return `# Errors

${NOTE}

Every failure has a code. Over HTTP it is a problem document (RFC 9457, \`application/problem+json\`) with \`code\`, a sentence in \`detail\`, the facts in
\`details\` and the \`requestId\` under which the log has the cause. The command line prints \`error[code]: sentence\` and ends with the exit code of
the error's kind; 130 means that it was interrupted.

| kind | HTTP status | exit code | worth trying again |
|---|---|---|---|
${kinds.join("\n")}

${sections.join("\n")}`;
}

function numbers(kind: Kind): string {
  const { status, exit, retry } = KINDS[kind];
  return `HTTP ${status}, exit code ${exit}${retry ? "; may succeed when tried again" : ""}.`;
}

function cliPage(): string {
  const root = program({
    terminal: { print: () => {}, printJson: () => {}, note: () => {}, progress: () => {} },
    server: () => {
      throw new Error("help needs no server");
    },
    stateDir: "",
    interruptible: () => new AbortController().signal,
  });
  const sections = [root, ...descendants(root)].map((one) => `## ${fullName(one)}\n\n\`\`\`\n${helpOf(one)}\n\`\`\`\n`);
  return `# The command line

${NOTE}

Results go to standard output and everything else to standard error; with \`--json\`, results are one JSON document, or one per line where there are
many. Exit codes are those of [errors](errors.md).

${sections.join("\n")}`;
}

function fullName(one: Command): string {
  return one.parent ? `${fullName(one.parent)} ${one.name()}` : one.name();
}

function helpOf(one: Command): string {
  let text = "";
  one.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => HELP_WIDTH,
    getOutHasColors: () => false,
  });
  one.outputHelp();
  return text.trimEnd();
}

const documents: Readonly<Record<string, string>> = {
  "docs/config.md": configPage(),
  "docs/errors.md": errorsPage(),
  "docs/cli.md": cliPage(),
  "docs/formats/extractors.md": await extractorsPage(NOTE),
  "openapi.json": await openApiDocument(VERSION),
};

const check = process.argv.includes("--check");
const stale: string[] = [];
for (const [path, text] of Object.entries(documents)) {
  const file = new URL(`../${path}`, import.meta.url);
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
  stale.push(path);
  if (!check) writeFileSync(file, text);
}
if (stale.length > 0) console.error(`${check ? "Out of date, run npm run docs" : "Written"}: ${stale.join(", ")}`);
process.exitCode = check && stale.length > 0 ? 1 : 0;
