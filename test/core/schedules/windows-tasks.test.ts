import assert from "node:assert/strict";
import { test } from "node:test";
import type { FindingCode } from "../../../src/core/schedules/crontab/finding.ts";
import { readSchtasks } from "../../../src/core/schedules/crontab/windows/read.ts";
import { writeSchtasks } from "../../../src/core/schedules/crontab/windows/write.ts";

const CREATE = "schtasks /create /tn T /tr C";

/** Expected: Microsoft's reference of `schtasks create`, and crontab(5). */
const READ: readonly (readonly [trigger: string, expression: string])[] = [
  ["/sc MINUTE /mo 15 /st 00:00", "*/15 * * * *"],
  ["/sc minute /st 08:00", "* * * * *"],
  ["/sc MINUTE /mo 20 /st 09:05", "5-59/20 * * * *"],
  ["/sc MINUTE /mo 60 /st 09:05", "5 * * * *"],
  ["/sc MINUTE /mo 120 /st 01:05", "5 1-23/2 * * *"],
  ["/sc HOURLY /st 00:30", "30 * * * *"],
  ["/sc HOURLY /mo 6 /st 08:15", "15 2-23/6 * * *"],
  ["/sc DAILY /st 01:30", "30 1 * * *"],
  ["/sc DAILY /mo 1 /st 1:30:00", "30 1 * * *"],
  ["/sc WEEKLY /d MON,wed /st 22:00", "0 22 * * mon,wed"],
  ["/sc WEEKLY /d * /st 22:00", "0 22 * * *"],
  // 22 November 2026 is a Sunday.
  ["/sc WEEKLY /sd 2026/11/22 /st 22:00", "0 22 * * sun"],
  ["/sc WEEKLY /sd 22/11/2026 /st 22:00", "0 22 * * sun"],
  ["/sc WEEKLY /sd 11/22/2026 /st 22:00", "0 22 * * sun"],
  ["/sc MONTHLY /st 03:00", "0 3 1 * *"],
  ["/sc MONTHLY /d 15 /m JAN,JUL /st 03:00", "0 3 15 jan,jul *"],
  ["/sc MONTHLY /mo 3 /sd 2026/11/01 /st 03:00", "0 3 1 2,5,8,11 *"],
  ["/sc ONSTART", "@reboot"],
];

for (const [trigger, expression] of READ)
  test(`read: ${trigger}`, () => {
    const { tasks, problems } = readSchtasks(`${CREATE} ${trigger}`);
    assert.deepEqual(problems, []);
    assert.deepEqual(tasks, [{ line: 1, name: "T", command: "C", expression }]);
  });

const REFUSED: readonly (readonly [trigger: string, code: FindingCode, field: string])[] = [
  ["/sc MINUTE /mo 25 /st 00:00", "no_equivalent", "/mo"],
  ["/sc MINUTE /mo 1440 /st 00:00", "value_out_of_range", "/mo"],
  ["/sc HOURLY /mo 5 /st 00:00", "no_equivalent", "/mo"],
  ["/sc DAILY /mo 3 /st 00:00", "no_equivalent", "/mo"],
  ["/sc WEEKLY /mo 2 /d MON /st 00:00", "no_equivalent", "/mo"],
  ["/sc WEEKLY /st 00:00", "field_missing", "/d"],
  ["/sc WEEKLY /d MONDAY /st 00:00", "value_unknown", "/d"],
  ["/sc MONTHLY /mo FIRST /d MON /st 00:00", "no_equivalent", "/mo"],
  ["/sc MONTHLY /mo LASTDAY /m JAN /st 00:00", "no_equivalent", "/mo"],
  ["/sc MONTHLY /mo 2 /st 00:00", "no_equivalent", "/mo"],
  ["/sc MONTHLY /d 32 /st 00:00", "value_out_of_range", "/d"],
  ["/sc MONTHLY /m JANUARY /st 00:00", "value_unknown", "/m"],
  ["/sc ONCE /st 00:00", "no_equivalent", "/sc"],
  ["/sc ONLOGON", "no_equivalent", "/sc"],
  ["/sc ONIDLE /i 10", "no_equivalent", "/i"],
  ["/sc DAILY /st 25:00", "value_out_of_range", "/st"],
  ["/sc WEEKLY /sd 03/04/2026 /st 00:00", "value_unknown", "/sd"],
  ["/sc DAILY /sd 2026/02/30 /st 00:00", "value_unknown", "/sd"],
  ["/sc DAILY /st 00:00 /ed 2027/01/01", "no_equivalent", "/ed"],
  ["/sc DAILY /st 00:00 /ri 10", "no_equivalent", "/ri"],
  ["/sc SOMETIMES", "value_unknown", "/sc"],
  ["/sc DAILY /st 00:00 /st 01:00", "option_unknown", "/st"],
  ["/sc DAILY /st 00:00 /wake", "option_unknown", "line"],
  ["/st 00:00", "field_missing", "/sc"],
];

