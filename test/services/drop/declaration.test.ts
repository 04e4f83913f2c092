import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { filled, readDrops } from "../../../src/core/drop/declaration.ts";
import { DROP, OPERATOR, openDrop } from "../../support/dropping.ts";
import { openIngest } from "../../support/ingest.ts";

const read = (...drops: readonly object[]) => readDrops(JSON.stringify(drops), "drops.json", "ada");
const SMALLEST = { name: "a", folder: "/srv/a" };

test("the least that can be declared is a name and a folder", () => {
  const [drop] = read({ name: "a", folder: "/srv//a/" });
  assert.deepEqual(drop, {
    name: "a",
    folder: "/srv/a",
    quarantine: "/srv/a/.quarantine",
    owner: "ada",
    quietMs: 600_000,
    overdueMs: 72 * 3_600_000,
    everyMs: 60_000,
    manifest: "optional",
    bag: "optional",
    grammar: null,
    metadata: { submitter: "ada", project: null, instrument: null, keyValues: {} },
    removal: "never",
  });
});

test("a declaration that cannot be meant is refused with what is wrong", () => {
  const bad: readonly (readonly [string, ...object[]])[] = [
    ["an absolute path", { ...SMALLEST, folder: "srv/a" }],
    ["Unrecognized key", { ...SMALLEST, quitSeconds: 1 }],
    ["lower-case letters", { ...SMALLEST, name: "A b" }],
    ["each name once", SMALLEST, { ...SMALLEST, folder: "/srv/b" }],
    ["lie apart", SMALLEST, { name: "b", folder: "/srv/a/b" }],
    ["begins with a dot", { ...SMALLEST, quarantine: "/srv/a/bad" }],
    ["does not hold the folder", { ...SMALLEST, quarantine: "/srv" }],
    ["does not hold the folder", { ...SMALLEST, quarantine: "/srv/a" }],
    ["a regular expression", { ...SMALLEST, grammar: "(" }],
    ["both groups part and parts", { ...SMALLEST, grammar: "(?<part>\\d)" }],
    ["{nmber}", { ...SMALLEST, grammar: "(?<number>\\d)", metadata: { project: "{nmber}" } }],
    ["never", { ...SMALLEST, removal: "sometimes" }],
  ];
  for (const [wrong, ...drops] of bad)
    assert.throws(
      () => read(...drops),
      (error: Error & { code?: string; details?: object }) => {
        assert.equal(error.code, "drop_invalid");
        assert.ok(JSON.stringify([error.message, error.details]).includes(wrong), `${wrong}: ${JSON.stringify(error)}`);
        return true;
      },
    );
  assert.throws(() => readDrops("{", "drops.json", "ada"), { code: "drop_invalid" });
});

test("places are filled with what the grammar found, and with nothing where it found nothing", () => {
  assert.equal(filled("{a}-{b}-{c}-{constructor}", { a: "1", b: undefined, c: "{a}" }), "1--{a}-");
});

test("through the server, folders that are not opened for moves, not there, or already watched cannot be declared", async (t) => {
  const { drops, folder } = await openDrop(t);
  const elsewhere = await mkdtemp(join(tmpdir(), "elsewhere-"));
  t.after(() => rm(elsewhere, { recursive: true }));
  const declared = (form: object) => drops.declare(OPERATOR, { name: "other", ...form });
  for (const form of [
    { folder: elsewhere },
    { folder: `${folder}/../../../etc` },
    { folder: join(folder, "../absent") },
    { folder: join(folder, "sub") },
    { folder: join(folder, "../x"), quarantine: elsewhere },
  ])
    await assert.rejects(declared(form), { code: "drop_invalid" }, JSON.stringify(form));
  const { isNew } = await drops.declare(OPERATOR, { name: DROP, folder, quietSeconds: 5 });
  assert.deepEqual([isNew, (await drops.get(DROP)).quietMs], [false, 5_000]);
  await drops.remove(DROP);
  await assert.rejects(drops.get(DROP), { code: "drop_unknown" });
  await assert.rejects(drops.remove(DROP), { code: "drop_unknown" });
});

test("what a file declares is watched from the start, and changes there alone", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "drop-"));
  t.after(() => rm(root, { recursive: true }));
  const folder = join(root, "in");
  await mkdir(folder);
  await writeFile(join(root, "drops.json"), JSON.stringify({ name: "fixed", folder }));
  const settings = { LONGSHORE_DROPS: join(root, "drops.json"), LONGSHORE_MOVE_ROOTS: root };
  const { drops } = await openIngest(t, { settings });
  assert.deepEqual(
    (await drops.list()).map(({ name, declaredBy, owner }) => [name, declaredBy, owner]),
    [["fixed", "file", "drops"]],
  );
  await assert.rejects(drops.declare(OPERATOR, { name: "fixed", folder }), { code: "drop_fixed" });
  await assert.rejects(drops.remove("fixed"), { code: "drop_fixed" });
});
