import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { endingOf } from "../../src/core/crawl/sizes.ts";
import { markupOf } from "../../src/web/html.ts";
import { treeMap } from "../../src/web/tree-map.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished } from "../http/client.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

test("a tree map is filled by its parts, each as large as its value", () => {
  const drawn = markupOf(
    treeMap("Sizes", [
      { name: "<a>", value: 3, amount: "3 B", address: "/a?b=1&c" },
      { name: "b", value: 1, amount: "1 B" },
      { name: "nothing", value: 0, amount: "0 B" },
    ]),
  );
  const widths = [...drawn.matchAll(/ width="(\d+)" height="300"/g)].map(([, width]) => Number(width));
  // Three quarters of 640 and one, but for the gap between them.
  assert.deepEqual(widths, [480, 158]);
  assert.match(drawn, /<a href="\/a\?b=1&amp;c" aria-label="&lt;a&gt;: 3 B">/);
  assert.equal(markupOf(treeMap("Nothing", [{ name: "n", value: 0, amount: "0 B" }])), "");
});

test("an ending is a type, unless it is a number", () => {
  assert.deepEqual(["a/B.TXT", "a.b/c", ".profile", "x.tar.gz", "run.0001", "x.7z"].map(endingOf), [
    ...["txt", "", "", "gz", "", "7z"],
  ]);
});

/** One variable on one dimension: the classic format as the NetCDF Users' Guide, appendix B, writes it down. */
function smallNetcdf(): Buffer {
  const int = (value: number) => Buffer.from([value >> 24, value >> 16, value >> 8, value]);
  const words = (text: string) => [int(text.length), Buffer.from(text.padEnd(Math.ceil(text.length / 4) * 4, "\0"))];
  const [dimension, variable, attribute, char, float] = [10, 11, 12, 2, 5];
  const attributes = (name: string, value: string) => [
    int(attribute),
    int(1),
    ...words(name),
    int(char),
    ...words(value),
  ];
  const head = [
    ...[Buffer.from("CDF\x01"), int(0)],
    ...[int(dimension), int(1), ...words("lat"), int(3)],
    ...attributes("title", "Test"),
    ...[int(variable), int(1), ...words("t"), int(1), int(0), ...attributes("units", "K<b>"), int(float), int(12)],
  ];
  const before = Buffer.concat(head);
  return Buffer.concat([before, int(before.length + 4), Buffer.alloc(12)]);
}

/** A page with nothing on it; readers find its objects without a table of them. */
const SMALL_PDF = `%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 200 100]>> endobj
trailer <</Root 1 0 R>>
%%EOF
`;

