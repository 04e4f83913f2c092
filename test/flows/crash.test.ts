import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { dataDirOf, inboxOf, openComposition } from "../support/crash-composition.ts";
import { KINDS, PARTS } from "../support/crash-depositor.ts";
import { runDepositor } from "../support/crash-run.ts";
import { tarMember, tarOf } from "../support/tars.ts";

/** Tiny: what matters is how many steps they take. By path below `data/`. */
const FILES: Readonly<Record<string, string>> = {
  "a.txt": "first\n",
  "sub/b.txt": "second, in a folder\n",
  empty: "",
};
/** Fewer steps than this in any part of any deposit: the wrappers no longer see what happens. */
const LEAST_STEPS = { storage: 20, database: 8, files: 20 } as const;

/** One file declares a digest that is not computed while bytes pass, so that it is read again. */
function metadata(sourceIn?: string): string {
  const files = Object.entries(FILES).map(([path, content], index) => {
    const hashtype = index === 0 ? "md5" : "sha1";
    return {
      destinationTable: "Files",
      name: path.split("/").at(-1),
      subdir: join("data", dirname(path)),
      size: content.length,
      hashtype,
      hashsum: createHash(hashtype).update(content).digest("hex"),
      ...(sourceIn === undefined ? {} : { source: join(sourceIn, path) }),
    };
  });
  const about = ["submitter", "project", "instrument"].map((key) => ({
    destinationTable: `Transactions.${key}`,
    value: 10,
  }));
  return JSON.stringify([...about, ...files]);
}

describe("a deposit whose process is killed", { concurrency: true, timeout: 120_000 }, () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "longshore-crash-"));
    const template = join(root, "template");
    await mkdir(dataDirOf(template), { recursive: true });
    await writeFile(
      join(template, "bundle.tar"),
      tarOf(
        ...Object.entries(FILES).map(([path, content]) => tarMember({ name: `data/${path}` }, content)),
        tarMember({ name: "data/unlisted.txt" }, "in no list\n"),
        tarMember({ name: "metadata.txt" }, metadata()),
      ),
    );
    await (await openComposition({ folder: template, clock: systemClock, leaseMs: 400 })).close();
  });
  after(() => rm(root, { recursive: true }));

  let folders = 0;
  /** A server's folder as it is before anybody has deposited anything. */
  async function freshFolder(): Promise<string> {
    const folder = join(root, String(++folders));
    await cp(join(root, "template"), folder, { recursive: true });
    for (const [path, content] of Object.entries(FILES)) {
      await mkdir(join(inboxOf(folder), dirname(path)), { recursive: true });
      await writeFile(join(inboxOf(folder), path), content);
    }
    await writeFile(join(folder, "move.json"), metadata(inboxOf(folder)));
    return folder;
  }

  for (const kind of KINDS)
    test(`${kind}: every step is known`, async (t) => {
      const { trace } = await runDepositor({ folder: await freshFolder(), kind }, join(root, "compiled"));
      assert.ok(trace);
      for (const part of PARTS) {
        t.diagnostic(`${trace[part].length} steps of the ${part}`);
        assert.ok(trace[part].length >= LEAST_STEPS[part], trace[part].join("\n"));
      }
    });
});
