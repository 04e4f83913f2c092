import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { audit } from "../../../src/core/access/audit.ts";
import type { ObjectStorage, StagedTree } from "../../../src/core/archive/object-storage.ts";
import { preservationEvents } from "../../../src/core/archive/premis-events.ts";
import type { Problem } from "../../../src/core/errors.ts";
import { transactionOf } from "../../../src/core/ids.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import { declared, type MetadataObject, TRANSACTION } from "../../support/bundles.ts";
import { type IngestFixture, openIngest } from "../../support/ingest.ts";

const FILES: Readonly<Record<string, string>> = { "data/a.txt": "hello", "data/b/c.bin": "\0\x01", "data/empty": "" };

interface MoveFixture extends IngestFixture {
  /** Where depositors leave their files; a root that may be moved from. */
  readonly inbox: string;
  sourceOf(path: string): string;
  /** A document that declares these files, each with its source in the inbox. */
  document(change?: (objects: readonly MetadataObject[]) => readonly unknown[]): Uint8Array;
}

/** @param hooks called at moments of the move. */
async function openMove(t: TestContext, hooks: Hooks = {}): Promise<MoveFixture> {
  const inbox = await mkdtemp(join(tmpdir(), "inbox-"));
  t.after(() => rm(inbox, { recursive: true }));
  const sourceOf = (path: string) => join(inbox, path);
  for (const [path, content] of Object.entries(FILES)) {
    await mkdir(dirname(sourceOf(path)), { recursive: true });
    await writeFile(sourceOf(path), content);
    await utimes(sourceOf(path), 1_600_000_000, 1_600_000_000);
  }
  const fixture = await openIngest(t, {
    settings: { LONGSHORE_MOVE_ROOTS: inbox },
    wrap: (storage) => hooked(storage, hooks),
  });
  return {
    ...fixture,
    inbox,
    sourceOf,
    document(change = (objects) => objects) {
      const objects = Object.entries(FILES).map(([path, content]) =>
        declared(path, content, { source: sourceOf(path), mtime: undefined }),
      );
      return Buffer.from(JSON.stringify(change([...TRANSACTION, ...objects])));
    },
  };
}

interface Hooks {
  /** As between two file systems: nothing can be linked. */
  readonly noLinks?: boolean;
  beforeLink?(path: string): Promise<void>;
  afterPublish?(): Promise<void>;
}

function hooked(storage: ObjectStorage, hooks: Hooks): ObjectStorage {
  const tree = (staged: StagedTree): StagedTree => ({
    ...staged,
    async link(path, from) {
      await hooks.beforeLink?.(path);
      return hooks.noLinks ? false : ((await staged.link?.(path, from)) ?? false);
    },
    async publish(last) {
      await staged.publish(last);
      await hooks.afterPublish?.();
    },
  });
  return {
    ...storage,
    stage: async (prefix) => tree(await storage.stage(prefix)),
    async reopen(prefix) {
      const staged = await storage.reopen(prefix);
      return staged && tree(staged);
    },
  };
}

const moved = async ({ ingest, over }: MoveFixture, document: Uint8Array) =>
  over(await ingest.move(document, { owner: "ada" }));

const left = async (inbox: string) =>
  (await readdir(inbox, { recursive: true, withFileTypes: true })).filter((e) => !e.isDirectory()).map((e) => e.name);

/** Who had sources removed, and how many. */
async function removalsOf({ stores }: MoveFixture, { id }: Job) {
  const log = audit(stores.audit, systemClock, "Longshore/1.2.3");
  const events = await Array.fromAsync(preservationEvents(log).all(transactionOf(id)));
  return events.filter(({ type }) => type === "deletion").map(({ actor, details }) => [actor, details.files]);
}

const problemsOf = (details: Readonly<Record<string, unknown>> = {}) =>
  (details.problems as readonly Problem[]).map(({ code, path }) => [code, path]);

