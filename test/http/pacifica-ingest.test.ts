import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { AppError, type Code, type Details, errorRecord } from "../../src/core/errors.ts";
import { jobId } from "../../src/core/ids.ts";
import type { Job } from "../../src/core/jobs/job.ts";
import { pacificaJob } from "../../src/http/doors/pacifica-job.ts";
import { until } from "../support/until.ts";
import { bundle, sum, TRANSACTION } from "./bundle.ts";
import { raw } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

/*
 * Expected values are what the original (pacifica-ingest 0.4.1 on CherryPy 18.8) answered when it was asked, and what its
 * clients (pacifica-uploader, pacifica-cli 0.5) read.
 */

const run = promisify(execFile);
const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$/;
const KEYS = ["complete", "created", "exception", "job_id", "state", "task", "task_percent", "updated"];
const tar = bundle({ "a.txt": "hello", "b/c.txt": "world" });

interface Answer {
  readonly job_id: number;
  readonly state: string;
  readonly task: string;
  readonly task_percent: string;
  readonly complete: boolean;
  readonly exception: string;
  readonly created: string;
  readonly updated: string;
}

/** What pacifica-cli waits for: `while state == OK and not (task == "ingest metadata" and int(float(percent)) == 100)`. */
async function pollAsTheClientDoes(door: string, id: number): Promise<Answer> {
  let answer: Answer | undefined;
  await until(`job ${id} is over for a client`, async () => {
    answer = (await (await fetch(`${door}/get_state?job_id=${id}`)).json()) as Answer;
    const succeeded = answer.task === "ingest metadata" && Math.trunc(Number.parseFloat(answer.task_percent)) === 100;
    return answer.state !== "OK" || succeeded;
  });
  assert.ok(answer);
  return answer;
}

