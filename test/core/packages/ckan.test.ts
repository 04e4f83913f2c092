import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, afterEach, describe, test } from "node:test";
import { httpExchange } from "../../../src/adapters/outbound/http-exchange.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { AppError, type Details } from "../../../src/core/errors.ts";
import { guardedFetch } from "../../../src/core/outbound/fetch.ts";
import { hostPace } from "../../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../../src/core/outbound/origins.ts";
import { jsonText } from "../../../src/core/packages/cell-text.ts";
import { ckanRows } from "../../../src/core/packages/ckan/ckan-rows.ts";
import { takeCsv } from "../../../src/core/packages/ckan/csv-in-json.ts";
import { exactNumber, parseExactly } from "../../../src/core/packages/csv/exact-json.ts";
import type { Recipe } from "../../../src/core/packages/package.ts";
import { valuesOf } from "../../../src/core/packages/page-rows.ts";
import { type Cell, ExactNumber } from "../../../src/core/packages/rows.ts";
import { type Ckan, type CkanOptions, type CkanTable, ckan, fail } from "../../support/ckan.ts";
import { seededRandom } from "../../support/random.ts";
import { without } from "../../support/tools.ts";

const open: Ckan[] = [];
afterEach(async () => {
  while (open.length > 0) await open.pop()?.close();
});
const exchange = httpExchange();
after(() => exchange.close());

async function portal(options: Partial<CkanOptions> = {}): Promise<Ckan> {
  const made = await ckan({ tables: { r: numbered(10) }, ...options });
  open.push(made);
  return made;
}

/** Pauses are over at once. */
let time = 0;
const hasty: Clock = {
  now: () => time,
  sleep: async (ms) => {
    time += ms;
  },
};

function rowsOf(
  from: Ckan,
  recipe: Partial<Recipe> = {},
  { clock = systemClock, ...more }: { key?: string; clock?: Clock; maxPageBytes?: number } = {},
) {
  return ckanRows({
    fetch: guardedFetch({
      exchange,
      origins: allowedOrigins([from.origin]),
      pace: hostPace({ connections: 4, rate: { calls: 1, perMs: 0.01 } }, clock),
      clock,
      userAgent: "test",
    }),
    clock,
    recipe: { kind: "datastore", resourceId: "r", format: "csv", manifest: false, apiUrl: from.apiUrl, ...recipe },
    ...more,
    signal: new AbortController().signal,
  });
}

const never = new AbortController().signal;

async function allRows(source: Awaited<ReturnType<typeof rowsOf>>, from?: Details): Promise<(readonly Cell[])[]> {
  const rows: (readonly Cell[])[] = [];
  for await (const page of source.pages(from, never)) {
    const read = [...valuesOf(page.content, source.fields)];
    assert.equal(read.length, page.rowCount);
    rows.push(...read);
  }
  return rows;
}
const idsOf = async (source: Awaited<ReturnType<typeof rowsOf>>) => (await allRows(source)).map(([id]) => id);
const counting = (to: number, from = 1) => Array.from({ length: to - from + 1 }, (_, n) => n + from);

/** Rows 1, 2, 3 …, each with a name. */
function numbered(rowCount: number): CkanTable {
  return {
    columns: [
      { id: "name", type: "text" },
      { id: "kind", type: "text" },
    ],
    rowCount,
    row: (id) => [`row ${id}`, id % 2 === 0 ? "even" : "odd"],
  };
}

