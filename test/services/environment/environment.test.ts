import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../../src/adapters/db/stores.ts";
import { keyRing } from "../../../src/core/access/key-ring.ts";
import { type Environment, environmentService } from "../../../src/core/environment/environment.ts";
import { type Scope, scopeOf } from "../../../src/core/environment/scope.ts";
import type { AppError } from "../../../src/core/errors.ts";
import { movingClock } from "../../support/moving-clock.ts";

const clock = movingClock();
const KEYS = keyRing("a key that is long enough for tests, at least");
const OTHER_KEYS = keyRing("another key that is long enough for tests too");

describe("an environment", () => {
  let folder: string;
  let stores: Stores;
  let environment: Environment;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "environment-"));
    stores = await openSqlite({ path: join(folder, "db"), clock });
    environment = environmentService({ store: stores.environment, keys: KEYS, clock });
  });
  after(async () => {
    await stores?.close();
    await rm(folder, { recursive: true });
  });

  const value = (scope: Scope, name: string, text: string) =>
    environment.set("ada", { scope, name, value: text, secret: false });
  const secret = (scope: Scope, name: string, text: string) =>
    environment.set("ada", { scope, name, value: text, secret: true });

  test("gives what is set for the narrowest, in whatever order the scopes are named", async () => {
    await value("global", "ONLY_GLOBAL", "g");
    await value("global", "EVERYWHERE", "g");
    await value("register:films", "EVERYWHERE", "r");
    await value("register:films", "REGISTER", "r");
    await value("schedule:nightly", "EVERYWHERE", "s");
    await value("schedule:other", "OTHER", "o");
    await secret("schedule:nightly", "REGISTER", "s: ü 🗝 \n second line");
    for (const scopes of [
      ["schedule:nightly", "register:films"],
      ["register:films", "global", "schedule:nightly"],
    ] as const)
      assert.deepEqual(await environment.resolve(scopes, ["EVERYWHERE", "REGISTER"]), {
        ONLY_GLOBAL: "g",
        EVERYWHERE: "s",
        REGISTER: "s: ü 🗝 \n second line",
      });
    assert.deepEqual(await environment.resolve([]), { ONLY_GLOBAL: "g", EVERYWHERE: "g" });
  });

  test("refuses when something that is required is not set, and names all of it; empty text is a value", async () => {
    await value("register:strict", "EMPTY", "");
    const refused = environment.resolve(["register:strict"], ["API_KEY", "EMPTY", "TOKEN", "constructor"]);
    await assert.rejects(refused, ({ code, details, message }: AppError) => {
      assert.equal(code, "environment_missing");
      assert.deepEqual(details.names, ["API_KEY", "TOKEN", "constructor"]);
      assert.match(message, /API_KEY, TOKEN/);
      return true;
    });
    assert.equal((await environment.resolve(["register:strict"], ["EMPTY"])).EMPTY, "");
  });

  test("shows of a secret who set it and when, and keeps its text nowhere", async () => {
    const text = "hunter2-of-the-whole-database";
    const shown = await secret("schedule:quiet", "PASSWORD", text);
    const facts = { scope: "schedule:quiet", name: "PASSWORD", secret: true, setAt: clock.now(), setBy: "ada" };
    assert.deepEqual(shown, { ...facts, value: null, readable: true });
    assert.deepEqual(await environment.list("secrets", "schedule:quiet"), [shown]);
    assert.deepEqual(await environment.list("values", "schedule:quiet"), []);
    assert.equal(JSON.stringify(await stores.environment.list()).includes(text), false);
    for (const file of ["db", "db-wal"]) assert.equal((await readFile(join(folder, file))).includes(text), false, file);
  });

  test("names the secrets that another key cannot read, and does without those that a narrower value replaces", async () => {
    await secret("register:moved", "ONE", "1");
    await secret("register:moved", "TWO", "2");
    await value("register:moved", "PLAIN", "p");
    const moved = environmentService({ store: stores.environment, keys: OTHER_KEYS, clock });
    await assert.rejects(moved.resolve(["register:moved"]), ({ code, details, message }: AppError) => {
      assert.equal(code, "secret_unreadable");
      assert.deepEqual(details.names, ["ONE (register:moved)", "TWO (register:moved)"]);
      assert.match(message, /set them again.*ONE \(register:moved\), TWO/);
      return true;
    });
    const listed = await moved.list("secrets", "register:moved");
    assert.deepEqual(
      listed.map(({ name, readable }) => [name, readable]),
      [
        ["ONE", false],
        ["TWO", false],
      ],
    );
    await moved.set("eve", { scope: "register:moved", name: "ONE", value: "new", secret: true });
    await moved.set("eve", { scope: "schedule:moved", name: "TWO", value: "plain", secret: false });
    const resolved = await moved.resolve(["register:moved", "schedule:moved"], ["ONE"]);
    assert.deepEqual([resolved.ONE, resolved.TWO], ["new", "plain"]);
  });

  test("does not read a sealed secret that somebody has put into another row", async () => {
    await secret("schedule:rich", "SECRET", "gold");
    const [sealed] = await stores.environment.list(["schedule:rich"]);
    assert.ok(sealed);
    await stores.environment.put({ ...sealed, scope: "schedule:thief" });
    await assert.rejects(environment.resolve(["schedule:thief"]), { code: "secret_unreadable" });
  });

  test("a name stands for one thing in a scope: what was secret is replaced, and removed as what it is", async () => {
    await secret("register:kind", "NAME", "s");
    await value("register:kind", "NAME", "v");
    assert.equal((await environment.resolve(["register:kind"])).NAME, "v");
    await assert.rejects(environment.remove("secrets", "register:kind", "NAME"), { code: "environment_unknown" });
    await environment.remove("values", "register:kind", "NAME");
    await assert.rejects(environment.remove("values", "register:kind", "NAME"), { code: "environment_unknown" });
  });

  test("whoever makes a schedule of a name that was removed does not get its secrets", async () => {
    await secret("schedule:removed", "TOKEN", "t");
    await environment.forget("schedule:removed");
    await assert.rejects(environment.resolve(["schedule:removed"], ["TOKEN"]), { code: "environment_missing" });
  });

  test("takes no names that a shell would not, no values that no process could have, and no end of them", async () => {
    for (const name of ["", "1A", "lower", "A-B", "A=B", "A B", "Ä", "A\n", "A".repeat(256)])
      await assert.rejects(value("global", name, "x"), { code: "environment_invalid" }, name);
    for (const text of ["a\0b", "\ud800", "x".repeat(8 * 1024 + 1), "ü".repeat(4 * 1024 + 1)])
      await assert.rejects(secret("global", "NAME", text), ({ code, message }: AppError) => {
        assert.equal(code, "environment_invalid");
        assert.ok(!message.includes(text));
        return true;
      });
    for (let n = 0; n < 64; n++) await value("schedule:full", `N${n}`, "ü".repeat(4 * 1024));
    await assert.rejects(value("schedule:full", "ONE_MORE", "x"), { code: "environment_invalid" });
    await value("schedule:full", "N63", "changed");
  });

  test("scopes are global, or of a register or schedule with a name", () => {
    for (const text of ["global", "register:books", "schedule:it's Ü: 🚢"]) assert.equal(scopeOf(text), text);
    for (const text of ["", "Global", "register:", "register", "job:1", "schedule:a\nb", `schedule:${"x".repeat(300)}`])
      assert.throws(() => scopeOf(text), { code: "environment_invalid" }, text);
  });
});
