import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Outcome, Sandbox, SandboxLimits } from "../../src/core/extract/sandbox.ts";

/** The module that the sandbox has to know as `misbehaving`. */
export const MISBEHAVING = new URL("../support/misbehaving-extractor.ts", import.meta.url).href;

export interface SandboxMaking {
  readonly limits: SandboxLimits;
  readonly readable: readonly string[];
  readonly processes: number;
}

const MIB = 1024 * 1024;
/** Wide: a test narrows the one limit it is about. */
const LIMITS: SandboxLimits = { silenceMs: 60_000, totalMs: 120_000, memoryBytes: 512 * MIB, outputBytes: MIB };

/** What every Sandbox must do. */
export function sandboxConformance(name: string, make: (making: SandboxMaking) => Sandbox): void {
  async function prepare(t: TestContext, limits: Partial<SandboxLimits> = {}, processes = 1) {
    const folder = await mkdtemp(join(tmpdir(), "longshore-sandbox-"));
    const sandbox = make({ limits: { ...LIMITS, ...limits }, readable: [folder], processes });
    t.after(async () => {
      await sandbox.close();
      await rm(folder, { recursive: true, force: true });
    });
    let files = 0;
    const run = async (deeds: readonly string[], signal = new AbortController().signal) => {
      const groups = await Promise.all(
        deeds.map(async (deed) => {
          const localPath = join(folder, `${files++}.txt`);
          await writeFile(localPath, deed);
          return [{ localPath, name: "deed.txt", sizeBytes: deed.length }];
        }),
      );
      return sandbox.run({ extractor: "misbehaving", groups, signal });
    };
    return { folder, sandbox, run, all: async (deeds: readonly string[]) => Array.fromAsync(await run(deeds)) };
  }

  const told = (outcome: Outcome | undefined) =>
    outcome === undefined ? undefined : "reason" in outcome ? outcome.reason : outcome.result.data.value;

  describe(`Sandbox: ${name}`, () => {
    test("groups are described in their order, each with the time it took", async (t) => {
      const { all } = await prepare(t);
      const outcomes = await all(["say one", "say two", "say three"]);
      assert.deepEqual(outcomes.map(told), ["one", "two", "three"]);
      assert.ok(outcomes.every((one) => "durationMs" in one && one.durationMs >= 0));
    });

    test("what throws fails alone, with the words thrown", async (t) => {
      const { all } = await prepare(t);
      const outcomes = await all(["say one", "throw it is torn", "say three"]);
      assert.deepEqual(outcomes.map(told), ["one", "threw", "three"]);
      assert.deepEqual(outcomes[1], { reason: "threw", message: "it is torn" });
    });

    for (const [deed, reason, limits] of [
      ["loop", "silence", { silenceMs: 3000 }],
      ["hang", "silence", { silenceMs: 3000 }],
      ["fill-heap", "memory", { memoryBytes: 192 * MIB }],
      ["fill-memory", "memory", { memoryBytes: 192 * MIB }],
      ["say-much 70000", "output", { outputBytes: 65_536 }],
      ["print-garbage hello", "garbage", {}],
      ['print-garbage {"result":7}', "garbage", {}],
      ["exit 0", "died", {}],
      ["exit 3", "died", {}],
      ["signal SIGSEGV", "died", {}],
      ["signal SIGKILL", "died", {}],
    ] as const)
      test(`"${deed}" fails by ${reason}, and the files around it do not`, async (t) => {
        const { all } = await prepare(t, limits);
        assert.deepEqual((await all(["say before", deed, "say after"])).map(told), ["before", reason, "after"]);
      });

    test("a run that has used up its time fails what is left, and nothing before", async (t) => {
      const { all } = await prepare(t, { totalMs: 4000 });
      assert.deepEqual((await all(["say one", "hang", "say three"])).map(told), ["one", "total", "total"]);
      assert.deepEqual((await all(["say again"])).map(told), ["again"]);
    });

    test("what an extractor prints is no result", async (t) => {
      const { all } = await prepare(t);
      assert.deepEqual((await all(['print-to-stdout {"result":{}}', "say two"])).map(told), ['{"result":{}}', "two"]);
    });

    test("a slow leak changes the process, and fails no file", async (t) => {
      const { all } = await prepare(t, { memoryBytes: 256 * MIB });
      const pids = (await all(Array<string>(12).fill("leak 40"))).map(told);
      assert.ok(
        pids.every((pid) => typeof pid === "number"),
        `a file failed: ${JSON.stringify(pids)}`,
      );
      assert.ok(new Set(pids).size > 1, "480 MiB were kept by one process of 256");
    });

    test("files that were not named cannot be read, and nothing can be written", async (t) => {
      const { all, folder } = await prepare(t);
      const outcomes = await all([
        "read /etc/passwd",
        `write ${join(folder, "new")}`,
        "spawn /bin/true",
        "say still here",
      ]);
      assert.deepEqual(outcomes.map(told), ["threw", "threw", "threw", "still here"]);
      for (const one of outcomes.slice(0, 3)) assert.match("message" in one ? one.message : "", /restricted/);
      assert.equal(existsSync(join(folder, "new")), false);
    });

    test("there is no network", async (t) => {
      let asked = 0;
      const server = createServer((_, reply) => {
        asked += 1;
        reply.end();
      }).on("connection", () => {
        asked += 1;
      });
      await once(server.listen(0, "127.0.0.1"), "listening");
      t.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      const { all } = await prepare(t);
      const outcomes = await all([`fetch http://127.0.0.1:${port}/`, `connect ${port}`, "look-up localhost"]);
      assert.deepEqual(outcomes.map(told), ["threw", "threw", "threw"]);
      assert.equal(asked, 0);
    });

    test("nothing of the server's environment is seen", async (t) => {
      const { all } = await prepare(t);
      assert.deepEqual((await all(["environment"])).map(told), [[]]);
    });

    test("runs share the processes, and each gets its own outcomes", async (t) => {
      const { all } = await prepare(t, {}, 2);
      const runs = await Promise.all(
        Array.from({ length: 6 }, (_, i) => all(Array.from({ length: 5 }, (_, j) => `say ${i}-${j}`))),
      );
      assert.deepEqual(
        runs.map((one) => one.map(told)),
        Array.from({ length: 6 }, (_, i) => Array.from({ length: 5 }, (_, j) => `${i}-${j}`)),
      );
    });

    test("a run that is given up frees its process for the next", async (t) => {
      const { all, run } = await prepare(t);
      const stopped = new AbortController();
      const hanging = Array.fromAsync(await run(["hang"], stopped.signal));
      const behind = all(["say next"]);
      stopped.abort(new Error("enough"));
      await assert.rejects(hanging, { message: "enough" });
      assert.deepEqual((await behind).map(told), ["next"]);
      for await (const one of await run(["say one", "hang"])) {
        assert.equal(told(one), "one");
        break;
      }
      assert.deepEqual((await all(["say last"])).map(told), ["last"]);
    });

    test("an extractor that is not there, and one after closing, are errors", async (t) => {
      const { sandbox, all } = await prepare(t);
      const { signal } = new AbortController();
      await assert.rejects(Array.fromAsync(sandbox.run({ extractor: "none", groups: [[]], signal })), {
        code: "internal",
      });
      await sandbox.close();
      await assert.rejects(all(["say one"]), { code: "internal" });
    });
  });
}
