import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { runCli } from "../cli/run-cli.ts";
import { aftermath, assertStagingEmpty } from "../support/crash-aftermath.ts";
import { dataDirOf, inboxOf, openComposition } from "../support/crash-composition.ts";
import { KINDS } from "../support/crash-depositor.ts";
import { allJobs, archivedFiles, depositBundle, killUnderLoad, type SentBundle } from "../support/crash-load.ts";
import { runDepositor } from "../support/crash-run.ts";
import { distinctMoments, PARTS, type Part } from "../support/crash-steps.ts";
import { seededRandom, shareOf } from "../support/random.ts";
import { startServer } from "../support/server.ts";
import { tarMember, tarOf } from "../support/tars.ts";
import { until } from "../support/until.ts";

/** Tiny: what matters is how many steps they take. By path below `data/`. */
const FILES: Readonly<Record<string, string>> = {
  "a.txt": "first\n",
  "sub/b.txt": "second, in a folder\n",
  empty: "",
};
/** With fewer steps in any part of any deposit, the watch no longer sees what happens. */
const LEAST_STEPS: Readonly<Record<Part, number>> = { storage: 10, database: 12, files: 30 };
const KILLS = 6;
/** Each death takes a second of two processes: a part of them in each run. */
const SHARE = 16;
/** A request is known to be dead after 30 s, and with it the job that it fed. */
const STARVED_MS = 90_000;

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

describe("a deposit whose process is killed", { concurrency: true, timeout: 1_500_000 }, () => {
  /** One member is in no list, so that it has to be dropped. */
  const bundle = tarOf(
    ...Object.entries(FILES).map(([path, content]) => tarMember({ name: `data/${path}` }, content)),
    tarMember({ name: "data/unlisted.txt" }, "in no list\n"),
    tarMember({ name: "metadata.txt" }, metadata()),
  );
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "longshore-crash-"));
    const template = join(root, "template");
    await mkdir(dataDirOf(template), { recursive: true });
    await writeFile(join(template, "bundle.tar"), bundle);
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
    test(`${kind}: at any step, loses nothing that was acknowledged and leaves nothing behind`, async (t) => {
      const compiled = join(root, "compiled");
      const { trace } = await runDepositor({ folder: await freshFolder(), kind }, compiled);
      assert.ok(trace);
      const counts = PARTS.map((part) => {
        const found = trace.moments.filter((moment) => moment.part === part && moment.when === "before").length;
        assert.ok(found >= LEAST_STEPS[part], `only ${found} steps of the ${part}`);
        return `${found} of the ${part}`;
      });
      const moments = distinctMoments(trace.moments, trace.told);
      t.diagnostic(`steps: ${counts.join(", ")}; ${moments.length} distinct moments to die at`);

      const ends = new Map<string, number>();
      for (const { name, ...strikeAt } of shareOf(t, moments, SHARE)) {
        const deposit = { folder: await freshFolder(), kind, strikeAt };
        const { acknowledged } = await runDepositor(deposit, compiled);
        try {
          const end = (await aftermath(deposit, FILES, acknowledged)) ?? "no trace";
          ends.set(end, (ends.get(end) ?? 0) + 1);
        } catch (cause) {
          throw new Error(`killed ${strikeAt.when} ${strikeAt.part} step ${strikeAt.step}, ${name}`, { cause });
        }
        await rm(deposit.folder, { recursive: true });
      }
      t.diagnostic(`after the restart: ${[...ends].map(([end, count]) => `${count} ${end}`).join(", ")}`);
    });

  test("a server under load: keeps every bundle that it acknowledged and ends every other", async (t) => {
    const dataDir = join(root, "server");
    const random = seededRandom(t);
    const sent: SentBundle[] = [];
    for (let kill = 1; kill <= KILLS; kill++) sent.push(...(await killUnderLoad(dataDir, random)));
    const acknowledged = sent.filter(({ jobId }) => jobId !== undefined);
    t.diagnostic(`${acknowledged.length} of ${sent.length} bundles were acknowledged between ${KILLS} kills`);
    assert.ok(acknowledged.length > 0);
    assert.ok(acknowledged.length < sent.length);

    const server = await startServer({ dataDir });
    t.after(server.stop);
    let jobs = await allJobs(server);
    await until(
      "no job is stuck",
      async () => {
        jobs = await allJobs(server);
        return jobs.every(({ state }) => state === "succeeded" || state === "failed");
      },
      STARVED_MS,
    );
    const archived = new Map((await archivedFiles(server)).map((file) => [file.path, file]));
    for (const { path, jobId } of acknowledged) assert.equal(archived.get(path)?.transactionId, jobId, path);
    assert.deepEqual(
      jobs.filter(({ state }) => state === "succeeded").map(({ id }) => id),
      [...archived.values()].map(({ transactionId }) => transactionId),
    );
    for (const { state, error } of jobs)
      assert.equal(error?.code, state === "failed" ? "upload_interrupted" : undefined);
    for (const { path, content } of sent) {
      const file = archived.get(path);
      if (!file) continue;
      const found = await fetch(`${server.url}/api/v1/files/${file.id}/content`);
      assert.ok(Buffer.from(content).equals(Buffer.from(await found.arrayBuffer())), path);
    }

    const next = await depositBundle(server, { path: "data/next.txt", content: Buffer.from("next\n") });
    await until("the next deposit succeeds", async () => {
      const [job] = await allJobs(server);
      return job?.id === next && job.state === "succeeded";
    });
    await server.end("SIGTERM");
    await assertStagingEmpty(join(dataDir, "archive"));
    const { code, stdout, stderr } = await runCli(["verify", "--json"], { env: { LONGSHORE_DATA_DIR: dataDir } });
    assert.equal(code, 0, stdout + stderr);
    const { objects, problems } = JSON.parse(stdout);
    assert.deepEqual([objects, problems], [archived.size + 1, 0]);
  });
});