for (const place of ["below /doors", "on a port of its own"] as const)
  describe(`the Pacifica ingest door ${place}`, () => {
    let server: RealServer;
    let door: string;
    before(async () => {
      server = await realServer();
      door = place === "below /doors" ? `${server.url}/doors/pacifica-ingest` : await server.door("pacifica-ingest");
    });
    after(() => server.stop());

    const upload = (body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, path = "/upload") =>
      fetch(door + path, { method: "POST", body, headers: { "content-type": "application/octet-stream", ...headers } });

    test("GET / says that it is up, and HEAD likewise", async () => {
      const response = await fetch(`${door}/`);
      assert.deepEqual(await response.json(), { message: "Pacifica Ingest Up and Running" });
      assert.equal(response.headers.get("allow"), "GET, HEAD");
      assert.equal(response.headers.get("content-type"), "application/json");
      assert.equal((await fetch(`${door}/`, { method: "HEAD" })).status, 200);
    });

    test("an upload is 200 with the job, which a polling client sees succeed", async () => {
      const response = await upload(tar);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("allow"), "POST");
      const job = (await response.json()) as Answer;
      assert.deepEqual(Object.keys(job).sort(), KEYS);
      assert.equal(typeof job.job_id, "number");
      assert.equal(typeof job.task_percent, "string");
      assert.match(job.created, TIME);
      assert.match(job.updated, TIME);

      const done = await pollAsTheClientDoes(door, job.job_id);
      assert.deepEqual(
        [done.state, done.task, done.task_percent, done.complete, done.exception],
        ["OK", "ingest metadata", "100", true, ""],
      );
      assert.equal((await server.deps.catalogue.transaction(job.job_id as never))?.owner, "root");
    });

    test("POST /ingest, as the documentation has it, does the same", async () => {
      const { job_id } = (await (await upload(tar, {}, "/ingest")).json()) as Answer;
      assert.equal((await pollAsTheClientDoes(door, job_id)).state, "OK");
    });

    test("the tar is a tar whatever it is called: form data, multipart, nonsense, curl's default", async () => {
      for (const type of [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json",
        "tar",
        "text/html;",
      ]) {
        const { job_id } = (await (await upload(tar, { "content-type": type })).json()) as Answer;
        assert.equal((await pollAsTheClientDoes(door, job_id)).state, "OK", type);
      }
      const file = join(server.root, "bundle.tar");
      await writeFile(file, tar);
      for (const how of [
        ["--data-binary", `@${file}`],
        ["-T", file, "-X", "POST"],
        ["-H", "Transfer-Encoding: chunked", "--data-binary", `@${file}`],
      ]) {
        const { stdout } = await run("curl", ["-sS", ...how, `${door}/upload`]);
        const { job_id } = JSON.parse(stdout) as Answer;
        assert.equal((await pollAsTheClientDoes(door, job_id)).state, "OK", how.join(" "));
      }
    });

    test("garbage is accepted with 200 and has failed with the original's words", async () => {
      const response = await upload(new TextEncoder().encode("garbage".repeat(500)));
      assert.equal(response.status, 200);
      const job = await pollAsTheClientDoes(door, ((await response.json()) as Answer).job_id);
      assert.deepEqual(
        [job.state, job.task, job.task_percent, job.complete, job.exception],
        ["FAILED", "open tar", "0", true, "Failed to open tarfile."],
      );
    });

    test("a wrong digest fails in `ingest files`, naming the file", async () => {
      const { job_id } = (await (
        await upload(bundle({ "a.txt": "hello" }, { hashsum: "0".repeat(40) }))
      ).json()) as Answer;
      const job = await pollAsTheClientDoes(door, job_id);
      assert.deepEqual([job.state, job.task, job.task_percent, job.complete], ["FAILED", "ingest files", "0", true]);
      assert.match(job.exception, /digest[\s\S]*data\/a\.txt/);
    });

    test("a move is 200 with the job and ends like an upload", async () => {
      const source = join(server.sources, "moved.txt");
      await writeFile(source, "moved");
      const file = { destinationTable: "Files", name: "moved.txt", subdir: "data", source, size: 5, hashtype: "sha1" };
      const body = JSON.stringify([...TRANSACTION, { ...file, hashsum: sum("sha1sum", source) }]);
      const response = await fetch(`${door}/move`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      assert.equal(response.status, 200);
      const job = (await response.json()) as Answer;
      assert.deepEqual(Object.keys(job).sort(), KEYS);
      const done = await pollAsTheClientDoes(door, job.job_id);
      assert.deepEqual([done.state, done.complete, done.exception], ["OK", true, ""]);
    });

    test("errors have CherryPy's four keys and no traceback", async () => {
      const ask = async (method: string, path: string, init: RequestInit = {}) => {
        const response = await fetch(door + path, { method, ...init });
        const body = (await response.json()) as Record<string, string>;
        assert.deepEqual(Object.keys(body).sort(), ["message", "status", "traceback", "version"]);
        assert.equal(body.traceback, "");
        assert.equal(response.headers.get("content-type"), "application/json");
        assert.ok(body.status?.startsWith(`${response.status} `));
        return [body.status, body.message, response.headers.get("allow")];
      };
      const unexpected =
        "The server encountered an unexpected condition which prevented it from fulfilling the request.";
      const json = { headers: { "content-type": "application/json" } };
      const cases: readonly (readonly [Parameters<typeof ask>, readonly (string | null)[]])[] = [
        [
          ["GET", "/get_state?job_id=12345"],
          ["404 Not Found", "job ID 12345 does not exist.", "GET, HEAD"],
        ],
        [
          ["GET", "/get_state?job_id=99999999999999999999"],
          ["404 Not Found", "job ID 99999999999999999999 does not exist.", "GET, HEAD"],
        ],
        [
          ["GET", "/get_state?job_id=abc"],
          ["500 Internal Server Error", unexpected, "GET, HEAD"],
        ],
        [
          ["GET", "/get_state"],
          ["500 Internal Server Error", unexpected, "GET, HEAD"],
        ],
        [
          ["GET", "/get_state?job_id=1&job_id=2"],
          ["500 Internal Server Error", unexpected, "GET, HEAD"],
        ],
        [
          ["GET", "/nothing"],
          ["404 Not Found", "Nothing matches the given URI", null],
        ],
        [
          ["GET", "/get_state/1"],
          ["404 Not Found", "Nothing matches the given URI", null],
        ],
        [
          ["GET", "/upload"],
          ["405 Method Not Allowed", "Specified method is invalid for this resource", "POST"],
        ],
        [
          ["PUT", "/"],
          ["405 Method Not Allowed", "Specified method is invalid for this resource", "GET, HEAD"],
        ],
        [
          ["DELETE", "/get_state?job_id=1"],
          ["405 Method Not Allowed", "Specified method is invalid for this resource", "GET, HEAD"],
        ],
        [
          ["POST", "/move", { body: "[", ...json }],
          ["400 Bad Request", "Invalid JSON document", "POST"],
        ],
        [
          ["POST", "/move", { body: "[]", headers: { "content-type": "text/plain" } }],
          [
            "415 Unsupported Media Type",
            "Expected an entity of content type application/json, text/javascript",
            "POST",
          ],
        ],
      ];
      for (const [question, answer] of cases) assert.deepEqual(await ask(...question), answer, question.join(" "));
    });

    test("an id that cannot be one is answered with 200 and a record that says so", async () => {
      for (const id of ["-1", "0", "-77"]) {
        const response = await fetch(`${door}/get_state?job_id=${id}`);
        assert.equal(response.status, 200);
        const { created, updated, ...record } = (await response.json()) as Answer;
        assert.match(created, TIME);
        assert.match(updated, TIME);
        assert.deepEqual(record, {
          job_id: null,
          state: "DATA_ACCESS_ERROR",
          task: "read_state",
          task_percent: "0",
          complete: false,
          exception: "",
        });
      }
    });

    test("text/javascript is JSON to /move, and a body without a length is asked for one", async () => {
      const response = await fetch(`${door}/move`, {
        method: "POST",
        body: "[",
        headers: { "content-type": "text/javascript; charset=utf-8" },
      });
      assert.equal(response.status, 400);
      const path = new URL(door).pathname.replace(/\/$/, "");
      const to = { ...server, url: door };
      assert.match(
        await raw(to, `POST ${path}/upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
        /^HTTP\/1\.1 411 /,
      );
    });

    test("jobs of other kinds are not shown", async () => {
      const verify = await server.deps.jobs.submit({ kind: "verify", lane: "slow", owner: "local", input: {} });
      assert.equal((await fetch(`${door}/get_state?job_id=${verify.id}`)).status, 404);
    });

    test("what the native API sees is the same job", async () => {
      const { job_id } = (await (await upload(tar)).json()) as Answer;
      const job = (await (await fetch(`${server.url}/api/v1/jobs/${job_id}`)).json()) as { owner: string };
      assert.equal(job.owner, "root");
    });
  });

describe("who comes through the Pacifica door", () => {
  test("is the trusted proxy's user, and sees their own jobs only", async () => {
    const server = await realServer({ trustedProxies: ["127.0.0.1"], loopback: false });
    try {
      const door = await server.door("pacifica-ingest");
      const as = (name: string) => ({ "x-http-authed-user": name });
      const response = await fetch(`${door}/upload`, { method: "POST", body: tar, headers: as("ada") });
      const { job_id } = (await response.json()) as Answer;
      const state = (headers: Record<string, string>) => fetch(`${door}/get_state?job_id=${job_id}`, { headers });
      assert.equal((await state(as("ada"))).status, 200);
      const other = await state(as("bob"));
      assert.deepEqual(
        [other.status, ((await other.json()) as { message: string }).message],
        [404, `job ID ${job_id} does not exist.`],
      );
      const nobody = await state({});
      assert.equal(nobody.status, 401);
      assert.deepEqual(Object.keys((await nobody.json()) as object).sort(), [
        "message",
        "status",
        "traceback",
        "version",
      ]);
      assert.equal((await fetch(`${door}/`)).status, 200);
    } finally {
      await server.stop();
    }
  });

  test("is a token's owner where there is no such proxy, and the configured user on an open server", async () => {
    const server = await realServer({ defaultUser: "pacifica" });
    try {
      const door = `${server.url}/doors/pacifica-ingest`;
      const open = await fetch(`${door}/upload`, {
        method: "POST",
        body: tar,
        headers: { "x-http-authed-user": "eve" },
      });
      const { job_id } = (await open.json()) as Answer;
      assert.equal((await server.deps.jobs.get(jobId(job_id))).owner, "pacifica");

      const grace = await server.token("grace", "deposit", "read");
      const closed = await fetch(`${door}/upload`, { method: "POST", body: tar });
      assert.equal(closed.status, 401);
      const known = await fetch(`${door}/upload`, { method: "POST", body: tar, headers: grace });
      assert.equal((await server.deps.jobs.get(jobId(((await known.json()) as Answer).job_id))).owner, "grace");
    } finally {
      await server.stop();
    }
  });
});

describe("a job in Pacifica's words", () => {
  const job = (more: Partial<Job>): Job => ({
    id: jobId(7),
    kind: "ingest",
    lane: "fast",
    state: "running",
    owner: "root",
    priority: 0,
    tasks: [],
    attempts: 1,
    error: null,
    warnings: [],
    input: {},
    checkpoint: {},
    result: {},
    cancelRequested: false,
    idempotencyKey: null,
    fedUntil: null,
    createdAt: Date.UTC(2020, 8, 13, 12, 26, 40),
    updatedAt: Date.UTC(2020, 8, 13, 12, 26, 41, 250),
    startedAt: null,
    finishedAt: null,
    ...more,
  });
  const at = (name: string, percent = 0) => ({ tasks: [{ name, percent, startedAt: 0 }] });
  const shown = (more: Partial<Job>) => {
    const { state, task, task_percent, complete, exception } = pacificaJob(job(more));
    return [state, task, task_percent, complete, exception];
  };
  const error = (code: Code, details: Details = {}) => ({ error: errorRecord(new AppError(code, details)) });

  test("times are UTC with a blank, and with six digits of a second unless they are all zero", () => {
    const { created, updated, job_id } = pacificaJob(job({}));
    assert.deepEqual([created, updated, job_id], ["2020-09-13 12:26:40", "2020-09-13 12:26:41.250000", 7]);
  });

  test("each of our tasks is one of the original's", () => {
    const words = {
      receive: "UPLOADING",
      open: "open tar",
      metadata: "load metadata",
      policy: "Policy Validation",
      files: "ingest files",
      catalogue: "ingest metadata",
    };
    for (const [ours, theirs] of Object.entries(words))
      assert.deepEqual(shown(at(ours, 12.5)), ["OK", theirs, "12.5", false, ""]);
    assert.deepEqual(shown({ kind: "move", ...at("files", 100) }), ["OK", "move files", "100", false, ""]);
    assert.deepEqual(shown({ state: "queued" }), ["OK", "UPLOADING", "0", false, ""]);
    assert.deepEqual(shown({ state: "queued", ...at("receive", 100) }), ["OK", "UPLOADING", "100", false, ""]);
  });

  test("the sign of success is given with success, not before", () => {
    assert.deepEqual(shown(at("catalogue", 100)), ["OK", "ingest metadata", "99", false, ""]);
    assert.deepEqual(shown({ state: "succeeded", ...at("catalogue", 100) }), [
      "OK",
      "ingest metadata",
      "100",
      true,
      "",
    ]);
  });

  test("failures and cancellations are FAILED where they happened, every trouble in its own line", () => {
    for (const code of [
      "bundle_not_tar",
      "bundle_compressed",
      "bundle_truncated",
      "bundle_header_corrupt",
      "bundle_header_too_large",
    ] as const)
      assert.deepEqual(shown({ state: "failed", ...at("receive", 50), ...error(code) }), [
        "FAILED",
        "open tar",
        "0",
        true,
        "Failed to open tarfile.",
      ]);
    const problems = [
      { code: "file_missing", message: "first" },
      { code: "file_size_mismatch", message: "second" },
    ];
    const [state, task, , , exception] = shown({
      state: "failed",
      ...at("files", 50),
      ...error("bundle_refused", { problems }),
    });
    assert.deepEqual([state, task], ["FAILED", "ingest files"]);
    assert.deepEqual(String(exception).split("\n").slice(1), ["first", "second"]);
    assert.deepEqual(shown({ state: "cancelled", ...at("policy"), ...error("job_cancelled") }).slice(0, 4), [
      "FAILED",
      "Policy Validation",
      "0",
      true,
    ]);
  });
});
