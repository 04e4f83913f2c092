import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { deposit, finished, json, problem, raw, type WireJob } from "../http/client.ts";
import {
  BAD_MEMBERS,
  BAD_METADATA,
  BROKEN_PROMISES,
  FILES,
  GOOD,
  misdeclared,
  NOT_A_TAR,
  OUTSIDE,
  type Refusal,
} from "../support/bad-bundles.ts";
import { bundleTar, declared, type Files, TRANSACTION } from "../support/bundles.ts";
import { lookInto } from "../support/data-folder.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { END_OF_ARCHIVE, tarHeader, tarMember } from "../support/tars.ts";
import { without } from "../support/tools.ts";
import { until } from "../support/until.ts";

const MANY = 30_000;
/** Generous: 354 MiB were observed on 2026-11-22 on a busy machine, about 2.5 KiB a file. */
const MAX_PEAK_MIB = 512;

describe("one server, sent everything that is bad,", () => {
  let server: ServerProcess;
  /** Files of the data folder that belong to no object, as they are when nothing is going on. */
  let furniture: readonly string[];
  /** Objects of the bundles that were accepted. */
  const accepted = new Set<string>();

  before(async () => {
    server = await startServer();
    await honest();
    furniture = lookInto(server.dataDir).others;
  });
  after(() => server.stop());

  /** Whatever a test sent: the accepted bundles are in the archive and nothing else is, and nothing lies about. */
  afterEach(async () => {
    const tidy = { objects: [...accepted].sort(), staged: [], others: furniture };
    const isTidy = () => lookInto(server.dataDir).staged.length === 0;
    await until("nothing is staged", isTidy).catch(() => {}); // the comparison says what is
    assert.deepEqual(lookInto(server.dataDir), tidy);
    const health = await fetch(`${server.url}/healthz`);
    assert.equal(health.status, 200, await health.text());
    process.kill(server.pid, 0); // throws when that process is gone
  });

  /** Counts the job's object among those that may be in the archive. */
  function accept(job: WireJob): WireJob {
    assert.deepEqual([job.state, job.error], ["succeeded", null]);
    accepted.add(String(job.result?.objectPath));
    return job;
  }

  /** Deposits a good bundle of these files and fetches every one of them back. */
  async function honest(files: Files = FILES): Promise<WireJob> {
    const { id } = await deposit(server, new Uint8Array(await bundleTar(files)));
    const job = accept(await finished(server, id));
    await assertSame(server, id, files);
    return job;
  }

  async function assertRefused({ body, code, says, problems }: Omit<Refusal, "name">): Promise<void> {
    const bystander = honest();
    const { id } = await deposit(server, new Uint8Array(await body));
    const { state, error, result } = await finished(server, id);
    assert.deepEqual([state, error?.code, result], ["failed", code, null], error?.message);
    assert.ok(error?.message.includes(says), error?.message);
    if (problems) assertListed(error?.details.problems, problems);
    await problem(await fetch(`${server.url}/api/v1/transactions/${id}`), 404, "transaction_unknown");
    await bystander;
  }

  const lists = {
    "what is no tar": NOT_A_TAR,
    "bad metadata": BAD_METADATA,
    "a broken promise": BROKEN_PROMISES,
    "a bad member": BAD_MEMBERS,
  };
  for (const [kind, refusals] of Object.entries(lists))
    for (const refusal of refusals) test(`refuses ${kind}: ${refusal.name}`, () => assertRefused(refusal));

  test("has let no name climb out of its bundle", () => assert.ok(!existsSync(OUTSIDE)));

  for (const tool of ["bzip2", "xz"])
    test(`refuses what is no tar: a tar in ${tool}`, {
      skip: without(tool, [tool, "--version"], "apt packages bzip2 and xz-utils"),
    }, () => {
      const body = new Uint8Array(execFileSync(tool, ["-c"], { input: GOOD }));
      return assertRefused({ body, code: "bundle_compressed", says: `found: ${tool}` });
    });

  test("refuses a tar that is cut short, wherever it is", async () => {
    // In data, in padding, between members, in a later header, before and within the end-of-archive blocks.
    for (const length of [515, 600, 1024, 1100, GOOD.length - 1024]) {
      const body = new Uint8Array(GOOD.subarray(0, length));
      await assertRefused({ body, code: "bundle_truncated", says: `bytesReceived: ${length}` });
    }
  });

  test("keeps apart names that some file systems take for one, and takes names that none can hold", async () => {
    const names = [
      ..."Case.txt case.txt CASE.TXT Folder/x folder/x".split(" "),
      ...["caf\u00e9", "cafe\u0301", "\ufb01le", "file", "straße", "STRASSE"],
      ...["con.txt", "C:\\odd", "-rf", " blank ", "dot.", "line\nbreak", "\u202egnp.txt", "'; drop table files; --"],
      ...["n".repeat(5000), "a folder/".repeat(500), "…".repeat(90)].map((name) => `${name}end`),
    ];
    await honest(Object.fromEntries(names.map((name, i) => [`data/${name}`, `content ${i}`])));
  });

  test("answers 422 to a body that does not keep its Content-Digest", async () => {
    const bystander = honest();
    const digest = createHash("sha256").update("another body").digest("base64");
    const response = await fetch(`${server.url}/api/v1/bundles`, {
      method: "POST",
      body: new Uint8Array(GOOD),
      headers: { "content-digest": `sha-256=:${digest}:` },
    });
    const { details } = await problem(response, 422, "digest_mismatch");
    const job = await finished(server, Number(details.jobId));
    assert.deepEqual([job.state, job.error?.code], ["failed", "digest_mismatch"]);
    assert.match(job.error?.message ?? "", /of: the request body; algorithm: sha256/);
    await bystander;
  });

  test("takes of a body no more than its Content-Length, and what follows for no request", async () => {
    const length = GOOD.length - 1024;
    const answer = await raw(server, `${head({ "Content-Length": length })}${GOOD.toString("latin1")}`);
    assert.match(answer, /^HTTP\/1.1 400 .*"code":"request_invalid"/s);
    const { error } = await newest(server, ({ state }) => state === "failed");
    assert.equal(error?.code, "upload_interrupted");
    await honest();
  });

  for (const [how, leave] of [
    ["breaks the connection off", (socket: Socket) => socket.destroy()],
    ["ends it before all is sent", (socket: Socket) => socket.end()],
  ] as const)
    test(`notices that a sender ${how} half-way`, async () => {
      const tar = await bundleTar({ "data/big.bin": Buffer.alloc(3_000_000, 7) });
      const socket = await dial(server, { "Content-Length": tar.length });
      socket.write(tar.subarray(0, 1_500_000));
      const { id } = await newest(server, ({ state, task }) => state === "running" && task?.name === "receive");
      const bystander = honest();
      leave(socket);
      const job = await finished(server, id);
      assert.deepEqual([job.state, job.error?.code], ["failed", "upload_interrupted"]);
      assert.match(job.error?.message ?? "", /receivedBytes: [1-9]/);
      await bystander;
    });

  test("fails a bundle that announces a header of 2 GB at once, whatever its sender goes on to do", async () => {
    const socket = await dial(server, { "Content-Length": 2 ** 31 + 2048 });
    socket.write(tarHeader({ name: "PaxHeaders/x", type: "x", size: 2 ** 31 }));
    const job = await newest(server, ({ error }) => error?.code === "bundle_header_too_large");
    assert.equal(job.state, "failed");
    await honest();
    socket.destroy();
  });

  test("waits for a sender that trickles, and serves others meanwhile", async () => {
    const socket = await dial(server, { "Content-Length": GOOD.length });
    let isServed = false;
    const others = (async () => {
      for (let i = 0; i < 5; i++) await honest();
      isServed = true;
    })();
    for (let at = 0; at < GOOD.length - 7; at += 7) {
      socket.write(GOOD.subarray(at, at + 7));
      await setTimeout(1);
    }
    await others;
    assert.ok(isServed);
    socket.write(GOOD.subarray(GOOD.length - (GOOD.length % 7 || 7)));
    const [answer] = await once(socket.setEncoding("utf8"), "data");
    accept(await finished(server, Number(/Location: \/api\/v1\/jobs\/(\d+)/i.exec(answer)?.[1])));
    socket.destroy();
  });

  test("tells good from bad when ten arrive at once", async () => {
    const bad: readonly (readonly [string, Uint8Array])[] = [
      ["bundle_truncated", GOOD.subarray(0, 1024)],
      ["bundle_not_tar", Buffer.alloc(1_000_000, "x")],
      ["file_digest_mismatch", await misdeclared({ hashsum: "0".repeat(40) })],
      ["digest_unknown", await misdeclared({ hashtype: "md4" })],
      ["file_size_mismatch", await misdeclared({ size: 1 })],
    ];
    const outcomes = bad.flatMap(([code, body], i) => [
      honest({ "data/good.bin": Buffer.alloc(1_000_000, i) }).then(({ error }) => error),
      deposit(server, new Uint8Array(body))
        .then(({ id }) => finished(server, id))
        .then(({ error }) => [code, error?.code]),
    ]);
    const expected = bad.flatMap(([code]) => [null, [code, code]]);
    assert.deepEqual(await Promise.all(outcomes), expected);
  });

  test(`archives ${MANY} files of one bundle in bounded memory`, async (t) => {
    const bystander = honest();
    const response = await fetch(`${server.url}/api/v1/bundles`, {
      method: "POST",
      body: ReadableStream.from(bundleOfMany()),
      duplex: "half",
      headers: { "content-type": "application/x-tar" },
    });
    assert.equal(response.status, 202, await response.clone().text());
    const { id } = (await response.json()) as WireJob;
    await Promise.all([bystander, honest()]);
    const job = accept(await finished(server, id));
    assert.equal(job.result?.files, MANY);
    const address = `${server.url}/api/v1/transactions/${id}/files`;
    const { items } = await json<FilePage>(`${address}?limit=1`);
    assert.equal(await text(server, items[0]?.id ?? 0), content(0).toString());
    assert.equal(await text(server, (items[0]?.id ?? 0) + MANY - 1), content(MANY - 1).toString());
    if (process.platform !== "linux") return;
    const status = await readFile(`/proc/${server.pid}/status`, "utf8");
    const peakMiB = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    t.diagnostic(`peak memory of the server: ${peakMiB.toFixed()} MiB`);
    assert.ok(peakMiB < MAX_PEAK_MIB, `${peakMiB} MiB`);
  });
});