describe("pages of crawls", () => {
  let server: ServerProcess;
  let folder: string;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-crawl-pages-")));
    await mkdir(join(folder, "sub"));
    await writeFile(join(folder, "a.csv"), "x,y\n1,2\n3,4\n");
    await writeFile(join(folder, "sub/b.json"), '{"b": 1}');
    await writeFile(join(folder, "<b>.txt"), "words\n");
    server = await startServer({ env: { LONGSHORE_CRAWL_ROOTS: folder } });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });
  const text = async (path: string) => (await fetch(`${server.url}${path}`)).text();
  const send = (path: string, fields: Record<string, string>) =>
    fetch(`${server.url}${path}`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });

  test("a crawl is begun by a form; its page tells what was found, how large it is and what was made of it", async () => {
    const answer = await send("/crawls", { url: folder, grouper: "extension", pattern: "", describe: "on" });
    assert.equal(answer.status, 303, await answer.text());
    const path = answer.headers.get("location") ?? "";
    await until("it is described", async () => {
      const shown = await text(path);
      return shown.includes(">complete<") && !shown.includes("data-live");
    });
    const shown = await text(path);
    assert.match(shown, /<dt>Files<\/dt><dd>3<\/dd>/);
    // 12 of 26 bytes.
    assert.match(
      shown,
      /\.csv<\/span><\/td><td class="number">1<\/td><td class="number">12 B<\/td><td class="number">46 %/,
    );
    const [, deeper = ""] = /<a class="path" href="([^"#]+)#sizes">sub\/</.exec(shown) ?? [];
    const inside = await text(deeper.replaceAll("&amp;", "&"));
    assert.match(inside, /<span aria-current="true">sub<\/span>/);
    assert.match(inside, /\(files that lie here\)<\/span><\/td><td class="number">1<\/td><td class="number">8 B/);
    assert.doesNotMatch(await text(`${path}?folder=none`), /id="sizes"/);
    assert.ok(shown.includes("&lt;b&gt;.txt") && !shown.includes("<b>"));
    assert.match(await text("/crawls"), new RegExp(`href="${path}"`));
    const [, records = ""] = /href="(\/extractions\/[^"]+)"/.exec(shown) ?? [];
    const [record = ""] = (await text(records)).match(new RegExp(`${records}/records/\\d+`)) ?? [];
    assert.match(await text(record), /<h2>What was found<\/h2><pre/);
    const flush = /-d &#39;(\{[^&]*(?:&quot;[^&]*)*\})&#39; &#39;(http[^&]+)&#39;/.exec(shown) ?? [];
    const flushed = await fetch(flush[2] ?? "", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: (flush[1] ?? "").replaceAll("&quot;", '"'),
    });
    assert.equal(((await flushed.json()) as { items: unknown[] }).items.length, 3);
  });

  test("of archived files that a crawl has described, the page of each shows what it is made of", async () => {
    for (const [name, bytes, mediaType] of [
      ["grid.nc", smallNetcdf(), "application/x-netcdf"],
      ["paper.pdf", Buffer.from(SMALL_PDF), "application/pdf"],
    ] as const) {
      const { id } = await deposit(server, bundle({ [name]: bytes }, { mediaType }));
      assert.equal((await finished(server, id)).state, "succeeded");
    }
    assert.match(await text("/files/1"), /shown when a crawl of the archive has described them/);
    assert.equal((await send("/crawls", { url: "archive:", grouper: "file_is_group", describe: "on" })).status, 303);
    await until("they are described", async () => (await text("/files/1")).includes("Dimensions"), 30_000);
    const grid = await text("/files/1");
    assert.match(grid, /<li>Dimensions<ul><li>lat = 3<\/li><\/ul><\/li>/);
    assert.match(grid, /<code>float t\(lat\)<\/code><ul><li><code>units<\/code> = K&lt;b&gt;<\/li><\/ul>/);
    assert.match(grid, /<a href="\/extractions\/[^"]+\/records\/\d+">All that is known/);
    await until("the other is, too", async () => /<dt>Pages<\/dt><dd>1</.test(await text("/files/2")), 30_000);
    assert.match(await text("/files/2"), /<iframe src="\/files\/2\/view" title="data\/paper.pdf">/);
    const [pdf, download] = await Promise.all(
      ["/files/2/view", "/api/v1/files/2/content"].map((path) => fetch(`${server.url}${path}`)),
    );
    assert.equal(pdf?.headers.get("content-disposition"), "inline");
    assert.match(pdf?.headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'self'/);
    assert.equal(pdf?.headers.get("x-content-type-options"), "nosniff");
    assert.match(download?.headers.get("content-security-policy") ?? "", /sandbox/);
    assert.match(download?.headers.get("content-disposition") ?? "", /^attachment/);
  });

  test("several stores are crawled as one, and the sizes of each are shown by themselves", async () => {
    const url = `${folder}\r\n${folder}/sub\r\n`;
    const answer = await send("/crawls", { url, grouper: "file_is_group" });
    const path = answer.headers.get("location") ?? "";
    await until("it has ended", async () => (await text(path)).includes(">complete<"));
    const shown = await text(path);
    assert.match(shown, /and 1 more<\/h1>/);
    const [, second = ""] = /<li><a href="([^"#]+)#sizes">file:[^<]*\/sub</.exec(shown) ?? [];
    assert.match(
      await text(second.replaceAll("&amp;", "&")),
      /\(files that lie here\)<\/span><\/td><td class="number">1</,
    );
  });

  test("what cannot be crawled is said, and nothing is begun", async () => {
    const refused = await send("/crawls", { url: tmpdir(), grouper: "file_is_group" });
    assert.equal(refused.status, 400);
    const again = await refused.text();
    assert.match(
      again,
      /aria-invalid="true"[^>]*>\n[^<]+<\/textarea><p class="hint"[^>]*>[^<]*<\/p><p class="problem" id="url-problem">Longshore is not/,
    );
    assert.doesNotMatch(again, /id="hidden"[^>]* checked/, "as it was sent");
    const pattern = await send("/crawls", { url: folder, grouper: "regex", pattern: "(" });
    assert.match(await pattern.text(), /id="pattern"[^>]*value="\("[\s\S]*id="pattern-problem"/);
    const empty = await send("/crawls", { url: " \n", grouper: "file_is_group" });
    assert.equal(empty.status, 400);
    assert.match(await empty.text(), /id="url-problem">Give the address/);
    const odd = await send("/crawls", { url: folder, grouper: "odd" });
    assert.match(await odd.text(), /id="grouper-problem"/);
    assert.equal((await fetch(`${server.url}/crawls/00000000-0000-4000-8000-000000000000`)).status, 404);
  });

  describe("in a browser", { skip: withoutBrowser() }, () => {
    let browser: TestBrowser;
    before(async () => {
      browser = await testBrowser();
    });
    after(() => browser?.close());

    test("a crawl is begun and followed, accessibly in light and dark", async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        const opened = await browser.open(`${server.url}/crawls`, { colorScheme });
        const { page } = opened;
        await opened.assertAccessible();
        await page.getByLabel("Address of the store").fill(folder);
        await page.getByRole("button", { name: "Start" }).click();
        await page.getByRole("heading", { name: "Sizes" }).waitFor();
        await opened.assertAccessible();
        await page.getByRole("link", { name: "Records" }).click();
        await page.getByRole("heading", { name: "Records" }).waitFor();
        await opened.assertAccessible();
        opened.assertQuiet();
        await opened.close();
      }
    });

    test("files that were described are shown accessibly in light and dark", async () => {
      for (const colorScheme of ["light", "dark"] as const)
        for (const path of ["/files/1", "/files/2"]) {
          const opened = await browser.open(`${server.url}${path}`, { colorScheme });
          await opened.assertAccessible();
          opened.assertQuiet();
          await opened.close();
        }
    });
  });
});
