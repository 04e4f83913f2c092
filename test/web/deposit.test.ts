import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { rulesPolicy } from "../../src/core/ingest/policy/rules.ts";
import { readRules } from "../../src/core/ingest/policy/rules-file.ts";
import { type ArchivedFile, longshore } from "../../src/sdk/index.ts";
import { webFace } from "../../src/web/face.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { lastingPort, startServer } from "../support/server.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

const PATIENCE = { timeout: 60_000 };
const EVIL = "<img src=x onerror=alert(1)> & 'quotes' \u202Egnp.exe";

/** A folder with files in it, to be removed by the caller. */
async function folderOf(contents: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "longshore-chosen-"));
  for (const [path, content] of Object.entries(contents)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

const sha256 = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");
const part = (page: Page, name: string) => page.locator(`[data-part="${name}"]`);

/** Path below `data/` and SHA-256, as the archive has them. */
async function archived(url: string, transactionId: number): Promise<Record<string, string>> {
  const files: ArchivedFile[] = [];
  for await (const file of longshore({ url }).transactions.files(transactionId)) files.push(file);
  return Object.fromEntries(files.map(({ path, digests }) => [path.slice("data/".length), digests.sha256 ?? ""]));
}

describe("the deposit page without a browser", () => {
  const asking = {
    required: { fields: ["submitter"], keys: ["<b>Sample</b>"] },
    allowed: { instruments: ["54", "<55>"] },
  };
  let server: RealServer;
  before(async () => {
    const policy = rulesPolicy(readRules(JSON.stringify(asking)));
    server = await realServer({ face: webFace, wrap: (deps) => ({ ...deps, policy }) });
  });
  after(() => server.stop());

  test("asks for what the policy asks for, and offers its choices", async () => {
    const text = await (await fetch(`${server.url}/deposit`)).text();
    assert.match(text, /<input name="submitter"[^>]* required/);
    assert.doesNotMatch(text, /<input name="project"[^>]* required/);
    assert.match(text, /<select name="instrument" required>.*<option>54<\/option><option>&lt;55&gt;<\/option>/s);
    assert.match(text, /data-key="&lt;b&gt;Sample&lt;\/b&gt;"/);
  });

  test("says how to deposit from a terminal, where there is no script", async () => {
    const text = await (await fetch(`${server.url}/deposit`)).text();
    assert.match(text, /<noscript>/);
    assert.ok(text.includes(`LONGSHORE_URL=${server.url} longshore put run-17/ --submitter ID`));
    assert.ok(text.includes(`-X POST ${server.url}/api/v1/bundles`));
  });

  test("is not for those who may not deposit, nor receipts for those who did not", async () => {
    const strict = await realServer({ face: webFace, loopback: false });
    try {
      const [eve, ada] = [await strict.token("eve", "read"), await strict.token("ada", "deposit")];
      assert.equal((await fetch(`${strict.url}/deposit`, { headers: eve })).status, 403);
      assert.equal((await fetch(`${strict.url}/deposit`, { headers: ada })).status, 200);
      const bob = longshore({ url: strict.url, token: (await strict.token("bob", "deposit")).authorization.slice(7) });
      const job = await bob.bundles.deposit(new Blob([new Uint8Array(1024)]));
      for (const path of ["", "/receipt.txt"])
        assert.equal((await fetch(`${strict.url}/deposits/${job.id}${path}`, { headers: ada })).status, 404);
    } finally {
      await strict.stop();
    }
  });
});

describe("depositing from a browser", { skip: withoutBrowser(), timeout: 600_000 }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await testBrowser();
  });
  after(() => browser?.close());

  test("a folder of 500 files, whatever they are called, comes to a receipt that can be saved", async (t) => {
    const random = seededRandom(t);
    const contents: Record<string, Uint8Array> = {
      [`${EVIL}.txt`]: Buffer.from("evil"),
      "ü/😀 \u05d0.bin": Buffer.of(),
    };
    for (let nth = 0; nth < 498; nth++)
      contents[`${nth % 7}/${nth}.bin`] = Uint8Array.from({ length: random(3_000) }, () => random(256));
    const folder = await folderOf(contents);
    const server = await realServer({ face: webFace });
    try {
      const { page, assertAccessible, assertQuiet, close } = await browser.open(`${server.url}/deposit`);
      await part(page, "folder").setInputFiles(folder);
      assert.match(await part(page, "chosen").innerText(), /^500 files, /);
      assert.equal(await part(page, "rows").locator("tr").count(), 100);
      assert.equal(await part(page, "more").innerText(), "and 400 files more, not shown here");
      assert.equal(await page.locator("main img").count(), 0);
      await page.locator('[name="project"]').fill("1234a");
      await page.locator('[name="key"]').fill("Sample <b>");
      await page.locator('[name="value"]').fill("blue & white");
      await assertAccessible();
      await part(page, "send").click();
      await page.waitForURL(/\/deposits\/\d+$/, PATIENCE);
      await page.getByText("It is in the archive.").waitFor(PATIENCE);
      await assertAccessible();
      assertQuiet();

      const receipt = await (await fetch(`${page.url()}/receipt.txt`)).text();
      const { inventoryDigest, id } = await longshore({ url: server.url }).transactions.get(1);
      assert.match(receipt, new RegExp(`^Transaction +${id}$`, "m"));
      assert.match(receipt, /^Project +1234a$/m);
      assert.ok(receipt.includes(inventoryDigest));
      const name = folder.slice(folder.lastIndexOf("/") + 1);
      const expected = Object.entries(contents).map(([path, bytes]) => [`${name}/${path}`, sha256(bytes)]);
      assert.deepEqual(await archived(server.url, 1), Object.fromEntries(expected));
      const [described] = await server.stores.catalogue.keyValues(id as never);
      assert.deepEqual([described?.key, described?.value], ["Sample <b>", "blue & white"]);
      await close();
    } finally {
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });

  test("who has signed in deposits in their own name, and is told when they have been signed out", async () => {
    const folder = await folderOf({ "a.txt": "a\n" });
    const server = await realServer({ face: webFace, loopback: false });
    try {
      const { text, token } = await server.deps.tokens.create({
        owner: "ada",
        scopes: ["deposit", "read"],
        expiresAt: null,
      });
      const { page, close } = await browser.open(`${server.url}/sign-in?to=/deposit`);
      await page.locator('[name="token"]').fill(text);
      await page.locator("main button").click();
      await part(page, "files").setInputFiles(join(folder, "a.txt"));
      await part(page, "send").click();
      await page.getByText("It is in the archive.").waitFor(PATIENCE);
      assert.match(await page.locator("dl").innerText(), /Depositor\s+ada/);

      await page.goto(`${server.url}/deposit`);
      await server.deps.tokens.revoke(token.id);
      await part(page, "files").setInputFiles(join(folder, "a.txt"));
      await part(page, "send").click();
      await part(page, "problem").getByText("Your session has ended.").waitFor(PATIENCE);
      await close();
    } finally {
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });

  /** A server behind a proxy that can stall, a page in it, and 64 MiB beside a small file to deposit. */
  async function largeDeposit(t: TestContext) {
    const random = seededRandom(t);
    const block = Uint8Array.from({ length: 65_536 }, () => random(256));
    const big = Buffer.alloc(1_024 * block.length);
    for (let nth = 0; nth < 1_024; nth++) {
      big.set(block, nth * block.length);
      big.writeUInt32BE(nth, nth * block.length);
    }
    const contents = { "small.txt": "small\n", "big.bin": big };
    const folder = await folderOf(contents);
    const port = await lastingPort();
    let server = await startServer({ port });
    const { dataDir, url } = server;
    const proxy = await faultyProxy(url);
    const { page, close } = await browser.open(`${proxy.url}/deposit`);
    page.on("dialog", (dialog) => void dialog.accept()); // leaving a page that sends
    t.after(async () => {
      await close();
      await proxy.close();
      await server.end("SIGTERM");
      for (const one of [dataDir, folder]) await rm(one, { recursive: true, force: true });
    });
    return {
      page,
      proxy,
      async restart() {
        await server.end("SIGKILL");
        server = await startServer({ port, dataDir });
      },
      async send() {
        await part(page, "files").setInputFiles(Object.keys(contents).map((name) => join(folder, name)));
        await part(page, "send").click();
      },
      async assertArrived() {
        await page.waitForURL(/\/deposits\/\d+$/, PATIENCE);
        await page.getByText("It is in the archive.").waitFor(PATIENCE);
        assert.deepEqual(await archived(url, 1), { "small.txt": sha256("small\n"), "big.bin": sha256(big) });
        const sentTwice = proxy.sentBytes - big.length;
        assert.ok(sentTwice < 24 * 2 ** 20, `${sentTwice} bytes more than there are were sent`);
      },
    };
  }

  test("an upload goes on by itself when the server was killed under it", async (t) => {
    const { proxy, restart, send, assertArrived } = await largeDeposit(t);
    const stalled = proxy.stallAfter(proxy.sentBytes + 22 * 2 ** 20);
    await send();
    await stalled;
    await restart();
    proxy.heal();
    await assertArrived();
  });

  test("a page that was loaded again goes on where the server stands, when the same files are chosen", async (t) => {
    const { page, proxy, send, assertArrived } = await largeDeposit(t);
    const stalled = proxy.stallAfter(proxy.sentBytes + 22 * 2 ** 20);
    await page.locator('[name="project"]').fill("1234a");
    await send();
    await stalled;
    await page.waitForFunction("document.querySelector('[data-part=bar]').value > 0.2");
    proxy.heal();
    await page.reload();
    await part(page, "unfinished").getByText("2 files").waitFor();
    await page.getByRole("button", { name: "Go on with it" }).click();
    assert.equal(await page.locator('[name="project"]').inputValue(), "1234a");
    await send();
    await assertArrived();
  });

  test("somebody can pause and go on, or discard what was sent", async (t) => {
    const { page, proxy, send, assertArrived } = await largeDeposit(t);
    const stalled = proxy.stallAfter(proxy.sentBytes + 22 * 2 ** 20);
    await send();
    await stalled;
    await part(page, "pause").click();
    proxy.heal();
    await part(page, "status").getByText("Paused.").waitFor();
    assert.equal(await part(page, "send").innerText(), "Continue");
    await part(page, "send").click();
    await assertArrived();

    await page.goto(`${proxy.url}/deposit`);
    const again = proxy.stallAfter(proxy.sentBytes + 22 * 2 ** 20);
    await send();
    await again;
    await part(page, "pause").click();
    proxy.heal();
    await page.getByRole("button", { name: "Discard" }).click();
    await part(page, "unfinished").waitFor({ state: "hidden" });
  });
});
