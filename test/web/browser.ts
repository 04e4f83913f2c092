import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { without } from "../support/tools.ts";

const CHROMIUM = "/usr/bin/chromium";

/** Why there is no browser on this machine, or `false`; for the `skip` of tests. */
export const withoutBrowser = (): string | false => without("Chromium", [CHROMIUM, "--version"], "Debian: chromium");

export interface TestBrowser {
  /** A page in a window of its own, whose errors on the console fail the test that calls `assertQuiet`. */
  open(url: string, options?: BrowserContextOptions): Promise<OpenPage>;
  close(): Promise<void>;
}

export interface OpenPage {
  readonly page: Page;
  /** axe-core finds nothing that WCAG 2.2 A and AA forbid. @param rules only these of its rules. */
  assertAccessible(rules?: readonly string[]): Promise<void>;
  /** Nothing was thrown, refused by the policy, or logged as an error. */
  assertQuiet(): void;
  close(): Promise<void>;
}

/** For what comes at once on a machine that has nothing else to do. */
const PATIENCE_MS = 180_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** A real Chromium without a window; it asks nobody but our server. */
export async function testBrowser(): Promise<TestBrowser> {
  const browser: Browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const axe = await readFile(AXE, "utf8");
  return {
    async open(url, options = {}) {
      const context = await browser.newContext({ timezoneId: "America/Denver", ...options });
      context.setDefaultTimeout(PATIENCE_MS);
      const page = await context.newPage();
      const heard: string[] = [];
      page.on("pageerror", (error) => heard.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error") heard.push(message.text());
      });
      await page.goto(url);
      return {
        page,
        async assertAccessible(rules = STANDARDS) {
          // The pages' policy lets no script in but theirs; the browser's debugger runs this one.
          const found = await page.evaluate(`(() => {
            const module = undefined;
            ${axe}
            return axe.run(document, { runOnly: ${JSON.stringify(rules)} });
          })()`);
          const { violations } = found as {
            readonly violations: readonly {
              readonly id: string;
              readonly nodes: readonly { readonly html: string }[];
            }[];
          };
          const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n  ")}`);
          assert.deepEqual(told, [], `on ${page.url()}`);
        },
        assertQuiet: () => assert.deepEqual(heard, [], `on ${page.url()}`),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}
