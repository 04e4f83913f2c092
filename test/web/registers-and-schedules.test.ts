import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { webFace } from "../../src/web/face.ts";
import { json } from "../http/client.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

const EXAMPLE = new URL("../../examples/registers/preservation.json", import.meta.url);
const PHONE = { viewport: { width: 360, height: 740 } };

describe("registers and schedules in a real browser", { skip: withoutBrowser() }, () => {
  let server: RealServer;
  let browser: TestBrowser;
  before(async () => {
    server = await realServer({ face: webFace, worker: false });
    browser = await testBrowser();
    const { registers, clock } = server.deps;
    await registers.declare(await readFile(EXAMPLE, "utf8"));
    const local = { name: "local", scopes: ["admin"], via: "local" } as const;
    for (const channel of ["film4", "five"])
      await registers.create(local, "preservation", {
        name: "Ada <script>alert(1)</script>",
        email: "ada@example.org",
        preservation_date: new Date(clock.now()).toISOString().slice(0, 10),
        channel,
      });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("tables are cards on a phone, accessible as tables", async () => {
    const { page, assertAccessible, close } = await browser.open(`${server.url}/registers/preservation`, PHONE);
    await assertAccessible();
    const display = await page.evaluate("getComputedStyle(document.querySelector('.as-cards td')).display");
    assert.equal(display, "grid");
    assert.equal(await page.getByRole("row").count(), 3);
    await close();
  });

  test("a curator adds an entry with a phone, and gives it its next status", async () => {
    const { page, assertQuiet, close } = await browser.open(`${server.url}/registers/preservation`, PHONE);
    await page.getByRole("link", { name: "Add an entry" }).click();
    await page.getByLabel("Your name").fill("Grace");
    await page.getByLabel("Your mail address").fill("grace@example.org");
    await page.getByLabel("Day").fill(new Date(server.deps.clock.now()).toISOString().slice(0, 10));
    await page.getByLabel("Channel").selectOption("skynews");
    await page.getByRole("button", { name: "Add" }).click();
    await page.waitForURL(/\/entries\/3$/);
    await page.getByLabel("Reason, if").fill("asked twice");
    await page.getByRole("button", { name: "Cancelled" }).click();
    await page.getByText("Requested → Cancelled").waitFor();
    assert.ok(await page.getByText("asked twice").first().isVisible());
    assertQuiet();
    await close();
  });

  test("an expression is judged while it is typed, and the schedule is declared", async () => {
    const { page, assertQuiet, close } = await browser.open(`${server.url}/schedules/new`);
    await page.getByLabel("Name").fill("Weekly");
    await page.getByLabel("Crontab expression").pressSequentially("0 25 * * 1");
    await page.locator("#when").getByText('hour "25"').waitFor();
    await page.getByLabel("Crontab expression").fill("0 23 * * 1");
    await page.locator("#when").getByText("At 23:00, only on Monday, by the clocks of UTC").waitFor();
    assert.equal(await page.locator("#when dd").count(), 10);
    await page.getByLabel("Time zone").fill("Asia/Tokyo");
    await page.locator("#when").getByText("by the clocks of Asia/Tokyo").waitFor();
    await page.getByLabel("Command").fill("true");
    await page.getByRole("button", { name: "Declare" }).click();
    await page.getByRole("heading", { name: "Weekly" }).waitFor();
    assertQuiet();
    await close();
  });

  test("what was typed before the script was there is judged, too", async () => {
    const { page, close } = await browser.open("about:blank");
    const script = Promise.withResolvers<void>();
    await page.route(/\/crontab\.js$/, async (route) => {
      await script.promise;
      await route.continue();
    });
    await page.goto(`${server.url}/schedules/new`, { waitUntil: "commit" });
    await page.getByLabel("Crontab expression").fill("0 25 * * 1");
    script.resolve();
    await page.locator("#when").getByText('hour "25"').waitFor();
    await close();
  });

  test("a crontab is judged while it is typed; nothing is kept before it is imported", async () => {
    const { page, assertQuiet, close } = await browser.open(`${server.url}/schedules/import`);
    await page.getByLabel("Text").pressSequentially("0 4 * * 9 true\n");
    await page.locator("#checked").getByText("Line 1, column 9").waitFor();
    await page.getByLabel("Text").fill("0 4 * * 0 true\n");
    await page.locator("#checked").getByText("Schedules that would be made: 1").waitFor();
    const { items } = await json<{ items: { name: string }[] }>(`${server.url}/api/v1/schedules`);
    assert.ok(!items.some(({ name }) => name === "line 1"));
    assertQuiet();
    await close();
  });
});
