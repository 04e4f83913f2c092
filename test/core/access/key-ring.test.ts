import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { keyRing } from "../../../src/core/access/key-ring.ts";
import { secretKey } from "../../../src/settings/secret-key.ts";

const KEY = "a key that is long enough for tests, at least";

describe("a key ring", () => {
  test("opens what it sealed, and seals the same secret differently each time", () => {
    const keys = keyRing(KEY);
    for (const secret of ["", "x", "ü – 🗝", "y".repeat(10_000)]) {
      const [once, again] = [keys.seal(secret), keys.seal(secret)];
      assert.notEqual(once, again);
      assert.equal(keys.unseal(once), secret);
      assert.ok(secret.length < 2 || !once.includes(secret));
    }
  });

  test("does not open what was changed, cut or sealed by another", () => {
    const keys = keyRing(KEY);
    const sealed = Buffer.from(keys.seal("secret"), "base64url");
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.equal(keys.unseal(changed.toString("base64url")), undefined, `byte ${at}`);
      assert.equal(keys.unseal(sealed.subarray(0, at).toString("base64url")), undefined, `cut at ${at}`);
    }
    assert.equal(keyRing(`${KEY}!`).unseal(sealed.toString("base64url")), undefined);
  });

  test("names equal secrets alike, by a name that its keys do not share", () => {
    const keys = keyRing(KEY);
    assert.equal(keys.fingerprint("a"), keyRing(KEY).fingerprint("a"));
    assert.notEqual(keys.fingerprint("a"), keys.fingerprint("b"));
    assert.notEqual(keys.fingerprint("a"), keyRing(`${KEY}!`).fingerprint("a"));
    assert.notDeepEqual(keys.derive("a"), keys.derive("b"));
  });
});

describe("the server's secret key", () => {
  const folders: string[] = [];
  const folder = async () => {
    const made = await mkdtemp(join(tmpdir(), "secret-key-"));
    folders.push(made);
    return made;
  };
  after(async () => {
    for (const one of folders) await rm(one, { recursive: true });
  });

  test("is the setting's when there is one", async () => {
    const dataDir = await folder();
    assert.equal(await secretKey({ secretKey: KEY, dataDir }), KEY);
    assert.deepEqual(await readdir(dataDir), []);
  });

  test("is made once, whoever starts at the same time, and only its owner may read it", async () => {
    const dataDir = await folder();
    const made = await Promise.all(Array.from({ length: 8 }, () => secretKey({ secretKey: undefined, dataDir })));
    assert.equal(new Set(made).size, 1);
    assert.equal(await secretKey({ secretKey: undefined, dataDir }), made[0]);
    assert.equal((await stat(join(dataDir, "secret-key"))).mode & 0o777, 0o600);
    assert.equal((await readFile(join(dataDir, "secret-key"), "utf8")).trim(), made[0]);
    assert.deepEqual(await readdir(dataDir), ["secret-key"]);
  });

  test("is not taken from a file that holds none", async () => {
    const dataDir = await folder();
    await writeFile(join(dataDir, "secret-key"), "short\n");
    await chmod(join(dataDir, "secret-key"), 0o600);
    await assert.rejects(secretKey({ secretKey: undefined, dataDir }), { code: "config_invalid" });
  });
});
