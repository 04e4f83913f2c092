import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

export interface SmallDisk {
  readonly folder: string;
  /** Why there is none here, as node:test wants it. */
  readonly skip: string | false;
}

/** A real disk of this size, in memory, for all tests of a file. */
export function smallDisk(sizeMib: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), "longshore-small-disk-"));
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMib}m`, "longshore-test", folder], {
    encoding: "utf8",
  });
  after(() => {
    if (mount.status === 0) assert.equal(spawnSync("umount", [folder]).status, 0);
    rmdirSync(folder);
  });
  return {
    folder,
    skip: mount.status !== 0 && `cannot mount a small disk here: ${mount.stderr ?? mount.error}`.trim(),
  };
}
