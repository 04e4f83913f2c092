import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";

/* Elasticsearch's Python clients of three generations against the door on a port of its own, as scripts use them. */

const run = promisify(execFile);

/** Each generation in an environment of its own, as they share a name. */
const CLIENTS = [
  ["7", "python-elasticsearch-7", "PyPI package elasticsearch 7.17.12"],
  ["8", "python-elasticsearch-8", "PyPI package elasticsearch 8.19.3"],
  ["9", "python-elasticsearch-9", "PyPI package elasticsearch 9.4.1"],
] as const;

/**
 * A request database as a course on preservation teaches it: an index with keywords and a date, filled from a folder, asked
 * for a status, and moved on by name and status, with an update whose members are called properties. The calls are made
 * in the form that each client documents: a body until 7, words of their own since 8.
 */
const SCRIPT = `
import json, os, sys
import elasticsearch
from elasticsearch import Elasticsearch
url, folder, index = sys.argv[1:]
old = elasticsearch.__version__[0] < 8
es = Elasticsearch([url])
assert es.ping(), "the server does not answer"
said = {"client": elasticsearch.__version__[0], "tagline": es.info()["tagline"]}

MAPPINGS = {"properties": {"filepath": {"type": "keyword"}, "name": {"type": "keyword"},
                           "status": {"type": "keyword"}, "timestamp": {"type": "date"}}}
def create_index():
    if es.indices.exists(index=index):
        return False
    es.indices.create(index=index, body={"mappings": MAPPINGS}) if old else es.indices.create(index=index, mappings=MAPPINGS)
    return True
said["created"] = [create_index(), create_index()]

for number, name in enumerate(sorted(os.listdir(folder))):
    record = {"filepath": os.path.join(folder, name), "name": name,
              "status": ["Complete", "In Progress", "Transcoding"][number % 3], "timestamp": "2026-11-01 10:00:%02d" % number}
    es.index(index=index, body=record) if old else es.index(index=index, document=record)
es.indices.refresh(index=index)

def search(query, size):
    found = es.search(index=index, body={"query": query}, size=size) if old else es.search(index=index, query=query, size=size)
    # By position, with the id behind.
    return [tuple(hit["_source"].values()) + (hit["_id"],) for hit in found["hits"]["hits"]]
def search_status(status):
    return search({"term": {"status": {"value": status}}}, 200)
said["in progress"] = [row[1] for row in search_status("In Progress")]

def update_status(name, old_status, new_status):
    rows = [row for row in search_status(old_status) if row[1] == name]
    for row in rows:
        if old:
            es.update(index=index, id=row[-1], body={"properties": {"status": new_status}})
        else:
            es.perform_request("POST", f"/{index}/_update/{row[-1]}", body={"properties": {"status": new_status}},
                headers={"accept": "application/json", "content-type": "application/json"})
    return len(rows)
said["updated"] = update_status("film_01.mov", "In Progress", "Complete")
said["complete"] = [row[1] for row in search_status("Complete")]
row = search_status("Complete")[0]
said["columns"] = [type(value).__name__ for value in row]

# What production asks, and how it moves a request on.
es.update(index=index, id=row[-1], body={"doc": {"status": "Downloading"}}) if old else \\
    es.update(index=index, id=row[-1], doc={"status": "Downloading"})
said["by id"] = [found[2] for found in search({"term": {"_id": row[-1]}}, 1)]
said["recent"] = len(search({"range": {"timestamp": {"gte": "2026-11-01||-14d/d", "lte": "2026-11-01||/d"}}}, 500))
said["count"] = es.count(index=index)["count"]
said["deleted"] = es.delete(index=index, id=row[-1])["result"]

from elasticsearch import helpers
actions = [{"_index": index, "_id": f"bulk-{n}", "_source": {"name": f"b{n}", "status": "Requested"}} for n in range(1200)]
said["bulk"] = list(helpers.bulk(es, actions))
said["exists"] = [bool(es.exists(index=index, id="bulk-7")), bool(es.exists(index=index, id="bulk-none"))]
try:
    es.get(index=index, id="bulk-none")
except elasticsearch.NotFoundError as error:
    said["missing"] = type(error).__name__
try:
    es.index(index=index, id="bulk-1", body={}, op_type="create") if old else es.create(index=index, id="bulk-1", document={})
except elasticsearch.ConflictError as error:
    said["conflict"] = type(error).__name__
try:
    es.search(index="no-such-index")
except elasticsearch.NotFoundError as error:
    said["no index"] = error.error if old else error.body["error"]["type"]
es.indices.delete(index=index)
print(json.dumps(said))
`;

describe("a request script on the elasticsearch door,", () => {
  let server: ServerProcess;
  let address: string;
  let folder: string;
  before(async () => {
    const port = await lastingPort();
    address = `http://127.0.0.1:${port}`;
    server = await startServer({ env: { LONGSHORE_DOORS: `elasticsearch:${port}` } });
    folder = mkdtempSync(join(tmpdir(), "longshore-elastic-"));
    mkdirSync(join(folder, "film_scan"));
    for (let n = 0; n < 6; n++) writeFileSync(join(folder, "film_scan", `film_0${n}.mov`), "");
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  for (const [generation, python, origin] of CLIENTS) {
    const missing = without(
      `Elasticsearch's Python client of ${generation}.x`,
      [python, "-c", "import elasticsearch"],
      origin,
    );
    test(`with the Python client of ${generation}.x, runs as it is`, { skip: missing }, async () => {
      const words = ["-W", "ignore", "-c", SCRIPT, address, join(folder, "film_scan"), `file_metadata_${generation}`];
      const { stdout } = await run(python, words);
      assert.deepEqual(JSON.parse(stdout), {
        client: Number(generation),
        tagline: "You Know, for Search",
        created: [true, false],
        "in progress": ["film_01.mov", "film_04.mov"],
        updated: 1,
        complete: ["film_00.mov", "film_01.mov", "film_03.mov"],
        columns: ["str", "str", "str", "str", "str"],
        "by id": ["Downloading"],
        recent: 6,
        count: 6,
        deleted: "deleted",
        bulk: [1200, []],
        exists: [true, false],
        missing: "NotFoundError",
        conflict: "ConflictError",
        "no index": "index_not_found_exception",
      });
    });
  }
});
