import assert from "node:assert/strict";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { transactionId } from "../../../src/core/ids.ts";
import { DROP, type DropFixture, OPERATOR, openDrop } from "../../support/dropping.ts";
import { until } from "../../support/until.ts";

/** A folder and a file that are archived, with removal by approval. */
async function archivedTwo(t: TestContext, removal: "approved" | "never" | "always" = "approved") {
  const fixture = await openDrop(t, { removal });
  await fixture.place("reel/a", "first");
  await fixture.place("reel/sub/b", "second");
  await fixture.place("lone", "third");
  return { ...fixture, found: removal === "always" ? {} : await fixture.settled("archived") };
}

/** Permits the removal of a delivery and waits until its job is over. @returns its note. */
async function tried(fixture: DropFixture, id: number): Promise<string | null> {
  await fixture.drops.permitRemoval(OPERATOR, DROP, id);
  const now = async () => (await fixture.deliveries()).find((delivery) => delivery.id === id);
  await until("the removal is over", async () => {
    await fixture.looked();
    const delivery = await now();
    return delivery?.state === "removed" || (delivery?.state === "archived" && delivery.note !== null);
  });
  return (await now())?.note ?? null;
}

test("what is approved is removed when all of it is in the archive, folders too, and the audit log has it first", async (t) => {
  const fixture = await archivedTwo(t);
  const { found, lying } = fixture;
  await fixture.looked();
  assert.deepEqual(await lying(), ["lone", "reel/a", "reel/sub/b"], "nothing goes without approval");
  assert.equal(await tried(fixture, found.reel?.id ?? 0), null);
  assert.deepEqual(await lying(), ["lone"]);
  const entries = (await fixture.stores.audit.list(0, 1_000)).filter(({ action }) => action.startsWith("drop."));
  assert.deepEqual(
    entries.map(({ action, target, details }) => [action, target, details.files, details.permittedBy]),
    [
      ["drop.declare", `drop/${DROP}`, undefined, undefined],
      ["drop.permit-removal", `delivery/${found.reel?.id}`, undefined, undefined],
      ["drop.remove", `delivery/${found.reel?.id}`, 2, "ada"],
    ],
  );
  await assert.rejects(fixture.drops.permitRemoval(OPERATOR, DROP, found.reel?.id ?? 0), {
    code: "delivery_state_conflict",
  });
});

test("where the declaration always permits it, removal follows by itself", async (t) => {
  const fixture = await archivedTwo(t, "always");
  await fixture.settled("removed");
  assert.deepEqual(await fixture.lying(), []);
  assert.deepEqual((await fixture.stores.catalogue.totals()).files, 3);
});

test("where it permits none, nobody can", async (t) => {
  const fixture = await archivedTwo(t, "never");
  await assert.rejects(fixture.drops.permitRemoval(OPERATOR, DROP, fixture.found.lone?.id ?? 0), {
    code: "removal_refused",
  });
  const input = { delivery: fixture.found.lone?.id ?? 0 };
  const job = await fixture.over(await fixture.jobs.submit({ kind: "drop-remove", lane: "fast", owner: "eve", input }));
  assert.deepEqual([job.state, job.error?.code], ["failed", "removal_refused"], "whoever submits the job");
  assert.equal((await fixture.lying()).length, 3);
});

test("one file that is not the archived one keeps them all", async (t) => {
  const fixture = await archivedTwo(t);
  const { found, folder, lying, parts } = fixture;
  // The look does not see it: the time is the old one. The job reads the bytes.
  const { drops } = fixture.stores;
  const reel = await drops.get(found.reel?.id ?? 0);
  await writeFile(join(folder, "reel/sub/b"), "secone");
  await fixture.drops.permitRemoval(OPERATOR, DROP, reel?.id ?? 0);
  const input = { delivery: reel?.id ?? 0 };
  const job = await fixture.over(await parts.jobs.submit({ kind: "drop-remove", lane: "fast", owner: "ada", input }));
  assert.deepEqual([job.state, job.error?.code], ["failed", "file_digest_mismatch"]);
  await writeFile(join(folder, "reel/sub/b"), "second and more");
  const longer = await fixture.over(
    await parts.jobs.submit({ kind: "drop-remove", lane: "fast", owner: "ada", input }),
  );
  assert.equal(longer.error?.code, "file_size_mismatch");
  assert.deepEqual(await lying(), ["lone", "reel/a", "reel/sub/b"]);
});

test("damage in the archive, or no record in the catalogue, keeps every source", async (t) => {
  const fixture = await archivedTwo(t);
  const { found, lying, archiveDir, stores } = fixture;
  const job = await fixture.jobs.get(found.lone?.job as never);
  const [file] = await fixture.files(job);
  const path = join(archiveDir, String(job.result.objectPath), file?.contentPath ?? "");
  const content = await readFile(path);
  await chmod(path, 0o600);
  await writeFile(path, "thurd");
  const note = await tried(fixture, found.lone?.id ?? 0);
  assert.match(note ?? "", /^Not removed: What the archive holds does not match its inventory/);
  await rm(path);
  assert.match(
    (await tried(fixture, found.lone?.id ?? 0)) ?? "",
    /^Not removed: The archive has no such object or file/,
  );
  await writeFile(path, content);

  const id = transactionId(Number(found.reel?.transactionId));
  const [transaction, files] = [
    await stores.catalogue.transaction(id),
    await stores.catalogue.listFiles(id, { limit: 9 }),
  ];
  assert.ok(transaction);
  const keyValues = await stores.catalogue.keyValues(id);
  await stores.catalogue.forget(id);
  assert.match(
    (await tried(fixture, found.reel?.id ?? 0)) ?? "",
    /^Not removed: .*expected: a record in the catalogue/,
  );
  assert.deepEqual(await lying(), ["lone", "reel/a", "reel/sub/b"]);
  const again = async function* () {
    yield* files;
  };
  await stores.catalogue.add(transaction, again(), keyValues, [], 1);
  assert.equal(await tried(fixture, found.lone?.id ?? 0), null, "restored, and permitted once more");
  assert.deepEqual(await lying(), ["reel/a", "reel/sub/b"]);
});

test("a delivery nobody knows, or of another drop folder, cannot be approved", async (t) => {
  const { drops, found } = await archivedTwo(t);
  await assert.rejects(drops.permitRemoval(OPERATOR, DROP, 4711), { code: "delivery_unknown" });
  await assert.rejects(drops.permitRemoval(OPERATOR, "other", found.lone?.id ?? 0), { code: "drop_unknown" });
});
