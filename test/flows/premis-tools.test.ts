import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { without } from "../support/tools.ts";

/** Names that come near to ending a document early, or that no XML can hold. */
const NAMES = ["plain.txt", "]]> & <b> \"q\" 'a'.txt", "ü漢\u{1F6A2}.txt", "bell\u0007 tab\t line\n return\r.txt"];

describe("a PREMIS document, read by others", () => {
  let server: ServerProcess;
  let folder: string;
  let file: string;
  let digests: readonly string[];
  before(async () => {
    server = await startServer();
    folder = await mkdtemp(join(tmpdir(), "longshore-premis-"));
    file = join(folder, "premis.xml");
    const client = longshore({ url: server.url });
    const tar = await bundleBlob(Object.fromEntries(NAMES.map((name, n) => [name, `file ${n}`])), []);
    const { id } = await client.jobs.wait((await client.bundles.deposit(tar)).id);
    await client.events.record(id, { type: "replication", software: "a<b/1&2", note: "\u0000 ]]> \ud800 ü" });
    await writeFile(file, await new Response(await client.events.premis(id)).text());
    digests = (await Array.fromAsync(client.transactions.files(id))).map((one) => one.digests.sha512 ?? "");
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  test("Python's parser (expat) finds it well-formed, with every file, event and agent in PREMIS's namespace", {
    skip: without("Python 3", ["python3", "--version"], "python.org"),
  }, () => {
    const script = `
import json, sys, xml.etree.ElementTree as tree
p = "{http://www.loc.gov/premis/v3}"
root = tree.parse(sys.argv[1]).getroot()
digests = [f.findtext(p + "messageDigest") for f in root.iter(p + "fixity")
           if f.findtext(p + "messageDigestAlgorithm") == "sha512"]
print(json.dumps({"root": root.tag, "digests": digests,
  "types": [e.findtext(p + "eventType") for e in root.iter(p + "event")],
  "agents": [a.findtext(p + "agentName") for a in root.iter(p + "agent")],
  "names": [n.text for n in root.iter(p + "originalName")]}))`;
    const read = JSON.parse(execFileSync("python3", ["-c", script, file], { encoding: "utf8" }));
    assert.equal(read.root, "{http://www.loc.gov/premis/v3}premis");
    assert.deepEqual(read.digests, digests);
    assert.deepEqual(read.types, ["message digest calculation", "ingestion", "replication"]);
    assert.deepEqual(read.agents.slice(0, 2), ["local", "Longshore"]);
    assert.equal(read.agents.at(-1), "a<b");
    const spelled = NAMES.map((name) => `data/${name.replace("\u0007", "\\u0007")}`);
    assert.deepEqual([...read.names].sort(), spelled.sort());
  });

  test("xmllint (libxml2) finds it well-formed", {
    skip: without("xmllint", ["xmllint", "--version"], "apt-get install libxml2-utils"),
  }, () => {
    execFileSync("xmllint", ["--noout", file]);
  });
});
