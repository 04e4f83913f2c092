import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { FindingCode } from "../../../src/core/schedules/crontab/finding.ts";
import { type Dialect, entriesOf, readCrontab } from "../../../src/core/schedules/crontab/read.ts";
import { writeCrontab } from "../../../src/core/schedules/crontab/write.ts";
import { timetable } from "../../../src/core/schedules/timetable.ts";

/** A table as film archives have it: five jobs with locks and logs, beside the four lines that Debian ships. */
const TABLE = readFileSync(join(import.meta.dirname, "dpx.crontab"), "utf8");

function read(text: string, dialect: Dialect = "user", users?: readonly string[]) {
  return readCrontab(text, { dialect, ...(users && { users }) });
}

function entry(line: string) {
  const { crontab, problems } = read(`${line}\n`);
  assert.ok(crontab, problems[0]?.message);
  const [first] = entriesOf(crontab);
  assert.ok(first);
  return first;
}

test("a system's table is read whole, and its mistakes are named", () => {
  const { crontab, problems, warnings } = read(TABLE, "system", ["root", "archive"]);
  assert.deepEqual(problems, []);
  assert.ok(crontab);
  // Expected: the lines of dpx.crontab, read by eye.
  assert.deepEqual(
    entriesOf(crontab).map(({ line, expression, user }) => [line, expression, user]),
    [
      [9, "17 *\t* * *", "root"],
      [10, "25 6\t* * *", "root"],
      [11, "47 6\t* * 7", "root"],
      [12, "52 6\t1 * *", "root"],
      [14, "*/15 *  * * *", "archive"],
      [15, "*/15 *  * * *", "archive"],
      [16, "30   22 * * SAT", "archive"],
      [17, "0    1,13 * * mon-fri", "archive"],
      [18, "5    4  1 jan *", "archive"],
    ],
  );
  assert.deepEqual(
    warnings.map(({ code, line }) => [code, line]),
    [
      ["log_overwritten", 14],
      ["log_overwritten", 15],
      ["redirect_typo", 16],
      ["lock_missing", 18],
    ],
  );
  const [, , , , , , , , cleanUp] = entriesOf(crontab);
  assert.match(cleanUp?.command ?? "", /dpx_clean_up\.sh --before \$\(date \+%Y\) > \/var\/log/);
  assert.equal(cleanUp?.environment.DPX_SCRIPTS, "/opt/dpx encoding");
  assert.equal(timetable(cleanUp?.expression ?? "", "UTC").next(Date.UTC(2026, 0, 2)), Date.UTC(2027, 0, 1, 4, 5));
});

test("what is written is what was read, to the byte", () => {
  for (const text of [TABLE, "", "\n", "\n\n# a", "@daily x", "A = 'b'  \r\n@daily x\\%y%z \r\n\r\n", " \t\n#\n"]) {
    const { crontab } = read(text, text === TABLE ? "system" : "user");
    assert.ok(crontab, JSON.stringify(text));
    assert.equal(writeCrontab(crontab), text);
  }
});

test("with one line wrong nothing is used, and every wrong field is named with line, column, range and hint", () => {
  const { crontab, problems } = read("@daily fine\n61 24 * january monday echo\n0 0 * * * fine\n");
  assert.equal(crontab, undefined);
  assert.deepEqual(
    problems.map(({ line, column, field, value, expected }) => [line, column, field, value, expected]),
    [
      [2, 1, "minute", "61", "0-59"],
      [2, 4, "hour", "24", "0-23"],
      [2, 9, "month", "january", "1-12 or jan-dec"],
      [2, 17, "day of week", "monday", "0-7 or sun-sat"],
    ],
  );
  assert.deepEqual(
    problems.map(({ hint }) => hint),
    [
      undefined,
      "Midnight is hour 0.",
      'Did you mean "jan"? Names have three letters.',
      'Did you mean "mon"? Names have three letters.',
    ],
  );
  assert.equal(problems[1]?.message, 'Line 2: hour "24" is not 0-23.');
});

