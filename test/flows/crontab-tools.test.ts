import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { type CrontabReading, readCrontab } from "../../src/core/schedules/crontab/read.ts";
import { generateExpression } from "../core/schedules/expressions.ts";
import { seededRandom } from "../support/random.ts";
import { without } from "../support/tools.ts";

const run = promisify(execFile);
const skip = without(
  "Debian's crontab",
  ["sh", "-c", "printf '@daily x\\n' | crontab -n - 2>&1 | grep -q 'successfully checked'"],
  "the package cron of Debian",
);

/** One call of crontab(1) takes a few milliseconds, and tells of the first error in a file only. */
const CHECKED_ALONE = 450;
const GENERATED = 5000;

/** Debian takes a variable without a name: one of the differences below. */
const NAMELESS = /^\s*(?:""|'')?\s*=/;

const folder = mkdtempSync(join(tmpdir(), "longshore-crontab-"));
after(() => rmSync(folder, { recursive: true }));

function ours(line: string): CrontabReading {
  return readCrontab(`${line}\n`, { dialect: "user" });
}

/** @returns what Debian's crontab says of each text: `undefined` when it takes it, else what it calls bad. */
async function debians(texts: readonly string[]): Promise<readonly (string | undefined)[]> {
  for (const [i, text] of texts.entries()) writeFileSync(join(folder, `${i}`), text);
  const script = `i=0; while [ $i -lt ${texts.length} ]; do echo "== $i"; crontab -n ./$i 2>&1; i=$((i + 1)); done`;
  const { stdout } = await run("sh", ["-c", script], { cwd: folder, maxBuffer: 2 ** 26 });
  const answers = stdout.split(/^== \d+\n/m).slice(1);
  assert.equal(answers.length, texts.length);
  return answers.map((answer) => {
    if (answer.includes("successfully checked")) return undefined;
    assert.match(answer, /can't install/, "neither taken nor refused");
    return /: bad (.*)$/m.exec(answer)?.[1] ?? answer.trim();
  });
}

describe("beside Debian's crontab -n", { skip }, () => {
  test("generated lines that are read are taken, and those that are refused are refused, for the same field", async (t) => {
    const random = seededRandom(t);
    const generated = new Set(Array.from({ length: GENERATED }, () => generateLine(random)));
    const lines = [...generated].filter((line) => !NAMELESS.test(line));
    const read = lines.filter((line) => ours(line).crontab !== undefined);
    const refused = lines.filter((line) => ours(line).crontab === undefined).slice(0, CHECKED_ALONE);
    t.diagnostic(`${read.length} lines read, ${refused.length} refused`);
    assert.ok(read.length > 1000 && refused.length > 300, "the generator has become one-sided");

    const [all] = await debians([`${read.join("\n")}\n`]);
    if (all !== undefined) {
      const answers = await debians(read.map((line) => `${line}\n`));
      assert.fail(`read here, refused by Debian: ${JSON.stringify(read.filter((_, i) => answers[i] !== undefined))}`);
    }
    let explained = 0;
    const answers = await debians(refused.map((line) => `${line}\n`));
    for (const [i, line] of refused.entries()) {
      const bad = answers[i];
      if (bad === undefined) {
        assert.notEqual(ours(withoutRubbish(line)).crontab, undefined, `refused here, taken by Debian: ${line}`);
        explained++;
      } else {
        // What follows a value in silence for Debian is the first problem here: another field may be bad behind it.
        const problem = ours(withoutRubbish(line)).problems[0];
        if (problem && problem.code !== "assignment_invalid" && problem.code !== "macro_unknown")
          assert.equal(problem.field.replaceAll(" ", "-"), bad, line);
      }
    }
    t.diagnostic(`${explained} lines with text after a value, which Debian skips`);
  });

  /** All the differences there are, one line for each: what Debian takes and is refused here. */
  const TAKEN_BY_DEBIAN: readonly (readonly [line: string, why: string])[] = [
    ["5? * * * * x", "text after a value is skipped"],
    ["1.5 * * * * x", "text after a value is skipped"],
    ["** * * * * x", "text after a value is skipped"],
    ["*/2-5 * * * * x", "text after a value is skipped"],
    ["5-7/2/3 * * * * x", "text after a value is skipped"],
    ["* * * * fri#2 x", "text after a value is skipped"],
    ["4294967301 * * * * x", "numbers lose what is beyond 32 bits"],
    ["=x", "a variable may have no name"],
    ["@daily a\rb", "a carriage return is a character like any other"],
    ["CRON_TZ=Mars/Olympus", "time zones are not its own"],
  ];
  /** What is read here with a warning, and Debian refuses. */
  const READ_HERE: readonly (readonly [text: string, why: string])[] = [
    ["@daily x", "the last line has no newline"],
    ["@daily x\r\n\r\n", "a blank line has a carriage return"],
  ];

  for (const [line, why] of TAKEN_BY_DEBIAN)
    test(`taken by Debian, refused here: ${JSON.stringify(line)}: ${why}`, async () => {
      assert.deepEqual(await debians([`${line}\n`]), [undefined]);
      assert.equal(ours(line).crontab, undefined);
    });
  for (const [text, why] of READ_HERE)
    test(`refused by Debian, read here: ${JSON.stringify(text)}: ${why}`, async () => {
      const [bad] = await debians([text]);
      assert.notEqual(bad, undefined);
      const { crontab, warnings } = readCrontab(text, { dialect: "user" });
      assert.notEqual(crontab, undefined);
      assert.notEqual(warnings.length, 0);
    });

  test("a command has the length that Debian has room for", async () => {
    const commands = [998, 999].map((length) => `@daily ${"x".repeat(length)}\n`);
    assert.deepEqual(
      (await debians(commands)).map((bad) => bad === undefined),
      commands.map((text) => ours(text.trimEnd()).crontab !== undefined),
    );
  });
});

const LOOSE = [
  "*",
  "0",
  "5",
  "7",
  "23",
  "24",
  "31",
  "32",
  "59",
  "60",
  "jan",
  "Dec",
  "mon",
  "SUN",
  "monday",
  "-",
  "/",
  ",",
];
const MACROS = [
  "@daily",
  "@reboot",
  "@hourly",
  "@yearly",
  "@weekly",
  "@Monthly",
  "@midnight",
  "@annual",
  "@",
  "@every 5",
];
const VARIABLES = [
  "A=b",
  "A = 'b'",
  'A="b',
  "A=",
  "A =''",
  "A B=c",
  "'A B'=c",
  'A="b" c',
  "A=b # c",
  "'A'b=c",
  "0=1",
  "A\t=\tb",
];
const CHARACTERS = "0123456789*/,- \tjanfrisu@=\"'%#?L.x";

/** A valid line, a loose one, or a valid one with a few characters changed. */
function generateLine(random: (below: number) => number): string {
  const pick = (list: readonly string[]) => list[random(list.length)] ?? "";
  const valid = `${generateExpression(random).text} ${pick(["x", "x %y", "/bin/x > y", "-x", ""])}`;
  switch (random(8)) {
    case 0:
      return Array.from({ length: 5 + random(2) }, () =>
        Array.from({ length: 1 + random(3) }, () => pick(LOOSE)).join(""),
      ).join(pick([" ", "\t", "  "]));
    case 1:
      return random(2) === 0 ? `${pick(MACROS)} ${pick(["x", "", "* x"])}` : pick(VARIABLES);
    case 2:
    case 3:
      return mangled(valid);
    default:
      return random(10) === 0 ? `\t ${valid}` : valid;
  }

  function mangled(text: string): string {
    let line = text;
    for (let i = 0; i <= random(3); i++) {
      const at = random(Math.min(line.length, 20));
      line = line.slice(0, at) + (CHARACTERS[random(CHARACTERS.length + 1)] ?? "") + line.slice(at + random(2));
    }
    return line;
  }
}

/** The line as Debian reads it: after a complete value of a list, it skips everything up to the next blank. */
function withoutRubbish(line: string): string {
  const range = String.raw`\w+-\w+`;
  const stepped = String.raw`(?:\*|${range})\/\w+`;
  const complete = String.raw`\*(?=[^/,])|${stepped}(?=[^\w,])|${range}(?=[^\w,/])|\w+(?=[^\w,/-])`;
  const field = new RegExp(String.raw`^((?:(?:${stepped}|${range}|\w+|\*),)*(?:${complete})).*$`);
  return line.replace(
    /^([ \t]*)((?!@)[^ \t]+(?:[ \t]+[^ \t]+){0,4})/,
    (_, blanks, fields: string) => `${blanks}${fields.replace(/[^ \t]+/g, (text) => text.replace(field, "$1"))}`,
  );
}
