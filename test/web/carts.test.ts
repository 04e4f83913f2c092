import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { webFace } from "../../src/web/face.ts";
import { type Deposited, depositFiles } from "../http/cart-client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { until } from "../support/until.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

const EVIL = "<img src=x onerror=alert(1)>.txt";

describe("pages of carts", () => {
  let server: RealServer;
  let made: Deposited;
  before(async () => {
    server = await realServer({ face: webFace });
    made = await depositFiles(server, { "a.txt": "hello\n", "sub/b.txt": "1\n", "sub/c.txt": "2\n", [EVIL]: "x\n" });
  });
  after(() => server.stop());
  const page = (path: string) => fetch(`${server.url}${path}`);
  const send = (path: string, fields: Record<string, string>) =>
    fetch(`${server.url}${path}`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });

  /** @returns the page of the cart that was made. */
  async function cartOf(fields: Record<string, string>): Promise<{ readonly path: string; readonly text: string }> {
    const answer = await send("/carts", fields);
    assert.equal(answer.status, 303, await answer.text());
    const path = answer.headers.get("location") ?? "";
    return { path, text: await (await page(path)).text() };
  }
  /** What the form with this button would send. */
  function fieldsOf(text: string, button: string): Record<string, string> {
    const form = text.split("<form").find((one) => one.includes(`>${button}<`)) ?? assert.fail(`no button ${button}`);
    return Object.fromEntries(
      [...form.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name = "", value = ""]) => [
        name,
        value,
      ]),
    );
  }

  test("the buttons of a transaction, a folder, a file and a search make carts of just that", async () => {
    const { transaction, ids } = made;
    const whole = await (await page(`/archive/${transaction}`)).text();
    const all = await cartOf(fieldsOf(whole, "Make a cart of the transaction"));
    assert.match(all.text, /<dt>Files<\/dt><dd>4<\/dd>/);
    const sub = await (await page(`/archive/${transaction}?folder=data%2Fsub`)).text();
    const folder = await cartOf(fieldsOf(sub, "Make a cart of this folder"));
    assert.match(folder.text, /<h1>Cart sub<\/h1>/);
    assert.match(folder.text, /<dt>Files<\/dt><dd>2<\/dd>/);
    const file = await (await page(`/files/${ids["a.txt"]}`)).text();
    assert.match((await cartOf(fieldsOf(file, "Make a cart of it"))).text, /<dt>Files<\/dt><dd>1<\/dd>/);
    const search = `/search?${new URLSearchParams({ q: "name:b.txt" })}`;
    await until("it is indexed", async () => (await (await page(search)).text()).includes("b.txt</a>"));
    const found = await cartOf(fieldsOf(await (await page(search)).text(), "Make a cart of all that was found"));
    assert.match(found.text, /<dt>Files<\/dt><dd>1<\/dd>/);
    assert.match(found.text, /sub\/b\.txt/);
  });

  test("a cart's page has its files, downloads, and lines for a terminal", async () => {
    const { path, text } = await cartOf({ name: "it's mine", transaction: String(made.transaction) });
    assert.ok(!text.includes("<img"), "a file's name is no markup");
    const id = path.slice("/carts/".length);
    // What a shell makes of it: POSIX.1-2017, Shell Command Language, 2.2.2.
    assert.ok(text.includes(String.raw`curl -f -C - -o &#39;it&#39;\&#39;&#39;s mine.tar&#39;`), text);
    assert.ok(text.includes(`longshore get ${id}`));
    for (const name of ["download.tar", "download.zip", "manifest"]) {
      assert.ok(text.includes(`href="/api/v1/carts/${id}/${name}"`));
      assert.equal((await page(`/api/v1/carts/${id}/${name}`)).status, 200);
    }
    assert.match(await (await page("/carts")).text(), new RegExp(`href="${path}"`));
    assert.doesNotMatch(await (await page(`${path}?from=2`)).text(), />a\.txt</);
  });

  test("a link that was made for others downloads the ZIP, until its time or the cart is over", async () => {
    const { path } = await cartOf({ name: "shared", file: String(made.ids["a.txt"]) });
    const shown = await (await send(`${path}/link`, { days: "1" })).text();
    const [, link = ""] = /(http:\/\/[^<]+\/links\/cart\/[^<]+)</.exec(shown) ?? [];
    const zip = await fetch(link);
    assert.equal(zip.headers.get("content-type"), "application/zip");
    assert.equal(
      Buffer.from(await zip.arrayBuffer())
        .subarray(0, 2)
        .toString(),
      "PK",
    );
    const entry = (await server.stores.audit.list(0, 100)).at(-1);
    assert.equal(entry?.action, "cart.link");
    assert.equal((await send(`${path}/link`, { days: "0" })).status, 400);
    assert.equal((await send(`${path}/remove`, {})).headers.get("location"), "/carts");
    assert.equal((await fetch(link)).status, 404);
    assert.equal((await page(path)).status, 404);
  });

  test("what cannot be put into a cart is said", async () => {
    const nothing = await send("/carts", { name: "none", search: "name:nowhere" });
    assert.equal(nothing.status, 422);
    assert.match(await nothing.text(), /cart_refused/);
    assert.equal((await send("/carts", { name: "none" })).status, 422);
    assert.equal((await send("/carts", { name: "blank", search: "  " })).status, 400);
  });

  describe("in a browser", { skip: withoutBrowser() }, () => {
    let browser: TestBrowser;
    before(async () => {
      browser = await testBrowser();
    });
    after(() => browser?.close());

    test("a cart is made, shared and copied, accessibly in light and dark", async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        const opened = await browser.open(`${server.url}/archive/${made.transaction}`, {
          colorScheme,
          permissions: ["clipboard-read", "clipboard-write"],
        });
        const { page } = opened;
        await opened.assertAccessible();
        await page.getByRole("button", { name: "Make a cart of the transaction" }).click();
        await page.getByRole("heading", { name: "In a terminal" }).waitFor();
        await opened.assertAccessible();
        await page.getByRole("button", { name: "Make a link" }).click();
        await page.getByRole("button", { name: "Copy" }).click();
        await page.getByRole("button", { name: "Copied" }).waitFor();
        assert.match(String(await page.evaluate("navigator.clipboard.readText()")), /\/links\/cart\//);
        await opened.assertAccessible();
        await page.getByRole("link", { name: "Carts" }).click();
        await opened.assertAccessible();
        opened.assertQuiet();
        await opened.close();
      }
    });

    test("a cart works without script, and its page fits a phone", async () => {
      const opened = await browser.open(`${server.url}/files/${made.ids["a.txt"]}`, {
        javaScriptEnabled: false,
        viewport: { width: 360, height: 640 },
      });
      const { page } = opened;
      await page.getByRole("button", { name: "Make a cart of it" }).click();
      await page.getByRole("heading", { name: "What is in it" }).waitFor();
      // Without script, Playwright's own evaluation still sees the layout.
      const { width } = await page.locator("main").evaluate((main) => ({ width: main.scrollWidth }));
      assert.ok(width <= 360, `${width} px`);
      await opened.close();
    });
  });
});

test("a cart of somebody who has signed in needs their form", async (t) => {
  const server = await realServer({ face: webFace, loopback: false });
  t.after(() => server.stop());
  const { text } = await server.deps.tokens.create({ owner: "ada", scopes: ["read"], expiresAt: null });
  const cookie = `longshore_session=${server.deps.sessions.begin({ kind: "token", text })}`;
  const answers = async (fields: Record<string, string>) => {
    const body = new URLSearchParams({ name: "mine", ...fields });
    return fetch(`${server.url}/carts`, { method: "POST", body, headers: { cookie }, redirect: "manual" });
  };
  assert.match(await (await answers({ search: "name:a.txt" })).text(), /form_stale/);
  const shown = await (await fetch(`${server.url}/carts`, { headers: { cookie } })).text();
  const [, formToken = ""] = /name="form-token" content="([^"]+)"/.exec(shown) ?? [];
  // There is no such file: the form was accepted, the choice is not.
  assert.match(await (await answers({ formToken, file: "1" })).text(), /cart_refused/);
});
