import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { sequenceIdSource } from "../../../src/core/ingest/id-source.ts";

test("own ids begin with 1 for jobs and for files, and go on after a restart and a rebuild", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ids-"));
  const path = join(folder, "ids.db");
  try {
    const first = await openSqlite({ path, clock: systemClock });
    const ids = sequenceIdSource(first.sequences);
    assert.deepEqual(
      [await ids.reserve("upload_job", 1), await ids.reserve("file", 3), await ids.reserve("upload_job", 1)],
      [1, 1, 2],
    );
    await first.close();

    const second = await openSqlite({ path, clock: systemClock });
    const later = sequenceIdSource(second.sequences);
    assert.equal(await later.reserve("file", 1), 4);
    // What a rebuild does for the ids it finds in the archive.
    await second.sequences.raise("file", 1_000);
    assert.equal(await later.reserve("file", 1), 1_001);
    assert.equal(await later.reserve("upload_job", 1), 3);
    await second.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
