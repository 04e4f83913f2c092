import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";

/* Xtract's own Python SDK against the door, at /doors/xtract and at a port of its own. */

const run = promisify(execFile);
const noXtract = without(
  "Xtract's SDK",
  ["python3", "-c", "import xtract_sdk.client, xtract_sdk.endpoint"],
  "PyPI package xtract-sdk 0.0.7a11",
);

/**
 * Stands in for the login at Globus, which a test cannot do: every service's token is the one in the environment. Nothing
 * of the SDK is touched.
 */
const LOGIN = `
import os, types, mdf_toolbox
token = types.SimpleNamespace(access_token=os.environ["TOKEN"])
client = types.SimpleNamespace(access_token=token.access_token, authorizer=token)
mdf_toolbox.login = lambda services, **options: {service: client for service in services}
`;

/** What a user of the SDK does, with the two base URLs set; prints what it was given. */
const USER = `
import json, sys, time
from xtract_sdk.client import XtractClient, xtract_client
from xtract_sdk.endpoint import XtractEndpoint
url, records, *folders = sys.argv[1:]
xtr = XtractClient(auth_scopes=["profile"])
xtr.base_url = xtr.extract_url = xtract_client.XTRACT_SERVICE = url
endpoints = [XtractEndpoint(repo_type="GLOBUS", globus_ep_id="aaaa-0000-3333", funcx_ep_id="bbbb-0000", dirs=[folder],
                            grouper="file_is_group", local_mdata_path=records) for folder in folders]
said = {"containers": xtr.register_containers(endpoints[0], container_path="/home/user/containers")}
deadline = time.time() + 60
stdout, sys.stdout = sys.stdout, sys.stderr
xtr.crawl_and_wait(endpoints)
sys.stdout = stdout
said["crawls"] = len(xtr.crawl_ids)
said["statuses"] = xtr.get_crawl_status()
said["mapped"] = [xtr.cid_to_xep_map[status["crawl_id"]].dirs for status in said["statuses"]]
said["flushed"] = []
while time.time() < deadline:
    pages = [json.loads(page) for page in xtr.flush_crawl_metadata(first_n_files=2)]
    said["flushed"].append(pages)
    if all(page["queue_empty"] for page in pages):
        break
said["xtract"] = [answer.status_code for answer in xtr.xtract()]
while time.time() < deadline:
    said["extracted"] = xtr.get_xtract_status()
    if all(status["xtract_status"] not in ("INIT", "EXTRACTING") for status in said["extracted"]):
        break
    time.sleep(0.1)
said["unknown"] = xtr.get_crawl_status(crawl_ids=["00000000-0000-4000-8000-000000000000"])
refused = XtractClient()
refused.base_url = url
said["refused"] = refused.crawl([XtractEndpoint("globus", "a", ["/etc"], "file_is_group", records)])
print(json.dumps(said))
`;

interface Flushed {
  readonly num_files: number;
  readonly file_ls: readonly { readonly path: string; readonly size: number; readonly metadata: unknown }[];
}

interface Said {
  readonly containers: string;
  readonly crawls: number;
  readonly statuses: readonly { readonly status: string; readonly message: string; readonly data: object }[];
  readonly mapped: readonly (readonly string[])[];
  readonly flushed: readonly (readonly Flushed[])[];
  readonly xtract: readonly number[];
  readonly extracted: readonly {
    readonly xtract_status: string;
    readonly xtract_counters: {
      readonly cumu_pulled: number;
      readonly cumu_to_schedule: number;
      readonly flagged_unknown: number;
      readonly fx: { readonly success: number; readonly failed: number; readonly pending: number };
    };
  }[];
  readonly unknown: readonly { readonly status: string; readonly message: string }[];
  readonly refused: readonly null[];
}

const FILES: Readonly<Record<string, string>> = {
  "one/table.csv": "a,b\n1,2\n3,4\n",
  "one/deep/notes.TXT": "metadata extraction workflow",
  "one/deep/.hidden": "x",
  "two/data.json": '{"x": 1}',
};