const AWKWARD: CkanTable = {
  columns: [
    { id: "t", type: "text" },
    { id: "n", type: "numeric" },
    { id: "i8", type: "int8" },
    { id: "f", type: "float8" },
    { id: "b", type: "bool" },
    { id: "js", type: "json" },
    { id: "ts", type: "timestamp" },
  ],
  rowCount: 5,
  row: (id) =>
    [
      [
        "plain",
        { digits: "1.10" },
        { digits: "9007199254740993" },
        0.1,
        true,
        { json: { a: [1, "x"] } },
        "2020-01-01T00:00:00",
      ],
      ["", null, null, null, null, null, null],
      [
        'say "hi", you\nthere\r\n',
        { digits: "12345678901234567890.123" },
        { digits: "-9223372036854775808" },
        1e300,
        false,
        { json: [] },
        "",
      ],
      ["Größe 標本 🦕", { digits: "0" }, 7, -0.5, true, { json: "text" }, "1066-10-14T00:00:00"],
      ["t", { digits: "NaN" }, 1, 3, false, { json: 1 }, "x,y"],
    ][id - 1] ?? [],
};

/** What {@link AWKWARD} says, as JSON: every digit, and null apart from nothing. */
const AWKWARD_JSON = [
  '[1,"plain",1.10,9007199254740993,0.1,true,{"a":[1,"x"]},"2020-01-01T00:00:00"]',
  '[2,"",null,null,null,null,null,null]',
  '[3,"say \\"hi\\", you\\nthere\\r\\n",12345678901234567890.123,-9223372036854775808,1e+300,false,[],""]',
  '[4,"Größe 標本 🦕",0,7,-0.5,true,"text","1066-10-14T00:00:00"]',
  '[5,"t","NaN",1,3,false,1,"x,y"]',
];

