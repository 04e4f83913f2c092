import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Recipe } from "../../src/core/packages/package.ts";
import { packaging, unzipped } from "../support/packaging.ts";
import { noCkan, type RealCkan, realCkan } from "../support/real-ckan.ts";

/** More than two pages, with whatever is awkward in each of them. */
const RECORDS = Array.from({ length: 2_500 }, (_, n) => ({
  t: ["plain", "", null, 'say "hi", you\nthere\r\n', "Größe 標本 🦕", " \\. ", "t"][n % 7] ?? null,
  n: ["1.10", "12345678901234567890.10", null, "-0.5", "0"][n % 5] ?? null,
  big: n % 3 === 0 ? null : "9007199254740993",
  b: [true, false, null][n % 3] ?? null,
  js: [{ a: [1, "x,y"] }, ["ü"], null][n % 3] ?? null,
  // As CKAN 2.12 gives it back; earlier ones without the milliseconds.
  ts: n % 2 === 0 ? "2020-01-02T03:04:05.000" : null,
}));
const FIELDS = Object.entries({ t: "text", n: "numeric", big: "int8", b: "bool", js: "json", ts: "timestamp" }).map(
  ([id, type]) => ({ id, type }),
);

describe("a real CKAN", { skip: noCkan }, () => {
  let portal: RealCkan;
  before(async () => {
    portal = await realCkan({ fields: FIELDS, records: RECORDS });
  });
  after(() => portal?.stop());

  test("gives every row it was given, in each form, by ranges and behind an offset", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_FETCH_ORIGINS: portal.origin } });
    async function member(recipe: Partial<Recipe>, name: string): Promise<string> {
      const { order } = await here.order({
        recipe: here.recipe({ apiUrl: portal.apiUrl, resourceId: portal.resourceId, ...recipe }),
      });
      const { package: made } = await here.settled(order.id);
      assert.equal(made.status, "ready", JSON.stringify(made.error));
      return unzipped(join(here.storeDir, made.fileName ?? ""), name).toString("utf8");
    }

    const lines = (await member({ format: "jsonl" }, "resource.jsonl")).trimEnd().split("\n");
    assert.equal(lines.length, RECORDS.length);
    for (const [at, line] of lines.entries()) {
      const { t: text, n, big, b, js, ts } = RECORDS[at] ?? assert.fail();
      const quoted = JSON.stringify;
      assert.equal(
        line,
        `{"_id":${at + 1},"t":${quoted(text)},"n":${n},"big":${big},"b":${b},"js":${quoted(js)},"ts":${quoted(ts)}}`,
      );
    }

    const script =
      "import csv,json,sys;print(json.dumps(list(csv.reader(open(0,newline='',encoding='utf8'),delimiter=sys.argv[1]))))";
    const read = (text: string, delimiter = ","): string[][] =>
      JSON.parse(
        execFileSync("python3", ["-c", script, delimiter], { input: text, encoding: "utf8", maxBuffer: 2 ** 28 }),
      );
    const [header, ...rows] = read(await member({ offset: 1_000, limit: 700 }, "resource.csv"));
    assert.deepEqual(header, ["_id", ...FIELDS.map(({ id }) => id)]);
    assert.deepEqual(
      rows.map(([id, text]) => [id, text]),
      RECORDS.slice(1_000, 1_700).map(({ t: text }, at) => [String(at + 1_001), text ?? ""]),
    );
    const even = await member({ filters: { b: true }, format: "tsv" }, "resource.tsv");
    assert.equal(read(even, "\t").length, 1 + RECORDS.filter(({ b }) => b === true).length);
  });

  test("says itself what it refuses", async (t) => {
    const here = await packaging(t, { env: { LONGSHORE_FETCH_ORIGINS: portal.origin } });
    const { order } = await here.order({ recipe: here.recipe({ apiUrl: portal.apiUrl, resourceId: "nothing" }) });
    const { package: made } = await here.settled(order.id);
    assert.equal(made.error?.code, "portal_refused");
    assert.match(made.error?.message ?? "", /404.*Not Found Error/);
  });
});