/** Lines that Debian's cron refuses as well (but for those said), the code, the column, and a word of the hint. */
const REFUSED: readonly (readonly [line: string, code: FindingCode, column: number, hint?: RegExp])[] = [
  ["* * * * 8 x", "value_out_of_range", 9, /Sunday/],
  ["* * 0 * * x", "value_out_of_range", 5, /from 1/],
  ["60 * * * * x", "value_out_of_range", 1, /minute 0/],
  ["*/0 * * * * x", "value_out_of_range", 1],
  ["5/10 * * * * x", "value_unknown", 1, /"5-59\/10"/],
  ["1,,2 * * * * x", "value_unknown", 3, /comma/],
  ["* * ? * * x", "value_unknown", 5, /Quartz/],
  ["* * L * * x", "value_unknown", 5, /Quartz/],
  ["* * * mon * x", "value_unknown", 7, /looks like a day of week/],
  ["* * * * thurs x", "value_unknown", 9, /"thu"/],
  ["* * * * frj x", "value_unknown", 9, /"fri"/],
  ["5 4 * * /opt/run", "value_unknown", 9, /here are four/],
  ["5 4 *", "field_missing", 6, /Five fields/],
  ["@Daily x", "macro_unknown", 1, /"@daily".*Lower case/],
  ["@dayly x", "macro_unknown", 1, /"@daily"/],
  ["@hourlyx", "macro_unknown", 1, /"@hourly"/],
  ["0 0 1 * * * x", "extra_field", 11, /no seconds/],
  ["@daily * x", "extra_field", 8, /no seconds/],
  ["A=", "assignment_invalid", 1, /A=""/],
  ['A="b" # note', "assignment_invalid", 1, /comment/],
  ["A B=c", "assignment_invalid", 1, /blanks/],
  ["export A=b", "assignment_invalid", 1, /no shell/],
  [`@daily ${"x".repeat(999)}`, "command_too_long", 8, /script/],
  // Cron takes these three: it stops at the NUL or keeps the return, and has no time zones.
  ["=b", "assignment_invalid", 1],
  ["@daily a\0b", "line_unusable", 9],
  ["CRON_TZ=Mars/Olympus", "zone_unknown", 1],
];

for (const [line, code, column, hint] of REFUSED)
  test(`refused: ${JSON.stringify(line).slice(0, 40)}`, () => {
    const { crontab, problems } = read(`${line}\n`);
    assert.equal(crontab, undefined);
    assert.deepEqual(
      problems.map((one) => [one.code, one.column]),
      [[code, column]],
    );
    if (hint) assert.match(problems[0]?.hint ?? "", hint);
  });

/** One line or several that are read, with what is odd about them. */
const ODD: readonly (readonly [text: string, code: FindingCode, line: number, column: number])[] = [
  ["5-1 4 * * * x", "range_backwards", 1, 1],
  ["0 0 * * fri-mon x", "range_backwards", 1, 9],
  ["*/90 4 * * * x", "step_too_large", 1, 1],
  ["0 0 30 2 * x", "never_fires", 1, 1],
  ["* 2 * * * x", "every_minute", 1, 1],
  ["0 0 1 * * 5 x", "extra_field", 1, 11],
  ["@reboot", "command_missing", 1, 8],
  ["* * * * *", "command_missing", 1, 10],
  ["@daily date +%F", "percent_unescaped", 1, 14],
  ["@daily x > y 2&>1", "redirect_typo", 1, 14],
  ["@daily sudo echo A=b >> /etc/environment", "redirect_without_rights", 1, 8],
  ["@daily nano /etc/crontab/", "folder_of_file", 1, 13],
  ["@daily a > /tmp/log\n@daily b >> /tmp/log", "log_overwritten", 1, 10],
  ["@daily flock -n l a\n@daily b\n@daily flock -n l c", "lock_missing", 2, 8],
  ["@daily root /opt/run", "user_unexpected", 1, 8],
  ["@daily = x", "name_unusual", 1, 1],
  ["PATH=$PATH:/opt", "variable_literal", 1, 1],
  ["LOGNAME=me", "variable_fixed", 1, 1],
  ["A=b\r", "carriage_return", 1, 4],
];

for (const [text, code, line, column] of ODD)
  test(`warned of: ${JSON.stringify(text)}`, () => {
    const { crontab, problems, warnings } = read(`${text}\n`);
    assert.ok(crontab, problems[0]?.message);
    const found = warnings.filter((one) => one.code === code);
    assert.deepEqual(
      found.map((one) => [one.line, one.column]),
      [[line, column]],
    );
  });