describe("rows of a CKAN resource", () => {
  for (const version of ["2.9", "2.11", "2.12"] as const)
    test(`come all, once and in order, from CKAN ${version}`, async () => {
      const from = await portal({ version, rowsMax: 1_000, tables: { r: numbered(5_500) } });
      const source = await rowsOf(from);
      assert.equal(source.declaredRows, 5_500);
      assert.deepEqual(
        source.fields.map(({ id }) => id),
        ["_id", "name", "kind"],
      );
      assert.deepEqual(await idsOf(source), counting(5_500));
      const usesId = from.requests.some(
        ({ body }) => (body.filters as { _id?: unknown } | undefined)?._id !== undefined,
      );
      assert.ok(usesId);
      const offsets = from.requests.filter(({ body }) => Number(body.offset) > 0).length;
      assert.equal(offsets > 1, version !== "2.12", `${offsets} pages by offset`);
    });

  test("come by offset when ranges are passed over without a word", async () => {
    const from = await portal({ ignoresRanges: true, rowsMax: 100, tables: { r: numbered(450) } });
    assert.deepEqual(await idsOf(await rowsOf(from)), counting(450));
  });

  for (const backend of ["solr", "versioned-datastore"] as const)
    test(`come in the way of the back end ${backend}, and by offset behind one`, async () => {
      const from = await portal({ backend, rowsMax: 300, tables: { r: numbered(1_000) } });
      assert.deepEqual(await idsOf(await rowsOf(from)), counting(1_000));
      assert.ok(from.requests.every(({ body }) => !("records_format" in body) && !("sort" in body)));
      assert.deepEqual(await idsOf(await rowsOf(from, { offset: 990 })), counting(1_000, 991));
    });

  test("keep every digit, tell null from nothing, and hold what is nested", async () => {
    const from = await portal({ tables: { r: AWKWARD } });
    const rows = await allRows(await rowsOf(from));
    assert.deepEqual(rows.map(jsonText), AWKWARD_JSON);
  });

  test("survive a column called j, and lists and objects instead of CSV", async () => {
    const j: CkanTable = { columns: [{ id: "j", type: "text" }], rowCount: 3, row: (id) => [`j${id}`] };
    const from = await portal({ tables: { r: j } });
    assert.deepEqual(await allRows(await rowsOf(from)), [
      [1, "j1"],
      [2, "j2"],
      [3, "j3"],
    ]);
    for (const format of ["lists", "objects"]) {
      const other = await portal({
        // A NaN cannot be JSON: the last row has one.
        tables: { r: { ...AWKWARD, rowCount: 4 } },
        fault: (_n, { body }) => {
          Object.assign(body, { records_format: format });
          return false;
        },
      });
      const rows = (await allRows(await rowsOf(other))).map(jsonText);
      assert.deepEqual(rows, AWKWARD_JSON.slice(0, 4));
    }
  });

  test("keep every digit of objects, also beside a field that is called as the records are", async () => {
    const table: CkanTable = {
      columns: [
        { id: "records", type: "text" },
        { id: "i8", type: "int8" },
      ],
      rowCount: 1,
      row: () => ["text", { digits: "9007199254740993" }],
    };
    const from = await portal({ backend: "solr", tables: { r: table } });
    assert.deepEqual((await allRows(await rowsOf(from))).map(jsonText), ['[1,"text",9007199254740993]']);
  });

  test("are counted right in CSV whose texts have line ends", async () => {
    const table: CkanTable = {
      columns: [{ id: "t", type: "text" }],
      rowCount: 5_000,
      row: (id) => [id % 3 === 0 ? `a\n"b",\n${id}\n` : `${id}`],
    };
    const from = await portal({ version: "2.12", rowsMax: 700, tables: { r: table } });
    const source = await rowsOf(from);
    assert.deepEqual(await idsOf(source), counting(5_000));
  });

  test("keep to filters, fields, limit and offset", async () => {
    const from = await portal({ version: "2.12", rowsMax: 10, tables: { r: numbered(100) } });
    const even = await rowsOf(from, { filters: { kind: ["even"] }, limit: 25, offset: 5 });
    assert.equal(even.declaredRows, 25);
    assert.deepEqual(
      await idsOf(even),
      counting(30, 6).map((n) => n * 2),
    );
    const named = await rowsOf(from, { fields: "name" });
    assert.deepEqual(
      await allRows(named),
      counting(100).map((n) => [`row ${n}`]),
    );
    assert.equal((await rowsOf(from, { offset: 1_000 })).declaredRows, 0);
    assert.deepEqual(await allRows(await rowsOf(from, { offset: 1_000 })), []);
  });

  test("come in the order asked for, made one where rows would have no place of their own", async () => {
    const from = await portal({ rowsMax: 7, tables: { r: numbered(50) } });
    const ids = await idsOf(await rowsOf(from, { sort: "kind" }));
    assert.deepEqual(ids, [...counting(25).map((n) => n * 2), ...counting(25).map((n) => n * 2 - 1)]);
    assert.deepEqual(await idsOf(await rowsOf(from, { sort: "_id desc" })), counting(50).reverse());
    assert.ok(from.requests.slice(1, 3).every(({ body }) => body.sort === "kind, _id"));
  });

  test("of a text search keep CKAN's order where only some are wanted", async () => {
    const from = await portal({ tables: { r: numbered(50) } });
    await idsOf(await rowsOf(from, { q: "row" }));
    assert.equal(from.requests.at(-1)?.body.sort, "_id");
    await idsOf(await rowsOf(from, { q: "row", limit: 5 }));
    assert.equal(from.requests.at(-1)?.body.sort, undefined);
  });

  test("have only what the portal knows asked of it, with the key as it is", async () => {
    const from = await portal({ tables: { r: { ...numbered(3), key: "secret-key" } } });
    await assert.rejects(rowsOf(from), (error: AppError) => {
      assert.equal(error.code, "portal_refused");
      assert.match(error.message, /403.*Access denied: not authorized to read/);
      return true;
    });
    assert.deepEqual(await idsOf(await rowsOf(from, { doi: "d", eml: "e" }, { key: "secret-key" })), [1, 2, 3]);
  });

  test("go on after any page as if there had been no pause", async () => {
    for (const options of [
      { version: "2.9" },
      { version: "2.12" },
      { backend: "solr" },
      { backend: "versioned-datastore" },
    ] as const) {
      const from = await portal({
        ...options,
        rowsMax: 400,
        tables: { r: { ...numbered(2_000), idAt: (index) => 3 * index + 5 } },
      });
      const whole = await idsOf(await rowsOf(from));
      const source = await rowsOf(from);
      let done = 0;
      for await (const page of source.pages(undefined, never)) {
        done += page.rowCount;
        assert.ok(page.next || done === 2_000);
        if (!page.next) break;
        const rest = await allRows(await rowsOf(from), JSON.parse(JSON.stringify(page.next)));
        assert.deepEqual(
          rest.map(([id]) => id),
          whole.slice(done),
        );
      }
    }
  });
});