describe("Xtract's Python SDK", { skip: noXtract }, () => {
  let folder: string;
  before(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "longshore-xtract-")));
    for (const [path, content] of Object.entries(FILES)) {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    mkdirSync(join(folder, "python"));
    writeFileSync(join(folder, "python/sitecustomize.py"), LOGIN);
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Does all of it, as the user of a token. */
  async function use(url: string, token: string, records: string): Promise<Said> {
    const env = { ...process.env, TOKEN: token, PYTHONPATH: join(folder, "python") };
    const words = [url, records, join(folder, "one"), join(folder, "two")];
    const { stdout } = await run("python3", ["-c", USER, ...words], { env, cwd: folder });
    return JSON.parse(stdout) as Said;
  }

  function check(said: Said, records: string, unknown: string): void {
    assert.equal(said.containers, "Register containers status (should be 200): 200");
    assert.equal(said.crawls, 2);
    assert.deepEqual(said.mapped, [[join(folder, "one")], [join(folder, "two")]]);
    const bytes = (top: string) =>
      Object.entries(FILES).reduce((sum, [path, text]) => sum + (path.startsWith(top) ? text.length : 0), 0);
    assert.deepEqual(
      said.statuses.map(({ status, message, data }) => [status, message, data]),
      [
        ["complete", "OK", { ...found(3, bytes("one")), directories_crawled: 2 }],
        ["complete", "OK", { ...found(1, bytes("two")), directories_crawled: 1 }],
      ],
    );
    const files = said.flushed.flat().flatMap(({ file_ls }) => file_ls);
    assert.deepEqual(Object.fromEntries(files.map(({ path, metadata }) => [path, metadata])), {
      [join(folder, "one/table.csv")]: physical(12, "csv"),
      [join(folder, "one/deep/notes.TXT")]: physical(28, "TXT"),
      [join(folder, "one/deep/.hidden")]: physical(1, "hidden"),
      [join(folder, "two/data.json")]: physical(8, "json"),
    });
    assert.equal(files.length, 4, "each file once");
    assert.ok(said.flushed.flat().every(({ num_files, file_ls }) => num_files <= 2 && num_files === file_ls.length));
    assert.deepEqual(said.xtract, [200, 200]);
    for (const { xtract_status, xtract_counters: counters } of said.extracted) {
      assert.equal(xtract_status, "COMPLETED");
      const { success, failed, pending } = counters.fx;
      assert.equal(counters.cumu_to_schedule, success + failed + pending + counters.flagged_unknown);
      assert.ok(success > 0 && failed === 0 && pending === 0, JSON.stringify(counters));
    }
    assert.deepEqual(
      said.extracted.map(({ xtract_counters }) => xtract_counters.cumu_pulled),
      [3, 1],
    );
    const written = readdirSync(records, { recursive: true }).map(String);
    const families = written.filter((name) => /[0-9a-f-]{36}\.json$/.test(name));
    assert.equal(families.length, 4, written.join(", "));
    const kept = families.map((name) => JSON.parse(readFileSync(join(records, name), "utf8")));
    assert.ok(kept.some((family) => JSON.stringify(family).includes("table.csv")));
    assert.deepEqual(
      said.unknown.map(({ status, message }) => [status, message]),
      [["ERROR", unknown]],
    );
    assert.deepEqual(said.refused, [null], "what may not be crawled");
  }

  const found = (files: number, bytes: number) => ({
    files_crawled: files,
    groups_crawled: files,
    bytes_crawled: bytes,
    errors: 0,
  });
  const physical = (size: number, extension: string) => ({ physical: { size, extension, path_type: "globus" } });

  test("crawls, flushes and extracts folders of an open server, whatever its tokens are", async () => {
    const records = join(folder, "records-open");
    const server = await startServer({ env: { LONGSHORE_CRAWL_ROOTS: folder, LONGSHORE_RECORD_ROOTS: records } });
    try {
      check(await use(`${server.url}/doors/xtract/`, "AgOfGlobus", records), records, "crawl_id not found!");
    } finally {
      await server.stop();
    }
  });

  test("does so with a token, on a server that wants one, at the door's own port", async () => {
    const records = join(folder, "records-closed");
    const port = await lastingPort();
    const server = await startServer({
      env: {
        LONGSHORE_CRAWL_ROOTS: folder,
        LONGSHORE_RECORD_ROOTS: records,
        LONGSHORE_DOORS: `xtract:${port}`,
      },
    });
    try {
      const token = await tokenOf(server, ["read", "crawl"]);
      check(await use(`http://127.0.0.1:${port}/`, token, records), records, "A bearer token is required.");
    } finally {
      await server.stop();
    }
  });
});

/** The first token, which closes an open server. */
async function tokenOf({ url }: ServerProcess, scopes: readonly string[]): Promise<string> {
  const answer = await fetch(`${url}/api/v1/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ owner: "ada", scopes }),
  });
  assert.equal(answer.status, 201);
  return ((await answer.json()) as { readonly token: string }).token;
}
