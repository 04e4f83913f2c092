import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { endingOf, summed } from "../../src/web/pages/crawl-sizes.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

test("sizes are summed by name, the largest first, and what is small together", () => {
  const items = Array.from({ length: 30 }, (_, at) => ({ path: `f${at}/x`, sizeBytes: at }));
  const sums = summed(items, ({ path }) => path, "rest");
  assert.equal(sums.length, 12);
  assert.deepEqual(sums[0], { name: "f29/x", files: 1, bytes: 29 });
  // 0 + 1 + … + 18, by hand: 171.
  assert.deepEqual(sums.at(-1), { name: "rest", files: 19, bytes: 171 });
  assert.deepEqual(["a/B.TXT", "a.b/c", ".profile", "x.tar.gz"].map(endingOf), [".txt", undefined, undefined, ".gz"]);
});

describe("pages of crawls", { timeout: 120_000 }, () => {
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
    assert.match(shown, /Of all 3 files\./);
    // 12 of 26 bytes.
    assert.match(
      shown,
      /\.csv<\/span><\/td><td class="number">1<\/td><td class="number">12 B<\/td><td><meter [^>]*value="46"/,
    );
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

  test("what cannot be crawled is said, and nothing is begun", async () => {
    const refused = await send("/crawls", { url: tmpdir(), grouper: "file_is_group" });
    assert.match(await refused.text(), /endpoint_refused/);
    assert.equal((await send("/crawls", { url: "", grouper: "file_is_group" })).status, 400);
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
  });
});
