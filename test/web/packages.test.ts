import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { barChart } from "../../src/web/charts.ts";
import { webFace } from "../../src/web/face.ts";
import { markupOf } from "../../src/web/html.ts";
import { filtersOf } from "../../src/web/pages/package-form.ts";
import { packageServer } from "../http/package-server.ts";
import { until } from "../support/until.ts";
import { testBrowser, withoutBrowser } from "./browser.ts";

test("bars are as high as their values, from zero, and say them", () => {
  const bars = [
    { label: "<a>", value: 1 },
    { label: "b", value: 4 },
    { label: "c", value: 0 },
  ];
  const drawn = markupOf(barChart("Rows", bars));
  const heights = [...drawn.matchAll(/ height="([\d.]+)"/g)].map(([, height]) => Number(height));
  assert.deepEqual(heights, [25, 100, 0]); // a quarter, all and nothing of 100
  assert.ok(drawn.includes("<title>&lt;a&gt;: 1</title>"));
  assert.ok(!markupOf(barChart("Rows", [])).includes("NaN"));
});

test("filters are typed a line each, several values of a field one after another", () => {
  assert.deepEqual(filtersOf("a=1\r\n b = x=y \n\na=2"), { a: ["1", "2"], b: ["x=y"] });
  assert.throws(
    () => filtersOf("nothing"),
    (error) => error instanceof AppError && error.code === "request_invalid",
  );
});

test("a package is ordered by a form, its page has its link, and operators see what was packed", async (t) => {
  const server = await packageServer(t, { face: webFace });
  const text = async (path: string) => (await fetch(`${server.url}${path}`)).text();
  const send = (fields: Record<string, string>) =>
    fetch(`${server.url}/packages`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
  const order = { kind: "datastore", apiUrl: server.portal.apiUrl, resourceId: "r", format: "csv", limit: "3" };
  const answer = await send(order);
  assert.equal(answer.status, 303, await answer.text());
  const path = answer.headers.get("location") ?? "";
  await until("it is ready", async () => (await text(path)).includes(">ready<"));
  const shown = await text(path);
  const [, link = ""] = /data-copy="Copy"[^>]*>([^<]+)</.exec(shown) ?? [];
  assert.equal((await fetch(server.here(link))).status, 200);
  assert.match(await text("/packages"), new RegExp(`href="${path}"`));
  assert.equal((await fetch(`${server.url}${path}/revoke`, { method: "POST" })).status, 200);
  assert.equal((await fetch(server.here(link))).status, 410);
  const refused = await send({ ...order, resourceId: "" });
  assert.equal(refused.status, 400);
  const again = await refused.text();
  assert.match(again, /role="alert">Nothing was ordered/);
  assert.match(again, /id="resourceId-problem">Give the resource&#39;s id/);
  assert.match(again, /name="limit"[^>]* value="3"/);
  const unfiltered = await (await send({ ...order, filters: "no sign" })).text();
  assert.match(unfiltered, /no sign<\/textarea>[\s\S]*id="filters-problem">Write field=value/);
  assert.match(await (await send({ ...order, apiUrl: "http://192.0.2.1/" })).text(), /id="apiUrl-problem">/);
  const ordersBefore = (
    await server.deps.packages.list({ name: "local", scopes: ["read"], via: "local" }, { limit: 9 })
  ).length;
  const previewed = await send({ ...order, limit: "", action: "preview" });
  assert.equal(previewed.status, 200);
  const rows = await previewed.text();
  assert.match(rows, /100 rows would be packed/);
  assert.equal([...(rows.split("<tbody>")[1] ?? "").matchAll(/<tr>/g)].length, 10);
  assert.match(await (await send({ ...order, action: "preview" })).text(), /3 rows would be packed/);
  assert.match(await (await send({ ...order, resourceId: "none", action: "preview" })).text(), /role="alert">/);
  assert.match(
    await (await send({ kind: "url", resourceId: "r", resourceUrl: server.portal.apiUrl, action: "preview" })).text(),
    /id="kind-problem">/,
  );
  assert.equal(
    (await server.deps.packages.list({ name: "local", scopes: ["read"], via: "local" }, { limit: 9 })).length,
    ordersBefore,
    "a preview is no order",
  );
  const counted = await text("/packages/statistics");
  assert.equal([...counted.matchAll(/<svg /g)].length, 4);

  await t.test("accessibly in light and dark", { skip: withoutBrowser() }, async () => {
    const browser = await testBrowser();
    try {
      for (const colorScheme of ["light", "dark"] as const)
        for (const one of ["/packages", path, "/packages/statistics"]) {
          const opened = await browser.open(`${server.url}${one}`, { colorScheme });
          await opened.assertAccessible();
          opened.assertQuiet();
          await opened.close();
        }
    } finally {
      await browser.close();
    }
  });
});
