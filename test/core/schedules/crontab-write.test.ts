import assert from "node:assert/strict";
import { test } from "node:test";
import { entriesOf, readCrontab } from "../../../src/core/schedules/crontab/read.ts";
import { writeComment, writeEntry, writeVariable } from "../../../src/core/schedules/crontab/write.ts";
import { seededRandom } from "../../support/random.ts";

function readBack(line: string, dialect: "user" | "system" = "user") {
  const { crontab, problems } = readCrontab(`${line}\n`, { dialect });
  assert.ok(crontab, problems[0]?.message);
  return crontab;
}

test("an entry is written in its dialect", () => {
  const entry = { expression: "*/5 * * * mon-fri", user: "archive", command: "date +%F >> /tmp/x" };
  assert.equal(writeEntry(entry, "system"), "*/5 * * * mon-fri archive date +\\%F >> /tmp/x");
  assert.equal(writeEntry(entry, "user"), "*/5 * * * mon-fri date +\\%F >> /tmp/x");
  assert.equal(writeEntry({ expression: "@daily", command: "cat", stdin: "a\nb%\n" }, "user"), "@daily cat%a%b\\%");
});

test("any command and input that is written is read as it was", (t) => {
  const random = seededRandom(t);
  const alphabet = ["a", " ", "%", "\\", "'", '"', "#", "=", "\n"];
  const text = (length: number, letters: number) =>
    Array.from({ length: random(length) }, () => alphabet[random(letters)]).join("");
  let withInput = 0;
  for (let i = 0; i < 3000; i++) {
    const command = `x${text(8, 8)}`;
    // Cron can neither leave out the last newline nor put a backslash before one.
    const stdin = random(2) === 0 ? undefined : `${text(8, 9)}\n`.replace(/\\+\n/g, "\n");
    const line = writeEntry({ expression: "@daily", command, ...(stdin === undefined ? {} : { stdin }) }, "user");
    const [entry] = entriesOf(readBack(line));
    assert.deepEqual([entry?.command, entry?.stdin], [command, stdin], JSON.stringify(line));
    if (stdin !== undefined) withInput++;
  }
  assert.ok(withInput > 1000);
});

test("what a crontab cannot say is refused, never written as something else", () => {
  const entries = [
    { expression: "@daily", command: "two\nlines" },
    { expression: "@daily", command: " begins with a blank" },
    { expression: "@daily", command: "cat", stdin: "no newline" },
    { expression: "@daily", command: "cat", stdin: "a\\\nb\n" },
    { expression: "* * * * 8", command: "x" },
    { expression: "* * * *", command: "* x" },
    { expression: "@daily = ", command: "x" },
    { expression: "#", command: "x" },
    { expression: "@daily", command: "=x" },
  ];
  for (const entry of entries)
    assert.throws(() => writeEntry(entry, "user"), { code: "crontab_invalid" }, JSON.stringify(entry));
  assert.throws(() => writeEntry({ expression: "@daily", command: "x" }, "system"), { code: "crontab_invalid" });
  assert.throws(() => writeEntry({ expression: "@daily", command: "x", user: "a b" }, "system"), {
    code: "crontab_invalid",
  });
});

test("a variable is written with the quotes that its value needs", () => {
  const variables: readonly (readonly [name: string, value: string, line: string])[] = [
    ["A", "b c", "A=b c"],
    ["A", "", 'A=""'],
    ["A", " b ", 'A=" b "'],
    ["A", '"b"', "A='\"b\"'"],
    ["A B", "c", '"A B"=c'],
    ["#A", "c", '"#A"=c'],
  ];
  for (const [name, value, line] of variables) {
    assert.equal(writeVariable({ name, value }), line);
    const [read] = readBack(line).lines;
    assert.ok(read?.kind === "assignment");
    assert.deepEqual([read.name, read.value], [name, value]);
  }
  for (const value of ["two\nlines", " '\" "])
    assert.throws(() => writeVariable({ name: "A", value }), { code: "crontab_invalid" });
  assert.throws(() => writeVariable({ name: "A=B", value: "c" }), { code: "crontab_invalid" });
});

test("a comment of several lines is several comments", () => {
  assert.equal(writeComment("one\n\n* * * * * two"), "# one\n#\n# * * * * * two");
});
