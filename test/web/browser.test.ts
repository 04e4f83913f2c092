import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { webFace } from "../../src/web/face.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished } from "../http/client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

describe("pages in a real browser", { skip: withoutBrowser() }, () => {
  let server: RealServer;
  let browser: TestBrowser;
  before(async () => {
    server = await realServer({ face: webFace });
    browser = await testBrowser();
    const { id } = await deposit(server, bundle({ "a.txt": "hello\n" }));
    await finished(server, id);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a page that says what is wrong is accessible", async () => {
    const { assertAccessible, close } = await browser.open(`${server.url}/jobs/99`);
    await assertAccessible();
    await close();
  });

  test("times are in the reader's zone, and in UTC without script", async () => {
    const { createdAt } = await server.deps.jobs.get(
      (await server.deps.jobs.list({ limit: 1 }))[0]?.id ?? (0 as never),
    );
    const shownIn = (timeZone: string) =>
      new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "medium", timeZone }).format(createdAt);
    const options = { locale: "en-US", timezoneId: "Asia/Kolkata" };
    const lively = await browser.open(`${server.url}/jobs/1`, options);
    assert.equal(await lively.page.locator("dl time").innerText(), shownIn("Asia/Kolkata"));
    await lively.close();
    const plain = await browser.open(`${server.url}/jobs/1`, { ...options, javaScriptEnabled: false });
    assert.match(await plain.page.locator("dl time").innerText(), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    await plain.close();
  });

  test("a form that is refused comes back with what was typed, and says what is wrong accessibly", async () => {
    const { page, assertAccessible, close } = await browser.open(`${server.url}/operations/tokens`);
    await page.getByLabel("Speaks for").fill("ada");
    await page.getByLabel("Most requests").fill("often");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText("Choose at least one thing").waitFor();
    assert.equal(await page.getByLabel("Speaks for").inputValue(), "ada");
    await assertAccessible();
    await close();
  });

  test("a page that is open shows what has come in since", async () => {
    const { page, assertQuiet, close } = await browser.open(`${server.url}/jobs`);
    const { id } = await deposit(server, bundle({ "b.txt": "again\n" }));
    await page.locator(`a[href="/jobs/${id}"]`).waitFor();
    assertQuiet();
    await close();
  });

  test("the keyboard reaches the content first, then everything else", async () => {
    const { page, close } = await browser.open(`${server.url}/home`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.id"), "content");
    await close();
  });

  test("the first load weighs less than 150 KB of script and style", async () => {
    const { page, close } = await browser.open("about:blank");
    let bytes = 0;
    page.on("response", async (response) => {
      if (/javascript|css/.test(response.headers()["content-type"] ?? "")) bytes += (await response.body()).length;
    });
    await page.goto(`${server.url}/home`, { waitUntil: "networkidle" });
    assert.ok(bytes > 1_000 && bytes < 150_000, `${bytes} bytes`);
    await close();
  });
});