describe("a portal that does not keep its word", () => {
  const isShort = (error: unknown) => error instanceof AppError && error.code === "package_short";

  test("is found out when it has fewer rows than it said", async () => {
    for (const version of ["2.11", "2.12"] as const) {
      const from = await portal({ version, rowsMax: 100, total: (real) => real + 1, tables: { r: numbered(250) } });
      await assert.rejects(idsOf(await rowsOf(from)), isShort);
    }
  });

  test("is found out when it has more rows than it said", async () => {
    const total = (real: number) => Math.max(0, real - 1);
    const tables = { r: numbered(250) };
    for (const options of [{ version: "2.11" }, { version: "2.12" }, { backend: "solr" }] as const) {
      const from = await portal({ ...options, rowsMax: 100, total, tables });
      await assert.rejects(idsOf(await rowsOf(from)), isShort);
    }
    // In one page, where nothing is known of ranges yet; and where a limit is what ends the rows.
    const from = await portal({ total, tables });
    await assert.rejects(idsOf(await rowsOf(from)), isShort);
    assert.deepEqual(await idsOf(await rowsOf(from, { limit: 249 })), counting(249));
  });

  test("is packed as it was when it was counted, if rows come while it is read", async () => {
    const table = numbered(250);
    let rowCount = table.rowCount;
    const tables = {
      r: {
        ...table,
        get rowCount() {
          return rowCount;
        },
      },
    };
    const from = await portal({
      rowsMax: 100,
      tables,
      fault: (n) => {
        if (n === 3) rowCount += 20;
        return false;
      },
    });
    assert.deepEqual(await idsOf(await rowsOf(from)), counting(250));
  });

  test("is read to its end when its total is only a guess", async () => {
    const from = await portal({ estimates: true, total: () => 3, rowsMax: 100, tables: { r: numbered(250) } });
    const source = await rowsOf(from);
    assert.equal(source.declaredRows, null);
    assert.deepEqual(await idsOf(source), counting(250));
  });

  test("gives no gaps when it gives smaller pages than were asked for, and smaller ones each time", async () => {
    let max = 100;
    const from = await portal({
      tables: { r: numbered(1_000) },
      fault: (_n, { body }) => {
        Object.assign(body, { limit: Math.min(Number(body.limit), max) });
        max = Math.max(3, max - 7);
        return false;
      },
    });
    assert.deepEqual(await idsOf(await rowsOf(from)), counting(1_000));
  });

  test("may fail for a moment: 500, 503, half a page and a cut connection are asked again", async () => {
    const from = await portal({
      rowsMax: 10,
      tables: { r: numbered(95) },
      fault: (n, _request, response) => {
        if (n % 6 === 2) fail(response, 500, { message: "Internal" });
        else if (n % 6 === 3) response.writeHead(503).end();
        else if (n % 6 === 4)
          response.writeHead(200, { "content-type": "application/json" }).end('{"success":true,"result":{"rec');
        else if (n % 6 === 5) response.destroy();
        else return false;
        return true;
      },
    });
    assert.deepEqual(await idsOf(await rowsOf(from, {}, { clock: hasty })), counting(95));
  });

  const lasting: Readonly<Record<string, [(response: Parameters<typeof fail>[0]) => void, RegExp]>> = {
    "a web page": [
      (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>Log in</html>"),
      /web page/,
    ],
    "a redirect to a login page elsewhere": [
      (response) => response.writeHead(302, { location: "http://login.example.org/" }).end(),
      /fetch_refused|not set up to fetch/,
    ],
    "a validation error": [
      (response) => fail(response, 409, { __type: "Validation Error", fields: ["field x not in table"] }),
      /409.*field x not in table/,
    ],
    "500 for good": [(response) => fail(response, 500, { message: "broken" }), /500.*broken/],
    "429 for good": [(response) => response.writeHead(429).end(), /busy.*429; found: no reason given/],
    "503 for good": [(response) => response.writeHead(503).end("<html>"), /busy.*503/],
    "JSON that is nothing of CKAN's": [
      (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"message":1}'),
      /without a reason/,
    ],
    "no fields": [
      (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"success":true,"result":{}}'),
      /without fields/,
    ],
    "a message with what PostgreSQL's texts cannot hold": [
      (response) => fail(response, 409, { message: "a\0b\r\nc\ud800" }),
      /found: a b c\ufffd\)/,
    ],
    "a very long message": [(response) => fail(response, 409, { message: "x".repeat(100_000) }), /^.{0,1400}$/s],
  };
  for (const [what, [respond, expected]] of Object.entries(lasting))
    test(`says what it gave instead: ${what}`, async () => {
      const from = await portal({
        fault: (_n, _request, response) => {
          respond(response);
          return true;
        },
      });
      await assert.rejects(rowsOf(from, {}, { clock: hasty }), (error: AppError) => {
        assert.ok(["portal_refused", "portal_busy", "fetch_refused"].includes(error.code), error.code);
        assert.match(error.message, expected);
        return true;
      });
    });

  test("is asked for fewer rows when a page is too large, and refused when one row is", async () => {
    const table: CkanTable = {
      columns: [{ id: "t", type: "text" }],
      rowCount: 600,
      row: (id) => ["x".repeat(id === 400 ? 20_000 : 500)],
    };
    const from = await portal({ tables: { r: table } });
    const source = await rowsOf(from, {}, { maxPageBytes: 30_000 });
    assert.deepEqual(await idsOf(source), counting(600));
    await assert.rejects(idsOf(await rowsOf(from, {}, { maxPageBytes: 10_000 })), {
      code: "remote_too_large",
      details: { origin: from.origin, expected: "at most 10000 bytes", found: "more" },
    });
  });

  test("is not believed when it gives more than was asked for, or rows of another width", async () => {
    for (const records of ["1,a,x\n".repeat(50), "1,a\n", "1,a,b,c\n", '1,"a\n', "1,a,b"]) {
      const from = await portal({
        fault: (n, _request, response) => {
          if (n === 1) return false;
          const fields = ["_id", "name", "kind"].map((id) => ({ id, type: "text" }));
          response.writeHead(200, { "content-type": "application/json" });
          response.end(JSON.stringify({ success: true, result: { fields, records, limit: 10 } }));
          return true;
        },
      });
      await assert.rejects(idsOf(await rowsOf(from)), { code: "portal_refused" }, JSON.stringify(records));
    }
  });
});

