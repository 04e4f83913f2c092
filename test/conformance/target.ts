import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Target } from "../../src/core/crawl/target.ts";

/** `printf hello | sha256sum` */
const HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
/** `printf world | sha256sum` */
const WORLD = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";

export interface TargetUnderTest {
  readonly target: Target;
  /** Paths of the files that are really there, whatever they are. */
  files(): Promise<readonly string[]>;
}

/** What every Target must do. @param make an empty one. */
export function targetConformance(name: string, make: (t: TestContext) => Promise<TargetUnderTest>): void {
  const { signal } = new AbortController();
  const bytes = async function* (...parts: string[]) {
    for (const part of parts) yield Buffer.from(part);
  };
  const sha256 = async (target: Target, path: string) => (await target.facts(path, signal))?.digests.sha256;

  describe(`Target: ${name}`, () => {
    test("a file is there with all its bytes, and the writer says which", async (t) => {
      const { target, files } = await make(t);
      const facts = await target.put("a/b.txt", bytes("he", "llo"), signal);
      assert.deepEqual([facts.sizeBytes, facts.digests.sha256], [5, HELLO]);
      assert.equal(await sha256(target, "a/b.txt"), HELLO);
      assert.equal((await target.facts("a/b.txt", signal))?.sizeBytes, 5);
      await target.put("empty", bytes(), signal);
      assert.equal((await target.facts("empty", signal))?.sizeBytes, 0);
      await target.close();
      assert.deepEqual((await files()).toSorted(), ["a/b.txt", "empty"]);
    });

    test("what is not there has no facts, and may be removed", async (t) => {
      const { target } = await make(t);
      await target.put("a/b", bytes("hello"), signal);
      for (const path of ["c", "a/c", "c/d", "a/b/c"]) {
        assert.equal(await target.facts(path, signal), undefined);
        await target.remove(path);
      }
      assert.equal(await sha256(target, "a/b"), HELLO);
    });

    test("a file takes the place of an earlier one", async (t) => {
      const { target, files } = await make(t);
      await target.put("a", bytes("hello"), signal);
      await target.put("a", bytes("world"), signal);
      assert.equal(await sha256(target, "a"), WORLD);
      await target.close();
      assert.deepEqual(await files(), ["a"]);
    });

    test("when its bytes fail or it is given up, the earlier file stays and nothing is left", async (t) => {
      const { target, files } = await make(t);
      await target.put("a", bytes("hello"), signal);
      const failing = async function* () {
        yield Buffer.from("wor");
        throw new Error("the store broke off");
      };
      for (const path of ["a", "new/b"]) {
        await assert.rejects(target.put(path, failing(), signal), { message: "the store broke off" });
        const giveUp = new AbortController();
        const given = async function* () {
          yield Buffer.from("wor");
          giveUp.abort(new Error("enough"));
          yield Buffer.from("ld");
        };
        await assert.rejects(target.put(path, given(), giveUp.signal), { message: "enough" });
      }
      assert.equal(await sha256(target, "a"), HELLO);
      await target.close();
      assert.deepEqual(await files(), ["a"]);
    });

    test("a folder is pruned only when nothing is in it", async (t) => {
      const { target } = await make(t);
      if (!target.prune) return t.skip("has no folders of its own");
      await target.put("a/b/c", bytes("hello"), signal);
      for (const folder of ["a/b", "a", "a/b/c", "nowhere", "nowhere/deep"]) await target.prune(folder);
      assert.equal(await sha256(target, "a/b/c"), HELLO);
      for (const folder of ["", "..", "a/../..", "/"])
        await assert.rejects(target.prune(folder), { code: "request_invalid" });
    });

    test("files are put and removed at once, and the last to come is there whole", async (t) => {
      const { target, files } = await make(t);
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => target.put(`f/${i % 4}`, bytes(i % 2 ? "hello" : "world"), signal)),
      );
      for (let i = 0; i < 4; i++) assert.ok([HELLO, WORLD].includes((await sha256(target, `f/${i}`)) ?? ""));
      await Promise.all(Array.from({ length: 4 }, (_, i) => target.remove(`f/${i}`)));
      await target.close();
      assert.deepEqual(await files(), []);
    });

    test("names are data: blanks, dots, quotes and other scripts", async (t) => {
      const { target } = await make(t);
      for (const path of ["a b/c d", ".hidden", "..x", "a'\"$(b)", "é/日本", "x\ny"]) {
        await target.put(path, bytes("hello"), signal);
        assert.equal(await sha256(target, path), HELLO, path);
      }
    });

    for (const path of ["", "/a", "a/", "../a", "a/../b", "a/./b", "a//b", "a\0b"])
      test(`${JSON.stringify(path)} is no path of a file`, async (t) => {
        const { target, files } = await make(t);
        await assert.rejects(target.put(path, bytes("hello"), signal), { code: "request_invalid" });
        await assert.rejects(target.remove(path), { code: "request_invalid" });
        await target.close();
        assert.deepEqual(await files(), []);
      });

    test("many small files are put together, as each would be", async (t) => {
      const { target, files } = await make(t);
      if (!target.putAll) return t.skip("puts no files together");
      await target.put("r/7", bytes("world"), signal);
      const many = Array.from({ length: 100 }, (_, i) => ({ path: `r/${i}`, bytes: Buffer.from("hello") }));
      await target.putAll(many, signal);
      assert.equal(await sha256(target, "r/7"), HELLO);
      await assert.rejects(target.putAll([{ path: "../x", bytes: Buffer.from("hello") }], signal), {
        code: "request_invalid",
      });
      await assert.rejects(target.putAll(many, AbortSignal.abort(new Error("enough"))), { message: "enough" });
      await target.close();
      assert.equal((await files()).length, 100);
    });
  });
}
