/**
 * Every page as people see it: in light and dark, with something on it. The pictures are looked at by this test, and thrown
 * away; to have them in the documentation, for people to look at, too:
 *
 *     LONGSHORE_SCREENS=docs/screens node --test test/web/screenshots.test.ts
 */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type OpenPage, type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";
import { type FilledServer, filledServer } from "./screenshots/content.ts";

const FOLDER = process.env.LONGSHORE_SCREENS;
const KEPT = join(import.meta.dirname, "../../docs/screens");
const WINDOW = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
/** Pages that phones are held to, besides that none is wider than one. */
const ON_A_PHONE = ["home", "deposit", "transaction", "register", "schedule"];
/** Pictures of the documentation are smaller than the window. */
const SCALE = 0.6;
/** Of a longer page there is no more to see in its picture. */
const LONGEST = 2_000;

describe("every page, looked at", { skip: withoutBrowser() }, () => {
  let filled: FilledServer;
  let browser: TestBrowser;
  let opened: OpenPage;
  before(async () => {
    filled = await filledServer();
    browser = await testBrowser();
    const window = { viewport: WINDOW, deviceScaleFactor: SCALE, colorScheme: "light" } as const;
    opened = await browser.open(`${filled.server.url}/home`, window);
    if (FOLDER !== undefined) await mkdir(FOLDER, { recursive: true });
  });
  after(async () => {
    await browser?.close();
    await filled?.stop();
  });

  async function picture(name: string): Promise<Buffer> {
    const { page } = opened;
    const height = Math.min(LONGEST, Number(await page.evaluate("document.documentElement.scrollHeight")));
    const { width } = page.viewportSize() ?? WINDOW;
    const bytes = await page.screenshot({ fullPage: true, clip: { x: 0, y: 0, width, height } });
    if (FOLDER !== undefined) await writeFile(join(FOLDER, `${name}.png`), bytes);
    return bytes;
  }

  test("is accessible, quiet and not blank, in light and dark", async () => {
    const { page } = opened;
    await page.setContent("<title>nothing</title>");
    const blank = (await page.screenshot()).length;
    for (const [name, path] of Object.entries(filled.pages)) {
      await page.goto(`${filled.server.url}${path}`);
      assert.ok((await page.locator("main").innerText()).trim().length > 40, `${name} says something`);
      const light = await picture(`${name}-light`);
      await page.emulateMedia({ colorScheme: "dark" });
      const dark = await picture(`${name}-dark`);
      await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
      await opened.assertAccessible();
      await page.emulateMedia({ colorScheme: "light" });
      // The rest does not depend on colours.
      await opened.assertAccessible(["color-contrast"]);
      opened.assertQuiet();
      for (const bytes of [light, dark]) assert.ok(bytes.length > 2 * blank, `${name} has ${bytes.length} bytes`);
      assert.ok(!light.equals(dark), `${name} is not the same in light and dark`);
    }
  });

  test("is not wider than a phone", async () => {
    const { page } = opened;
    await page.setViewportSize(PHONE);
    await page.emulateMedia({ colorScheme: "light" });
    const wide: string[] = [];
    for (const [name, path] of Object.entries(filled.pages)) {
      await page.goto(`${filled.server.url}${path}`);
      const width = await page.evaluate("document.documentElement.scrollWidth");
      if (width !== PHONE.width) wide.push(`${name}: ${width}`);
      if (ON_A_PHONE.includes(name)) await picture(`${name}-phone`);
    }
    assert.deepEqual(wide, []);
  });

  test("is in the documentation", async () => {
    const shown = Object.keys(filled.pages).flatMap((name) => [`${name}-light.png`, `${name}-dark.png`]);
    const expected = [...shown, ...ON_A_PHONE.map((name) => `${name}-phone.png`)].sort();
    const found = (await readdir(KEPT)).filter((name) => name.endsWith(".png")).sort();
    assert.deepEqual(found, expected, "make them anew as the top of this file says");
    const gallery = await readFile(join(KEPT, "README.md"), "utf8");
    for (const name of expected) assert.ok(gallery.includes(`(${name})`), `${name} is in the gallery`);
  });
});