describe("CSV as PostgreSQL copies it", () => {
  const fields = ["a", "b"].map((id) => ({ id, type: "text" }));
  const read = (csv: string) => [...valuesOf({ csv: Buffer.from(csv) }, fields)];

  test("is read as Python reads it", {
    skip: without("Python 3", ["python3", "--version"], "Debian: python3"),
  }, () => {
    const csv = 'a,b\n"x ""y"", z","l1\nl2"\n,""\n"\n",é\n';
    const script = "import csv,json,sys;print(json.dumps(list(csv.reader(sys.stdin.read().splitlines(True)))))";
    const { stdout } = spawnSync("python3", ["-c", script], { input: csv, encoding: "utf8" });
    const rows = read(csv);
    assert.deepEqual(
      rows.map((row) => row.map((cell) => cell ?? "")),
      JSON.parse(stdout),
    );
    assert.deepEqual(rows[2], [null, ""]);
  });

  test("is refused where it is cut, or a row has another width", () => {
    for (const bad of ['"a', "a,", 'a,b\n"c\n', "a,b\nc", 'a,"b""', "a\n", "a,b,c\n", 'a,"b"c\n'])
      assert.throws(() => read(bad), { code: "portal_refused" }, bad);
  });

  test("comes out of JSON as JSON.parse gives it, whatever is escaped and how, with its rows counted", async (t) => {
    const random = seededRandom(t);
    const parts = [
      "a",
      ",",
      '"',
      "\n",
      "\r",
      "\t",
      "\b",
      "\f",
      "/",
      "\\",
      "é",
      "標",
      "🦕",
      "\ud800",
      "\udc00",
      "\u0000",
      "\u2028",
    ];
    /** Spells characters in any of the ways there are (RFC 8259 §7). */
    const escaped = (text: string) =>
      [...text]
        .map((character) => {
          const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
          const hex = units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
          if (random(3) === 0) return random(2) === 0 ? hex : hex.toUpperCase().replaceAll("\\U", "\\u");
          return character === "/" ? "\\/" : JSON.stringify(character).slice(1, -1);
        })
        .join("");
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: random(40) }, () => parts[random(parts.length)] ?? "").join("");
      const head = '{"help":"\\"records\\":\\"","success":true, "result" : {"x":[{"records":"no"},1],"records":\t';
      const json = Buffer.from(`${head}"${escaped(text)}" ,"limit":7}}`);
      const taken = takeCsv(json);
      const expected = JSON.parse(`${head}"${escaped(text)}","limit":7}}`);
      assert.deepEqual(Buffer.from(taken?.csv ?? []), Buffer.from(text));
      assert.deepEqual(JSON.parse(taken?.envelope ?? ""), { ...expected, result: { ...expected.result, records: "" } });
      // Rows as they are defined: line ends after an even number of quotes.
      const ends: number[] = [];
      for (const [at, byte] of Buffer.from(text).entries())
        if (
          byte === 10 &&
          Buffer.from(text)
            .subarray(0, at)
            .filter((one) => one === 34).length %
            2 ===
            0
        )
          ends.push(at + 1);
      assert.deepEqual(
        [taken?.rowCount, taken?.firstRowEnd, taken?.lastRowAt, taken?.isWhole],
        [ends.length, ends[0] ?? 0, ends.at(-2) ?? 0, (ends.at(-1) ?? 0) === Buffer.byteLength(text)],
        JSON.stringify(text),
      );
    }
  });

  test("is left where it is when it is no text of the result, and refused when it has no end", () => {
    for (const json of ['{"result":{"records":[1]}}', '{"records":"a"}', "[]", "", "{", '{"result":{"x":"records"}}']) {
      const bytes = Buffer.from(json);
      assert.equal(takeCsv(bytes), undefined, json);
      assert.equal(String(bytes), json);
    }
    for (const json of [
      '{"result":{"records":"a',
      '{"result":{"records":"\\x"}}',
      '{"result":{"records":"\\u00g0"}}',
      '{"result":{"records":"\\',
    ])
      assert.throws(() => takeCsv(Buffer.from(json)), SyntaxError, json);
  });
});

test("numbers keep their digits", () => {
  for (const text of ["0", "-1.5", "9007199254740991", "1e+300"]) assert.equal(exactNumber(text), Number(text));
  for (const text of ["1.10", "9007199254740993", "0.1000000000000000055", "1E5", "-0.0", "1e400"])
    assert.deepEqual(exactNumber(text), new ExactNumber(text));
  for (const text of ["NaN", "Infinity", "", "1,5", "0x10"]) assert.equal(exactNumber(text), text);
  assert.deepEqual(parseExactly('{"a":[12345678901234567890,"12345678901234567890",1]}'), {
    a: [new ExactNumber("12345678901234567890"), "12345678901234567890", 1],
  });
});
