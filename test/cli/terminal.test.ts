import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bytesText, countText, durationText, rateMeter, transferText } from "../../src/cli/amounts.ts";
import { table, terminal } from "../../src/cli/terminal.ts";

/** A terminal of this width (none: a pipe) whose clock is set by hand. */
function screen(columns?: number) {
  const written = { out: "", err: "" };
  const clock = { now: 0 };
  const output = (name: keyof typeof written) => ({
    write(text: string | Uint8Array) {
      written[name] += text;
      return true;
    },
    ...(columns === undefined ? {} : { isTTY: true, columns }),
  });
  return { written, clock, ...terminal(output("out"), output("err"), () => clock.now) };
}

describe("terminal", () => {
  test("results and remarks go different ways", () => {
    const { print, printJson, note, written } = screen();
    print("a result");
    printJson({ a: [1] });
    note("a remark");
    assert.deepEqual(written, { out: 'a result\n{"a":[1]}\n', err: "a remark\n" });
  });

  test("on a terminal progress is drawn in place, at most ten times a second, cut to the width", () => {
    const { progress, note, clock, written } = screen(20);
    progress("one");
    clock.now = 99;
    progress("too soon");
    clock.now = 100;
    progress("a line that is longer than twenty columns");
    note("done");
    assert.equal(written.err, "\r\x1b[Kone\r\x1b[Ka line that is long\r\x1b[Kdone\n");
  });

  test("elsewhere progress is a line every five seconds, and none for what is over before", () => {
    const { progress, clock, written } = screen();
    for (const at of [0, 100, 4_999, 5_000, 5_100, 10_000]) {
      clock.now = at;
      progress(`at ${at}`);
    }
    assert.equal(written.err, "at 5000\nat 10000\n");
  });

  test("a name cannot steer the terminal", () => {
    const { print, note, written } = screen();
    print("evil\x1b[2Jname\nsecond \u202egpj.exe\u009b");
    note("tab\there");
    assert.equal(written.out, "evil\\u001b[2Jname\\u000asecond \\u202egpj.exe\\u009b\n");
    assert.equal(written.err, "tab\\u0009here\n");
  });

  test("a table has columns as wide as they need, numbers to the right", () => {
    assert.deepEqual(
      table(
        ["ID", "NAME", "X"],
        [
          [7, "seven", ""],
          [1234, "n", "y"],
        ],
      ),
      ["ID    NAME   X", "   7  seven", "1234  n      y"],
    );
  });
});

describe("amounts in words", () => {
  test("bytes, counts and durations", () => {
    assert.deepEqual([0, 1, 1023, 1024, 1536, 102_400, 1024 ** 3, 5 * 1024 ** 5].map(bytesText), [
      ...["0 B", "1 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1.0 GiB", "5.0 PiB"],
    ]);
    assert.deepEqual([countText(1, "file"), countText(1234, "file")], ["1 file", "1,234 files"]);
    assert.deepEqual([0, 4200, 59_000, 60_000, 187_000, 7_387_000].map(durationText), [
      ...["0.0 s", "4.2 s", "59 s", "1:00", "3:07", "2:03:07"],
    ]);
  });

  test("the speed is that of the last ten seconds, and unknown in the first half second", () => {
    const clock = { now: 0 };
    const rate = rateMeter(() => clock.now);
    const at = (now: number, total: number) => {
      clock.now = now;
      return rate.measure(total);
    };
    assert.deepEqual([at(0, 0), at(400, 1000), at(1000, 2000)], [undefined, undefined, 2000]);
    at(50_000, 2000); // a long pause
    assert.equal(at(51_000, 2500), 500);
  });

  test("a transfer says how far, how fast and how long still", () => {
    assert.equal(transferText(1024, 4096, 1024), "1.0 KiB of 4.0 KiB (25 %), 1.0 KiB/s, 3.0 s left");
    assert.equal(transferText(4096, 4096, 1024), "4.0 KiB of 4.0 KiB (100 %), 1.0 KiB/s");
    assert.equal(transferText(0, 0, undefined), "0 B of 0 B (100 %)");
  });
});
