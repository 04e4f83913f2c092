import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

type Answer = Readonly<Record<string, unknown>>;

const UNKNOWN = "00000000-0000-4000-8000-000000000000";
const NO_COUNTERS = {
  cumu_pulled: 0,
  cumu_to_schedule: 0,
  cumu_scheduled: 0,
  cumu_orch_enter: 0,
  flagged_unknown: 0,
  fx: { success: 0, failed: 0, pending: 0 },
};

/** What Python's `requests.get(url, json=…)` sends: `fetch` refuses to send a body with GET. */
function ask(method: string, url: string, document: unknown, headers: Readonly<Record<string, string>> = {}) {
  return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const sent = typeof document === "string" ? document : JSON.stringify(document);
    const asking = request(url, {
      method,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(sent), ...headers },
    });
    asking.on("error", reject);
    asking.on("response", (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, text: body }), reject);
    });
    asking.end(sent);
  });
}

/** An answer of the door: 200 and JSON, whatever it says. */
async function told(method: string, url: string, document: unknown = {}): Promise<Answer> {
  const { status, text } = await ask(method, url, document);
  assert.equal(status, 200, text);
  return JSON.parse(text) as Answer;
}

describe("the door xtract", () => {
  let server: ServerProcess;
  let folder: string;
  let door: string;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-xtract-door-")));
    await mkdir(join(folder, "collection/ein Ordner"), { recursive: true });
    await writeFile(join(folder, "collection/ein Ordner/a.b.CSV"), "x,y\n1,2\n");
    await writeFile(join(folder, "collection/ein Ordner/README"), "words");
    const port = await lastingPort();
    server = await startServer({
      env: {
        LONGSHORE_CRAWL_ROOTS: folder,
        LONGSHORE_RECORD_ROOTS: join(folder, "records"),
        LONGSHORE_GLOBUS_COLLECTION: "3f1c2a90-0000-4000-8000-00000000abcd",
        LONGSHORE_GLOBUS_FOLDER: join(folder, "collection"),
        LONGSHORE_DOORS: `xtract:${port}`,
      },
    });
    door = `http://127.0.0.1:${port}`;
    await until("the door is open", () =>
      fetch(door).then(
        () => true,
        () => false,
      ),
    );
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const endpoint = (more: object = {}) => ({
    repo_type: "GLOBUS",
    eid: "some-collection",
    dir_paths: [join(folder, "collection/ein Ordner")],
    grouper: "file_is_group",
    ...more,
  });
  const crawl = (...endpoints: object[]) => told("POST", `${door}/crawl`, { endpoints });

  async function completed(id: unknown, tokenless = door): Promise<Answer> {
    let status: Answer = {};
    await until("the crawl has ended", async () => {
      status = await told("GET", `${tokenless}/get_crawl_status`, { crawl_id: id });
      return status.crawl_status !== "initializing" && status.crawl_status !== "crawling";
    });
    return status;
  }

  test("answers wherever a client looks whether it is there", async () => {
    for (const url of [`${door}/`, `${door}/test`, `${server.url}/doors/xtract/`, `${server.url}/doors/xtract/test`])
      for (const method of ["GET", "POST"]) {
        const { status, code, message } = await told(method, url);
        assert.deepEqual([status, code], ["FUNCTIONAL", 200]);
        assert.match(String(message), /Welcome.*200 \(OK\)/);
      }
  });

  test("crawls folders of this machine, and gives each file once, by GET with a document and by POST", async () => {
    const { crawl_id: id, status } = await crawl(endpoint(), endpoint({ repo_type: "local", grouper: "extension" }));
    assert.equal(status, "200 (OK)");
    assert.deepEqual(await completed(id), {
      crawl_id: id,
      crawl_status: "complete",
      files_crawled: 4,
      bytes_crawled: 26,
      groups_crawled: 4,
      directories_crawled: 2,
      errors: 0,
    });
    assert.deepEqual(await told("GET", `${door}/heartbeat`, { crawl_id: id }), { crawl_id: id, status: "STOP" });

    const first = await told("GET", `${door}/fetch_crawl_mdata`, { crawl_id: id, n: 1 });
    const second = await told("POST", `${server.url}/doors/xtract/fetch_mdata`, { crawl_id: id, next_n_files: 1 });
    const rest = await told("GET", `${door}/fetch_crawl_mdata`, { crawl_id: id });
    assert.deepEqual([first.num_files, second.num_files, rest.num_files], [1, 1, 2]);
    assert.deepEqual([first.queue_empty, rest.queue_empty], [false, true]);
    const files = [first, second, rest].flatMap(({ file_ls }) => file_ls as readonly Answer[]);
    for (const file of files)
      assert.deepEqual(Object.keys(file).sort(), ["crawl_timestamp", "file_id", "metadata", "path", "size"]);
    assert.equal(new Set(files.map(({ file_id }) => file_id)).size, 4);
    const of = (name: string) => files.find(({ path }) => path === `/ein Ordner/${name}`);
    assert.deepEqual(of("a.b.CSV")?.metadata, { physical: { size: 8, extension: "CSV", path_type: "globus" } });
    assert.deepEqual(of("README")?.metadata, { physical: { size: 5, extension: null, path_type: "globus" } });
  });

  test("the server's own collection shows its folder as the top", async () => {
    const eid = "3F1C2A90-0000-4000-8000-00000000ABCD";
    const { crawl_id: id } = await crawl(endpoint({ eid, dir_paths: ["/ein Ordner/"] }));
    assert.equal((await completed(id)).files_crawled, 2);
    const { file_ls } = await told("GET", `${door}/fetch_crawl_mdata`, { crawl_id: id, first_n_files: 10 });
    const paths = (file_ls as readonly Answer[]).map(({ path }) => path).sort();
    assert.deepEqual(paths, ["/ein Ordner/README", "/ein Ordner/a.b.CSV"]);
    const { error, message } = await crawl(endpoint({ eid, dir_paths: ["/nicht da"] }));
    assert.equal(error, true);
    assert.match(String(message), /it is not there/);
  });

  test("extracts into a folder of records, and counts what adds up", async () => {
    const { crawl_id: id } = await crawl(endpoint());
    assert.deepEqual(
      await told("POST", `${door}/extract`, { crawl_id: id, local_mdata_path: join(folder, "records") }),
      {
        status: 200,
        message: "started extraction!",
        crawl_id: id,
      },
    );
    let status: Answer = {};
    await until("the extraction has ended", async () => {
      status = await told("GET", `${door}/get_extract_status`, { crawl_id: id });
      return status.status !== "INIT" && status.status !== "EXTRACTING";
    });
    assert.equal(status.status, "COMPLETED");
    const { fx, ...counters } = status.counters as typeof NO_COUNTERS;
    assert.equal(counters.cumu_pulled, 2);
    assert.equal(counters.cumu_to_schedule, fx.success + fx.failed + fx.pending + counters.flagged_unknown);
    assert.ok(fx.success >= 2);
  });

  test("says what is wrong in its document, with status 200, and never with a page of its own", async () => {
    const unknown = { crawl_id: UNKNOWN, error: "crawl_id not found!", code: "crawl_unknown" };
    assert.deepEqual(await told("GET", `${door}/get_crawl_status`, { crawl_id: UNKNOWN }), unknown);
    assert.deepEqual(await told("GET", `${door}/get_crawl_status`, { crawl_id: null }), { ...unknown, crawl_id: null });
    assert.deepEqual(await told("GET", `${door}/get_crawl_status`, { crawl_id: "'; --" }), {
      ...unknown,
      crawl_id: "'; --",
    });
    assert.deepEqual(await told("GET", `${door}/fetch_crawl_mdata`, { crawl_id: UNKNOWN }), {
      ...unknown,
      num_files: 0,
      file_ls: [],
      queue_empty: false,
    });
    assert.deepEqual(await told("GET", `${door}/get_extract_status`, { crawl_id: UNKNOWN }), {
      ...unknown,
      status: "ERROR",
      counters: NO_COUNTERS,
    });
    assert.equal((await told("GET", `${door}/heartbeat`, { crawl_id: UNKNOWN })).status, "STOP");
    assert.equal((await told("POST", `${door}/extract`, { crawl_id: UNKNOWN })).status, 404);

    for (const [document, code] of [
      [{ endpoints: [endpoint({ dir_paths: ["/etc"] })] }, "endpoint_refused"],
      [{ endpoints: [endpoint({ repo_type: "GDRIVE" })] }, "request_invalid"],
      [{ endpoints: [endpoint({ grouper: "by_mood" })] }, "request_invalid"],
      [{ endpoints: [endpoint({ dir_paths: [] })] }, "request_invalid"],
      [{ endpoints: "all" }, "request_invalid"],
      ["{", "request_invalid"],
      ["[]", "request_invalid"],
      ["", "request_invalid"],
    ] as const) {
      const answer = await told("POST", `${door}/crawl`, document);
      assert.deepEqual([answer.crawl_id, answer.error, answer.code], [null, true, code], JSON.stringify(answer));
    }
    for (const [method, path, status] of [
      ["GET", "/nowhere", 404],
      ["DELETE", "/crawl", 405],
    ] as const) {
      const answer = await ask(method, `${door}${path}`, {});
      assert.deepEqual([answer.status, JSON.parse(answer.text).status], [status, status]);
    }
  });

  test("a document beyond all bounds is refused", async () => {
    const answer = await told("POST", `${door}/crawl`, { padding: "x".repeat(9 * 1024 ** 2) });
    assert.deepEqual([answer.crawl_id, answer.code], [null, "body_too_large"]);
  });

  test("on a server that wants tokens, one in the document does; the id it gives is good for looking", async () => {
    const { crawl_id: earlier } = await crawl(endpoint());
    await completed(earlier);
    const token = async (owner: string, scopes: readonly string[], headers: Readonly<Record<string, string>> = {}) => {
      const answer = await ask("POST", `${server.url}/api/v1/tokens`, { owner, scopes }, headers);
      assert.equal(answer.status, 201);
      return String(JSON.parse(answer.text).token);
    };
    // The first closes the server. So this test comes last.
    const root = { authorization: `Bearer ${await token("root", ["admin"])}` };
    const ada = await token("ada", ["read", "crawl"], root);
    const bob = await token("bob", ["read", "crawl"], root);
    const rita = await token("rita", ["read"], root);
    const asked = { endpoints: [endpoint()] };

    assert.equal((await told("POST", `${door}/crawl`, asked)).code, "token_missing");
    const foreign = { Transfer: "AgOfGlobus", Authorization: "Bearer AgOfGlobus", FuncX: "AgOfGlobus" };
    assert.equal((await told("POST", `${door}/crawl`, { ...asked, tokens: foreign })).code, "token_missing");
    assert.equal((await told("POST", `${door}/crawl`, { ...asked, tokens: { Transfer: rita } })).code, "scope_missing");
    assert.equal((await told("GET", `${door}/get_crawl_status`, { crawl_id: earlier })).code, "token_missing");
    assert.equal((await told("POST", `${door}/config_containers`, {})).status, 401);
    const containers = await told("POST", `${door}/config_containers`, { headers: { Authorization: `Bearer ${ada}` } });
    assert.equal(containers.status, 200);

    const tokens = { Transfer: ada, Authorization: `Bearer ${ada}`, FuncX: ada };
    const { crawl_id: id } = await told("POST", `${door}/crawl`, { ...asked, tokens });
    assert.equal((await completed(id)).files_crawled, 2);
    assert.equal((await told("GET", `${door}/fetch_crawl_mdata`, { crawl_id: id })).num_files, 2);
    const [plain = "", ...signature] = String(id).split(".");
    assert.equal(signature.length, 3, String(id));
    for (const forged of [plain, `${UNKNOWN}.${signature.join(".")}`, `${String(id).slice(0, -1)}!`])
      assert.equal((await told("GET", `${door}/get_crawl_status`, { crawl_id: forged })).code, "token_missing", forged);
    const byBob = { crawl_id: plain, tokens: { Authorization: `Bearer ${bob}` } };
    assert.equal((await told("GET", `${door}/get_crawl_status`, byBob)).code, "crawl_unknown");
    assert.equal((await told("POST", `${door}/extract`, { ...byBob, crawl_id: id })).code, "crawl_unknown");
    assert.equal((await told("POST", `${door}/extract`, { crawl_id: id })).status, 401);
    assert.equal((await told("POST", `${door}/extract`, { crawl_id: id, tokens })).status, 200);
    const inHeader = await ask(
      "GET",
      `${door}/get_crawl_status`,
      { crawl_id: plain },
      { authorization: `Bearer ${ada}` },
    );
    assert.equal(JSON.parse(inHeader.text).crawl_status, "complete");
    assert.ok(!server.log().includes(ada), "a token got into the log");
  });
});