for (const [how, hooks] of [
  ["linked", {}],
  ["copied", { noLinks: true }],
] as const)
  test(`files are ${how} into the archive, and gone from where they lay when that is done`, async (t) => {
    const fixture = await openMove(t, hooks);
    const inode = (await stat(fixture.sourceOf("data/a.txt"))).ino;
    const job = await moved(fixture, fixture.document());
    assert.deepEqual([job.state, job.error, job.warnings], ["succeeded", null, []]);
    assert.deepEqual(await fixture.contents(job), FILES);
    assert.deepEqual(await left(fixture.inbox), []);
    assert.deepEqual(await removalsOf(fixture, job), [["ada", 3]]);
    assert.deepEqual(
      job.tasks.map(({ name, percent }) => [name, percent]),
      ["receive", "metadata", "policy", "files", "catalogue"].map((name) => [name, 100]),
    );
    const [file] = await fixture.files(job);
    assert.equal(file?.modifiedAt, "2020-09-13T12:26:40.000Z"); // date -u -d @1600000000
    const archived = join(fixture.archiveDir, String(job.result.objectPath), file?.contentPath ?? "");
    assert.equal((await stat(archived)).ino === inode, how === "linked");
  });

test("a move that is refused names every file that cannot be moved, and touches none", async (t) => {
  const fixture = await openMove(t);
  const { inbox, sourceOf, document, unharmed } = fixture;
  await symlink("/etc/passwd", sourceOf("data/way-out"));
  await symlink(sourceOf("data/a.txt"), sourceOf("data/way-in"));
  await mkdir(sourceOf("data/folder"));
  const before = await left(inbox);
  const from = (name: string, source: string) => declared(`data/${name}`, "", { source });
  const job = await moved(
    fixture,
    document((objects) => [
      ...objects,
      from("gone", sourceOf("data/gone")),
      from("outside", "/etc/passwd"),
      from("out by dots", `${inbox}/../../etc/passwd`),
      from("way-out", sourceOf("data/way-out")),
      from("folder", sourceOf("data/folder")),
      from("way-in", sourceOf("data/way-in")),
    ]),
  );
  assert.deepEqual([job.state, job.error?.code], ["failed", "bundle_refused"]);
  assert.deepEqual(problemsOf(job.error?.details), [
    ["source_missing", "data/gone"],
    ["source_outside_roots", "data/outside"],
    ["source_outside_roots", "data/out by dots"],
    ["source_outside_roots", "data/way-out"],
    ["source_unsuitable", "data/folder"],
    ["file_duplicate", "data/way-in"], // by a link, the source of data/a.txt once more
  ]);
  await unharmed();
  assert.deepEqual(await left(inbox), before);
});

test("a file that is not what was declared fails the move, and every source stays", async (t) => {
  const fixture = await openMove(t);
  const { sourceOf, document, inbox } = fixture;
  await writeFile(sourceOf("data/a.txt"), "hullo");
  await writeFile(sourceOf("data/empty"), "not empty");
  const job = await moved(fixture, document());
  assert.deepEqual(problemsOf(job.error?.details), [
    ["file_digest_mismatch", "data/a.txt"],
    ["file_size_mismatch", "data/empty"],
  ]);
  await fixture.unharmed();
  assert.equal((await left(inbox)).length, 3);
  assert.equal(await readFile(sourceOf("data/a.txt"), "utf8"), "hullo");
});

test("a document that does not read, or names no source, fails by name", async (t) => {
  const fixture = await openMove(t);
  const codes = new Map([
    ["{", "metadata_invalid"],
    ["[{", "metadata_not_json"],
    ["[]", "bundle_empty"],
    [JSON.stringify([...TRANSACTION, declared("data/a.txt", "hello")]), "metadata_invalid"],
  ]);
  for (const [text, code] of codes) {
    const job = await moved(fixture, Buffer.from(text));
    assert.deepEqual([job.state, job.error?.code], ["failed", code], text);
  }
  await fixture.unharmed();
});

test("nothing may be moved unless a root is configured", async (t) => {
  const fixture = await openMove(t);
  const { ingest, over } = await openIngest(t);
  const job = await over(await ingest.move(fixture.document(), { owner: "ada" }));
  assert.equal(job.error?.code, "source_outside_roots");
  assert.match(JSON.stringify(job.error?.details), /LONGSHORE_MOVE_ROOTS/);
});

test("a source that is written to while others are taken in fails the move before anything is published", async (t) => {
  const fixture = await openMove(t, {
    async beforeLink(path) {
      // The first file has been linked and read by now; through the link, the archive would change with it.
      if (path.endsWith("c.bin")) await writeFile(fixture.sourceOf("data/a.txt"), "HELLO");
    },
  });
  const job = await moved(fixture, fixture.document());
  assert.deepEqual([job.state, job.error?.code, job.error?.details.path], ["failed", "source_changed", "data/a.txt"]);
  await fixture.unharmed();
  assert.equal((await left(fixture.inbox)).length, 3);
});

