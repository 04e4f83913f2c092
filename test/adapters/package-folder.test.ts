import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { packageFolder } from "../../src/adapters/packages/folder.ts";
import { packageFilesConformance } from "../conformance/package-files.ts";

const folder = await mkdtemp(join(tmpdir(), "packages-"));
after(() => rm(folder, { recursive: true }));
let stores = 0;

packageFilesConformance("folder", () => {
  const root = join(folder, String(stores++));
  return () => packageFolder({ root });
});

test("a folder that others serve shows finished packages and nothing else of ours", async () => {
  const root = join(folder, "served");
  const files = packageFolder({ root });
  const place = await files.workspace("w");
  await (await place.append("a", 0)).close();
  assert.deepEqual(
    (await readdir(root)).filter((name) => !name.startsWith(".")),
    [],
  );
  await place.publish("a", "p.zip");
  assert.deepEqual(
    (await readdir(root)).filter((name) => !name.startsWith(".")),
    ["p.zip"],
  );
});

test("a package that a link beside it points to is said to be wanted; links to elsewhere are nobody's business", async () => {
  const root = join(folder, "linked");
  const files = packageFolder({ root });
  await files.workspace("w");
  await writeFile(join(root, "p.zip"), "x");
  await symlink("p.zip", join(root, "gbif.zip"));
  await symlink(join(root, "q.zip"), join(root, "dangling.zip"));
  await symlink("/etc/passwd", join(root, "elsewhere.zip"));
  assert.deepEqual((await Array.fromAsync(files.linked())).toSorted(), ["p.zip", "q.zip"]);
  assert.deepEqual(
    (await Array.fromAsync(files.list())).map(({ fileName }) => fileName),
    ["p.zip"],
  );
});