for (const [trigger, code, field] of REFUSED)
  test(`refused: ${trigger}`, () => {
    const { tasks, problems } = readSchtasks(`${CREATE} /sc ONSTART\n${CREATE} ${trigger}`);
    assert.deepEqual(
      problems.map((one) => [one.line, one.code, one.field]),
      [[2, code, field]],
    );
    assert.deepEqual(tasks, [], "nothing is used when something is wrong");
  });

test("a batch file's lines are read with quotes, users and comments", () => {
  const { tasks, problems, warnings } = readSchtasks(
    [
      "@REM tasks of the archive",
      "",
      '"C:\\Windows\\System32\\schtasks.exe" /Create /TN "Archive\\Check all" /TR "\\"C:\\Program Files\\check.exe\\" /all" /SC DAILY /ST 03:15 /RU "NT AUTHORITY\\SYSTEM" /F /RP secret',
      ":: the end\r",
    ].join("\r\n"),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(tasks, [
    {
      line: 3,
      name: "Archive\\Check all",
      command: '"C:\\Program Files\\check.exe" /all',
      expression: "15 3 * * *",
      user: "NT AUTHORITY\\SYSTEM",
    },
  ]);
  assert.deepEqual(
    warnings.map(({ code, field }) => [code, field]),
    [["option_dropped", "/rp"]],
  );
  assert.doesNotMatch(JSON.stringify(warnings), /secret/);
});

test("what Windows would take from the moment of creation, and what is left out, is warned of", () => {
  const { warnings } = readSchtasks(`${CREATE} /sc DAILY /sd 2027/01/01 /rl HIGHEST`);
  assert.deepEqual(warnings.map(({ field }) => field).sort(), ["/rl", "/sd", "/st"]);
});

test("lines that create nothing are refused", () => {
  for (const line of ["schtasks /delete /tn T", "at 10:00 x", "* * * * * x"])
    assert.deepEqual(
      readSchtasks(line).problems.map(({ code }) => code),
      ["line_unusable"],
    );
});

const WRITTEN: readonly (readonly [expression: string, trigger: string])[] = [
  ["30 1 * * *", "/sc DAILY /st 01:30"],
  ["0 22 * * mon,wed", "/sc WEEKLY /d MON,WED /st 22:00"],
  ["0 22 * * 7", "/sc WEEKLY /d SUN /st 22:00"],
  ["0 3 15 * *", "/sc MONTHLY /d 15 /st 03:00"],
  ["0 3 15 1,7 *", "/sc MONTHLY /d 15 /m JAN,JUL /st 03:00"],
  ["@hourly", "/sc HOURLY /mo 1 /st 00:00"],
  ["15 2-23/6 * * *", "/sc HOURLY /mo 6 /st 02:15"],
  ["*/15 * * * *", "/sc MINUTE /mo 15 /st 00:00"],
  ["5,25,45 * * * *", "/sc MINUTE /mo 20 /st 00:05"],
  ["* * * * *", "/sc MINUTE /mo 1 /st 00:00"],
  ["@reboot", "/sc ONSTART"],
];

for (const [expression, trigger] of WRITTEN)
  test(`written: ${expression}`, () => {
    const line = writeSchtasks({ name: "T", command: 'run "it all"', expression, user: "me" });
    assert.equal(line, `schtasks /create /tn "T" /tr "run \\"it all\\"" ${trigger} /ru "me"`);
    const { tasks, problems } = readSchtasks(line);
    assert.deepEqual(problems, []);
    const [task] = tasks;
    assert.deepEqual([task?.name, task?.command, task?.user], ["T", 'run "it all"', "me"]);
    // Read back and written again, it is the same trigger.
    assert.equal(
      writeSchtasks({ name: "T", command: 'run "it all"', expression: task?.expression ?? "", user: "me" }),
      line,
    );
  });

test("what one task cannot say is refused, never written as something else", () => {
  for (const expression of [
    "0 1,12 * * *",
    "0,30 1 * * *",
    "*/7 * * * *",
    "*/15 9-17 * * *",
    "*/15 * * * mon",
    "0 0 1,15 * *",
    "0 0 1 * mon",
    "0 0 1-31 * mon",
    "0 0 * jan mon",
    "0 0 30 2 *",
    "0 0 * * 8",
  ])
    assert.throws(
      () => writeSchtasks({ name: "T", command: "C", expression }),
      { code: "crontab_invalid" },
      expression,
    );
  assert.throws(() => writeSchtasks({ name: "T", command: "a\nb", expression: "@daily" }), { code: "crontab_invalid" });
});
