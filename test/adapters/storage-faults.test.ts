import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { memoryDisk, memoryObjectStorage } from "../../src/adapters/storage/memory.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { type Fault, faultyStorage } from "../support/faulty-storage.ts";

const FILES = { "v1/content/data/a.txt": "first", "v1/content/data/b.txt": "second", "inventory.json": "{}" };

/** Stages, writes and publishes FILES; in a form that can be sent to another process. */
async function deposit(storage: ObjectStorage, files: Readonly<Record<string, string>>): Promise<void> {
  const tree = await storage.stage("object");
  const writer = tree.writer(["sha512", "sha1"]);
  try {
    for (const [path, content] of Object.entries(files).slice(0, 2)) {
      writer.begin(path);
      await writer.write(Buffer.from(content));
      writer.end();
    }
    await writer.finish();
  } finally {
    await writer.abort();
  }
  await tree.putNote(
    "checkpoint",
    (async function* () {
      yield Buffer.from("written");
    })(),
  );
  await tree.put("inventory.json", Buffer.from(files["inventory.json"] ?? ""));
  await tree.sync();
  await tree.publish(["inventory.json"]);
}

/** What a restart does: trees that were left are discarded, and the deposit is made unless it is there. */
async function recover(storage: ObjectStorage): Promise<void> {
  for await (const prefix of storage.staged()) await (await storage.reopen(prefix))?.discard();
  if (!(await storage.stat("object/inventory.json"))) await deposit(storage, FILES);
}

async function visible(storage: ObjectStorage): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { path } of storage.list("object")) found[path.slice(7)] = await text(await storage.open(path));
  return found;
}

async function stepCount(): Promise<number> {
  const rehearsal = faultyStorage(memoryObjectStorage());
  await deposit(rehearsal, FILES);
  return rehearsal.steps.length;
}

/** All of it or nothing: whatever happened, no reader ever takes a part for the whole. */
async function assertWholeOrAbsent(storage: ObjectStorage): Promise<void> {
  const found = await visible(storage);
  assert.deepEqual(found, Object.keys(found).length === 0 ? {} : FILES);
}

describe("a deposit with one fault", () => {
  test("the trace names every step once it has begun, in order", async () => {
    const storage = faultyStorage(memoryObjectStorage());
    await deposit(storage, FILES);
    assert.deepEqual(
      storage.steps.map(({ operation, subject }) => `${operation} ${subject}`.trim()),
      [
        "stage object",
        "tree.writer object",
        "writer.begin v1/content/data/a.txt",
        "writer.write v1/content/data/a.txt",
        "writer.end v1/content/data/a.txt",
        "writer.begin v1/content/data/b.txt",
        "writer.write v1/content/data/b.txt",
        "writer.end v1/content/data/b.txt",
        "writer.finish",
        "writer.abort",
        "tree.putNote checkpoint",
        "tree.put inventory.json",
        "tree.sync object",
        "tree.publish object",
      ],
    );
  });

  test("an error at any step reaches the caller, shows nobody a part, and leaves nothing that a retry trips over", async () => {
    for (let step = 1; step <= (await stepCount()); step++) {
      for (const when of ["before", "after"] as const) {
        const disk = memoryDisk();
        const what = new Error(`${when} step ${step}`);
        await assert.rejects(deposit(faultyStorage(memoryObjectStorage(disk), { step, when, what }), FILES), what);
        const later = memoryObjectStorage(disk);
        await assertWholeOrAbsent(later);
        await recover(later);
        assert.deepEqual(await visible(later), FILES, `${when} step ${step}`);
        assert.deepEqual(await Array.fromAsync(later.staged()), []);
      }
    }
  });

  test("kill -9 at any step shows nobody a part, and leaves nothing behind once the next process has gone on", async () => {
    // `after` the last step is the moment in which nothing is left to lose; `after` any other is `before` the next.
    const last = await stepCount();
    const faults = [
      ...Array.from({ length: last }, (_, i) => ({ step: i + 1, when: "before" }) as const),
      { step: last, when: "after" } as const,
    ];
    for (const fault of faults) {
      const root = await mkdtemp(join(tmpdir(), "storage-faults-"));
      const storage = fsObjectStorage({ root });
      try {
        depositAndDie(root, fault);
        await assertWholeOrAbsent(storage);
        await recover(storage);
        assert.deepEqual(await visible(storage), FILES, `${fault.when} step ${fault.step}`);
        const staging = await readdir(join(root, "extensions/longshore-staging"), { recursive: true });
        assert.deepEqual(staging.toSorted(), ["discarded", "incoming", "notes", "trees"]);
      } finally {
        await storage.close();
        await rm(root, { recursive: true });
      }
    }
  });
});

/** In a process of its own, which ends by SIGKILL. */
function depositAndDie(root: string, { step, when }: Pick<Fault, "step" | "when">): void {
  const script = `
    import { fsObjectStorage } from ${JSON.stringify(new URL("../../src/adapters/storage/fs.ts", import.meta.url))};
    import { faultyStorage } from ${JSON.stringify(new URL("../support/faulty-storage.ts", import.meta.url))};
    ${deposit}
    const fault = { step: ${step}, when: "${when}", what: () => process.kill(process.pid, "SIGKILL") };
    await deposit(faultyStorage(fsObjectStorage({ root: ${JSON.stringify(root)} }), fault), ${JSON.stringify(FILES)});`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(child.signal, "SIGKILL", child.stderr);
}
