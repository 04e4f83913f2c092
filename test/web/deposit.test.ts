import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import type { FileChooser, Page } from "playwright-core";
import { rulesPolicy } from "../../src/core/ingest/policy/rules.ts";
import { readRules } from "../../src/core/ingest/policy/rules-file.ts";
import { type ArchivedFile, longshore } from "../../src/sdk/index.ts";
import { webFace } from "../../src/web/face.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { lastingPort, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { type TestBrowser, testBrowser, withoutBrowser } from "./browser.ts";

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
async function archived(url: string, transactionId: number, token?: string): Promise<Record<string, string>> {
  const files: ArchivedFile[] = [];
  for await (const file of longshore({ url, ...(token && { token }) }).transactions.files(transactionId))
    files.push(file);
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

/** As for the chaos of several nodes: for a machine of one's own. */
const IS_FULL = process.env.LONGSHORE_CHAOS === "full";

describe("depositing from a browser", { skip: withoutBrowser(), timeout: IS_FULL ? 2_000_000 : 900_000 }, () => {
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
      await page.waitForURL(/\/deposits\/\d+$/);
      await page.getByText("It is in the archive.").waitFor();
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

  test("a file of 1 GiB, and 5,000 files", { skip: !IS_FULL && "LONGSHORE_CHAOS=full does it" }, async () => {
    const folder = await folderOf(
      Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`${at}.txt`, `${at}\n`])),
    );
    const large = await folderOf({ "large.bin": "" });
    await truncate(join(large, "large.bin"), 2 ** 30);
    const server = await startServer();
    try {
      const { page, assertQuiet, close } = await browser.open(`${server.url}/deposit`);
      for (const chosen of [folder, large]) {
        await page.goto(`${server.url}/deposit`);
        await part(page, "folder").setInputFiles(chosen);
        const begin = performance.now();
        await part(page, "send").click();
        await page.getByText("It is in the archive.").waitFor({ timeout: 900_000 });
        console.log(`${basename(chosen)}: ${((performance.now() - begin) / 1_000).toFixed(1)} s`);
      }
      const files = await archived(server.url, 1);
      assert.equal(Object.keys(files).length, 5_000);
      assert.equal(files[`${basename(folder)}/4999.txt`], sha256("4999\n"));
      // head -c 1073741824 /dev/zero | sha256sum
      const zeros = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14";
      assert.deepEqual(await archived(server.url, 2), { [`${basename(large)}/large.bin`]: zeros });
      assertQuiet();
      await close();
    } finally {
      await server.stop();
      for (const one of [folder, large]) await rm(one, { recursive: true });
    }
  });

  /** A page behind a proxy that can stall, and some MiB beside a small file to deposit. The caller closes the server. */
  async function stallingDeposit(t: TestContext, url: string, mebibytes: number) {
    const random = seededRandom(t);
    const block = Uint8Array.from({ length: 65_536 }, () => random(256));
    const big = Buffer.alloc(mebibytes * 16 * block.length);
    for (let at = 0, nth = 0; at < big.length; at += block.length, nth++) {
      big.set(block, at);
      big.writeUInt32BE(nth, at);
    }
    const contents = { "small.txt": "small\n", "big.bin": big };
    const folder = await folderOf(contents);
    const proxy = await faultyProxy(url);
    const { page, close } = await browser.open(`${proxy.url}/deposit`);
    page.on("dialog", (dialog) => void dialog.accept()); // leaving a page that sends
    t.after(async () => {
      await close();
      await proxy.close();
      await rm(folder, { recursive: true, force: true });
    });
    return {
      page,
      proxy,
      /** Sends no more than about so much from now on, until it is healed. */
      stall: (mebibytesMore: number) => proxy.stallAfter(proxy.sentBytes + mebibytesMore * 2 ** 20),
      async send(from: Page = page) {
        await part(from, "files").setInputFiles(Object.keys(contents).map((name) => join(folder, name)));
        await part(from, "send").click();
      },
      async assertArrived(token?: string) {
        await page.waitForURL(/\/deposits\/\d+$/);
        await page.getByText("It is in the archive.").waitFor();
        const id = Number(page.url().split("/").at(-1));
        const expected = { "small.txt": sha256("small\n"), "big.bin": sha256(big) };
        assert.deepEqual(await archived(url, id, token), expected);
        const sentTwice = proxy.sentBytes - big.length;
        assert.ok(sentTwice < big.length * 0.75, `${sentTwice} bytes more than there are were sent`);
      },
    };
  }

  test("an upload goes on by itself when the server was killed under it", async (t) => {
    const port = await lastingPort();
    let server = await startServer({ port });
    const { dataDir } = server;
    t.after(async () => {
      await server.end("SIGTERM");
      await rm(dataDir, { recursive: true, force: true });
    });
    const { proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 32);
    const stalled = stall(14);
    await send();
    await stalled;
    await server.end("SIGKILL");
    server = await startServer({ port, dataDir });
    proxy.heal();
    await assertArrived();
  });

  test("who has signed in deposits in their own name, and goes on after their session has ended in the middle", async (t) => {
    const server = await realServer({ face: webFace, loopback: false });
    t.after(() => server.stop());
    const ofAda = () => server.deps.tokens.create({ owner: "ada", scopes: ["deposit", "read"], expiresAt: null });
    const { page, proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 12);
    async function signIn(token: string) {
      await page.goto(`${proxy.url}/sign-in?to=/deposit`);
      await page.locator('[name="token"]').fill(token);
      await page.locator("main button").first().click();
      await page.waitForURL(/\/deposit$/);
    }
    const first = await ofAda();
    await signIn(first.text);
    const stalled = stall(6);
    await send();
    await stalled;
    await server.deps.tokens.revoke(first.token.id);
    proxy.heal();
    await part(page, "problem").getByText("Your session has ended.").waitFor();
    const second = await ofAda();
    await signIn(second.text);
    await part(page, "unfinished").getByText("2 files").waitFor();
    await send();
    await part(page, "status").getByText("Going on where the server stands").waitFor();
    await assertArrived(second.text);
    assert.match(await page.locator("dl").innerText(), /Depositor\s+ada/);
  });

  describe("on a network that fails", () => {
    let server: RealServer;
    before(async () => {
      server = await realServer({ face: webFace });
    });
    after(() => server.stop());

    test("a folder is dropped, with everything in it", async () => {
      const folder = await folderOf({ "one.txt": "one\n", "sub/deep/two.txt": "two\n" });
      const { page, assertQuiet, close } = await browser.open(`${server.url}/deposit`);
      await part(page, "form").waitFor();
      const { x = 0, y = 0 } = (await part(page, "chosen").boundingBox()) ?? {};
      // What a browser is told when something is dragged from elsewhere onto it.
      const devtools = await page.context().newCDPSession(page);
      for (const type of ["dragEnter", "dragOver", "drop"] as const)
        await devtools.send("Input.dispatchDragEvent", {
          type,
          x,
          y,
          data: { items: [], files: [folder], dragOperationsMask: 1 },
        });
      await part(page, "chosen").getByText("2 files").waitFor();
      await part(page, "send").click();
      await page.getByText("It is in the archive.").waitFor();
      const name = basename(folder);
      assert.deepEqual(await archived(server.url, Number(page.url().split("/").at(-1))), {
        [`${name}/one.txt`]: sha256("one\n"),
        [`${name}/sub/deep/two.txt`]: sha256("two\n"),
      });
      assertQuiet();
      await close();
      await rm(folder, { recursive: true });
    });

    test("the keyboard alone is enough for a deposit", async () => {
      const folder = await folderOf({ "a.txt": "a\n" });
      const { page, assertQuiet, close } = await browser.open(`${server.url}/deposit`);
      await part(page, "form").waitFor();
      async function tabTo(selector: string) {
        for (let presses = 0; presses < 60; presses++) {
          await page.keyboard.press("Tab");
          if (await page.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) return;
        }
        assert.fail(`${selector} is not reached`);
      }
      await tabTo('[name="project"]');
      await page.keyboard.type("1234a");
      await tabTo('[data-part="files"]');
      // On a busy machine a browser may have forgotten the key by the time it would ask, and one presses it again.
      let chooser: FileChooser | undefined;
      await until("files can be chosen", async () => {
        const asked = page.waitForEvent("filechooser", { timeout: 20_000 }).catch(() => undefined);
        await page.keyboard.press("Enter");
        chooser = await asked;
        return chooser !== undefined;
      });
      await chooser?.setFiles(join(folder, "a.txt"));
      await part(page, "chosen").getByText("1 file").waitFor();
      await tabTo('[data-part="send"]');
      await page.keyboard.press("Enter");
      await page.getByText("It is in the archive.").waitFor();
      const saved = page.waitForEvent("download");
      await tabTo('a[href$="/receipt.txt"]');
      await page.keyboard.press("Enter");
      assert.match((await saved).suggestedFilename(), /^receipt-\d+\.txt$/);
      assertQuiet();
      await close();
      await rm(folder, { recursive: true });
    });

    test("a page that was loaded again goes on where the server stands, when the same files are chosen", async (t) => {
      const { page, proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 24);
      const stalled = stall(14);
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
      const { page, proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 24);
      const stalled = stall(14);
      await send();
      await stalled;
      await part(page, "pause").click();
      proxy.heal();
      await part(page, "status").getByText("Paused.").waitFor();
      assert.equal(await part(page, "send").innerText(), "Continue");
      await part(page, "send").click();
      await assertArrived();

      await page.goto(`${proxy.url}/deposit`);
      const again = stall(14);
      await send();
      await again;
      await part(page, "pause").click();
      proxy.heal();
      await page.getByRole("button", { name: "Discard" }).click();
      await part(page, "unfinished").waitFor({ state: "hidden" });
    });

    test("of two tabs with the same deposit one sends it, and the other says why it does not", async (t) => {
      const { page, proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 12);
      const second = await page.context().newPage();
      await second.goto(page.url());
      const stalled = stall(6);
      await send();
      await stalled;
      await send(second);
      await part(second, "problem").getByText("is being sent by another tab").waitFor();
      await second.close();
      proxy.heal();
      await assertArrived();
    });

    test("when the network is there again, it goes on at once instead of at the end of a pause", async (t) => {
      const { page, proxy, stall, send, assertArrived } = await stallingDeposit(t, server.url, 24);
      const stalled = stall(14);
      await send();
      await stalled;
      await page.context().setOffline(true);
      proxy.sever();
      await part(page, "problem").waitFor();
      proxy.heal();
      await page.context().setOffline(false);
      await part(page, "status").getByText("Going on where the server stands").waitFor();
      await assertArrived();
    });
  });
});