test("nothing is warned of where nothing is wrong", () => {
  const text =
    'MAILTO=""\n*/5 * * * * a >> /tmp/log 2>&1\n0 0 * * * b >> /tmp/log 2>&1\n5 0 * * * mail root\n* * * * * c > /dev/null\n' +
    "0 0-23/2 1 jan,feb mon-fri date +\\%s | sudo tee /etc/x\n@reboot d > /tmp/own\n0 0 1 * * e; f 2>/dev/null >/dev/null\n";
  assert.deepEqual(read(text), { ...read(text), problems: [], warnings: [] });
  assert.equal(entriesOf(read(text).crontab ?? { dialect: "user", lines: [], endsWithNewline: true }).length, 7);
});

test("a file without its last newline is read with a warning, unless its last line is a comment", () => {
  assert.deepEqual(
    read("@daily x").warnings.map(({ code }) => code),
    ["newline_missing"],
  );
  assert.deepEqual(read("@daily x\n# end").warnings, []);
});

describe("in the system dialect", () => {
  const users = ["root", "archive"];
  const refused: readonly (readonly [line: string, code: FindingCode, hint: RegExp])[] = [
    ["@daily achive x", "user_unknown", /"archive"/],
    ["@daily flock -n l x", "user_missing", /stands before it/],
    ["@daily /opt/run now", "user_missing", /stands before it/],
    ["0 0 1 * * * root x", "user_missing", /no seconds/],
    ["@daily", "user_missing", /a user and a command follow/],
    ["@daily root", "field_missing", /missing\?/],
  ];
  for (const [line, code, hint] of refused)
    test(`refused: ${line}`, () => {
      const { crontab, problems } = read(`${line}\n`, "system", users);
      assert.equal(crontab, undefined);
      assert.deepEqual(
        problems.map((one) => one.code),
        [code],
      );
      assert.match(problems[0]?.hint ?? "", hint);
    });

  test("any user's name will do while nobody says which there are", () => {
    assert.deepEqual(read("@daily someone x\n", "system").problems, []);
  });
});

/**
 * Expected: what Debian's cron 3.0pl1-162 gave the shell and the command's input, run with these lines (but for the last
 * one, which follows from the others).
 */
const COMMANDS: readonly (readonly [text: string, command: string, stdin?: string])[] = [
  ["echo 'one\\%two'", "echo 'one%two'"],
  ["printf '\\%s' 'a\\\\b\\\\\\%c'", "printf '%s' 'a\\b\\%c'"],
  ["cat%first%second \\% third \\x \\\\ end\\", "cat", "first\nsecond % third \\x \\\\ end\\\n"],
  ["cat%", "cat", ""],
  ["cat%a%%", "cat", "a\n\n"],
  ["find . -exec ls {} \\;", "find . -exec ls {} \\;"],
];

for (const [text, command, stdin] of COMMANDS)
  test(`cron runs ${text} so`, () => {
    const read = entry(`@daily ${text}`);
    assert.equal(read.command, command);
    assert.equal(read.stdin, stdin);
  });

/** Expected: the environment of commands that Debian's cron ran, and crontab(5). */
test("assignments are read with their quotes and blanks, and hold for the entries below them", () => {
  const text = [
    "@daily first",
    "A = b c ",
    "'B' =\"d # e\"",
    "C=f\\g'",
    'D=""',
    "CRON_TZ=America/New_York",
    "@daily second",
    "A='z'",
    "@daily third\n",
  ].join("\n");
  const { crontab } = read(text);
  assert.ok(crontab);
  const [first, second, third] = entriesOf(crontab);
  assert.deepEqual(first?.environment, {});
  assert.equal(first?.timeZone, undefined);
  const all = { A: "b c", B: "d # e", C: "f\\g'", D: "", CRON_TZ: "America/New_York" };
  assert.deepEqual(second?.environment, all);
  assert.equal(second?.timeZone, "America/New_York");
  assert.deepEqual(third?.environment, { ...all, A: "z" });
});

test("hostile lines are read in a time that grows with their length", () => {
  const long = 200_000;
  for (const text of [
    `${" ".repeat(long)}x`,
    `A${" ".repeat(long)}x`,
    `A="${" ".repeat(long)}`,
    `@daily ${"sudo echo ".repeat(long / 10)}`,
    `@daily ${"\\%".repeat(long / 2)}`,
    `@${"daily".repeat(long / 5)} x`,
    `${"1-59,".repeat(long / 5)} * * * * x`,
    "A=b\n".repeat(long / 4),
  ]) {
    const before = performance.now();
    const { problems } = read(`${text}\n`);
    assert.notEqual(problems.length, 0, text.slice(0, 20));
    assert.ok(performance.now() - before < 5_000, text.slice(0, 20));
  }
});