interface FilePage {
  readonly items: readonly { readonly id: number; readonly path: string }[];
}

async function assertSame(server: ServerProcess, id: number, files: Files): Promise<void> {
  const { items } = await json<FilePage>(`${server.url}/api/v1/transactions/${id}/files?limit=1000`);
  assert.deepEqual(items.map(({ path }) => path).sort(), Object.keys(files).sort());
  for (const file of items) assert.equal(await text(server, file.id), String(files[file.path]), file.path);
}

async function text(server: ServerProcess, fileId: number): Promise<string> {
  const response = await fetch(`${server.url}/api/v1/files/${fileId}/content`);
  assert.equal(response.status, 200);
  return response.text();
}

/** Every trouble has its code and its path, and a sentence that names it. */
function assertListed(listed: unknown, expected: NonNullable<Refusal["problems"]>): void {
  const problems = listed as { readonly code: string; readonly path: string; readonly message: string }[];
  assert.deepEqual(
    problems.map(({ code, path }) => [code, path]),
    expected,
  );
  for (const { path, message } of problems) assert.ok(message.includes(path), message);
}

type Headers = Readonly<Record<string, string | number>>;

/** The head of a deposit, as text. */
function head(headers: Headers): string {
  const lines = Object.entries({ Host: "localhost", "Content-Type": "application/x-tar", ...headers });
  return `POST /api/v1/bundles HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

/** Begins a deposit by hand. The server may hang up whenever it likes, also when the test has seen enough. */
async function dial(server: ServerProcess, headers: Headers): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname).setNoDelay();
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(head(headers));
  return socket;
}

/** The newest job, once it is as wanted. */
async function newest(server: ServerProcess, isWanted: (job: WireJob) => boolean): Promise<WireJob> {
  let job: WireJob | undefined;
  await until("the newest job is as wanted", async () => {
    [job] = (await json<{ readonly items: readonly WireJob[] }>(`${server.url}/api/v1/jobs?limit=1`)).items;
    return job !== undefined && isWanted(job);
  });
  assert.ok(job);
  return job;
}

const content = (i: number) => Buffer.from(`file ${i}\n`);

/** Made while it is sent, metadata first. */
async function* bundleOfMany(): AsyncGenerator<Uint8Array> {
  const pathOf = (i: number) => `data/${Math.floor(i / 1000)}/${i}.txt`;
  const objects = Array.from({ length: MANY }, (_, i) => declared(pathOf(i), content(i)));
  yield tarMember({ name: "metadata.txt" }, JSON.stringify([...TRANSACTION, ...objects]));
  for (let i = 0; i < MANY; i += 500)
    yield Buffer.concat(Array.from({ length: 500 }, (_, j) => tarMember({ name: pathOf(i + j) }, content(i + j))));
  yield END_OF_ARCHIVE;
}