test("another file that took a source's place meanwhile is left where it is, and told of", async (t) => {
  const fixture = await openMove(t, {
    async afterPublish() {
      const place = fixture.sourceOf("data/a.txt");
      await rm(place);
      // As like the first as can be: same name, size and time.
      await writeFile(place, "HELLO");
      await utimes(place, 1_600_000_000, 1_600_000_000);
    },
  });
  const job = await moved(fixture, fixture.document());
  assert.deepEqual(
    [job.state, job.warnings.map(({ code, path }) => [code, path])],
    ["succeeded", [["source_changed", "data/a.txt"]]],
  );
  assert.deepEqual(await fixture.contents(job), FILES);
  assert.equal(await readFile(fixture.sourceOf("data/a.txt"), "utf8"), "HELLO");
});

test("a source that is written to when it is published already fails the job, as its bytes are the archive's", async (t) => {
  const fixture = await openMove(t, {
    afterPublish: () => writeFile(fixture.sourceOf("data/a.txt"), "HELLO"),
  });
  const job = await moved(fixture, fixture.document());
  assert.deepEqual([job.state, job.error?.code, job.error?.details.path], ["failed", "object_corrupt", "data/a.txt"]);
  assert.deepEqual(await left(fixture.inbox), ["a.txt"]);
  await writeFile(fixture.sourceOf("data/a.txt"), "hello"); // and that mends it
});

test("a worker that takes over after the publication removes what was archived, and nothing else", async (t) => {
  let die = true;
  const fixture = await openMove(t, {
    async afterPublish() {
      if (die) throw new Error("the process dies here");
    },
  });
  const { document, sourceOf, ingest, jobs, worker, over, startWorker, stores } = fixture;
  await worker.stop();
  const job = await ingest.move(document(), { owner: "ada" });
  // What the first worker leaves behind: a published object, and a catalogue that has not heard of it.
  const catalogue = { ...stores.catalogue, add: () => Promise.reject(new Error("the process dies here")) };
  const first = (await fixture.composedWith({ ...stores, catalogue })).startWorker({ jobEnded() {}, trouble() {} });
  assert.equal((await over(job)).state, "failed");
  await first.stop();
  assert.equal((await left(fixture.inbox)).length, 3);

  die = false;
  await rm(sourceOf("data/empty"));
  await rm(sourceOf("data/b/c.bin"));
  await writeFile(sourceOf("data/b/c.bin"), "??");
  await utimes(sourceOf("data/b/c.bin"), 1_600_000_000, 1_600_000_000);
  await jobs.retry(job.id, "opal");
  const second = startWorker({ jobEnded() {}, trouble: (error) => assert.fail(String(error)) });
  const done = await over(job);
  await second.stop();
  assert.equal(done.state, "succeeded");
  assert.deepEqual(
    done.warnings.map(({ code, path }) => [code, path]),
    [["source_changed", "data/b/c.bin"]],
  );
  assert.deepEqual(await left(fixture.inbox), ["c.bin"]);
  assert.deepEqual(await removalsOf(fixture, job), [["ada", 2]], "one of them by whoever was before");
});

test("a source with another name elsewhere keeps that name", async (t) => {
  const fixture = await openMove(t);
  const elsewhere = join(fixture.inbox, "elsewhere");
  await link(fixture.sourceOf("data/a.txt"), elsewhere);
  const job = await moved(fixture, fixture.document());
  assert.equal(job.state, "succeeded");
  assert.deepEqual([existsSync(elsewhere), await left(fixture.inbox)], [true, ["elsewhere"]]);
});

test("a move that is repeated with its key is one move", async (t) => {
  const { ingest, over, document, stores } = await openMove(t);
  const first = await ingest.move(document(), { owner: "ada", idempotencyKey: "k" });
  const second = await ingest.move(document(), { owner: "ada", idempotencyKey: "k" });
  assert.equal(second.id, first.id);
  assert.equal((await over(first)).state, "succeeded");
  assert.equal((await stores.catalogue.totals()).transactions, 1);
});
