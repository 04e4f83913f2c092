import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { longshore, XtractClient, XtractEndpoint } from "../../src/sdk/index.ts";
import { depositFiles } from "../http/cart-client.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/* What a user of Xtract's SDK does, with ours in its place. Results are as its documentation has them. */

describe("XtractClient", () => {
  let folder: string;
  let records: string;
  let server: ServerProcess;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-xtract-client-")));
    records = join(folder, "records");
    await mkdir(join(folder, "data/more"), { recursive: true });
    await writeFile(join(folder, "data/table.csv"), "a,b\n1,2\n");
    await writeFile(join(folder, "data/more/notes.txt"), "metadata extraction workflow");
    server = await startServer({
      env: { LONGSHORE_CRAWL_ROOTS: join(folder, "data"), LONGSHORE_RECORD_ROOTS: records },
    });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const endpoint = (more: object = {}) =>
    new XtractEndpoint({
      repoType: "globus",
      globusEpId: "aaaa-0000-3333",
      dirs: [join(folder, "data")],
      grouper: "file_is_group",
      ...more,
    });

  test("crawls, flushes, extracts and offloads, by the names of the later generation", async () => {
    const xtr = new XtractClient({ url: `${server.url}/` });
    const one = endpoint({ metadataDirectory: "run-1", funcxEpId: "bbbb-0000-3333" });
    assert.equal(
      await xtr.registerContainers(one, "/home/user/containers"),
      "Register containers status (should be 200): 200",
    );
    const ids = await xtr.crawl([one]);
    assert.deepEqual(xtr.crawlIds, ids);
    assert.equal(xtr.cidToEndpointMap.get(ids[0] ?? ""), one);
    await until("the crawl has ended", async () => (await xtr.getCrawlStatus())[0]?.status === "complete");
    assert.deepEqual(await xtr.getCrawlStatus(), [
      {
        crawl_id: ids[0],
        status: "complete",
        message: "OK",
        data: { files_crawled: 2, bytes_crawled: 36, groups_crawled: 2, directories_crawled: 2, errors: 0 },
      },
    ]);

    const [first] = await xtr.flushCrawlMetadata(ids, { nextNFiles: 1 });
    const [second] = await xtr.flushCrawlMetadata();
    assert.deepEqual([first?.num_files, first?.queue_empty], [1, false]);
    assert.deepEqual([second?.num_files, second?.queue_empty], [1, true]);
    const files = [...(first?.file_ls ?? []), ...(second?.file_ls ?? [])];
    assert.deepEqual(Object.fromEntries(files.map(({ path, metadata }) => [path, metadata])), {
      [join(folder, "data/table.csv")]: { physical: { size: 8, extension: "csv", path_type: "globus" } },
      [join(folder, "data/more/notes.txt")]: { physical: { size: 28, extension: "txt", path_type: "globus" } },
    });

    assert.deepEqual(await xtr.xtract(), [200]);
    await until("it is extracted", async () => (await xtr.getXtractStatus())[0]?.xtract_status === "COMPLETED");
    const [status] = await xtr.getXtractStatus();
    const { fx, ...counters } = status?.xtract_counters ?? assert.fail("no counters");
    assert.equal(counters.cumu_pulled, 2);
    assert.equal(counters.cumu_to_schedule, fx.success + fx.failed + fx.pending + counters.flagged_unknown);
    const written = (await readdir(join(records, "run-1"))).filter((name) => /^[0-9a-f-]{36}\.json$/.test(name));
    assert.equal(written.length, 2);

    const offloaded = await xtr.offloadMetadata("cccc-0000-3333", { destPath: join(records, "shelf"), timeout: 60 });
    assert.match(offloaded.slice(records.length), /^\/shelf\/\d{4}-\d{2}-\d{2}-\d{2}\.\d{2}\.\d{2}\/$/);
    const names = (await readdir(join(records, "run-1"))).sort();
    assert.deepEqual((await readdir(offloaded)).sort(), names);
    const moved = await xtr.offloadMetadata("", { destPath: join(records, "shelf"), deleteSource: true });
    assert.notEqual(moved, offloaded);
    assert.deepEqual((await readdir(moved)).sort(), names);
    assert.equal(existsSync(join(records, "run-1", names[0] ?? "")), false);
    await assert.rejects(xtr.offloadMetadata("", { destPath: "/etc" }), { code: "endpoint_refused" });

    // What was described is found within about a second.
    let types: readonly string[] = [];
    await until("its record is found", async () => {
      types = (await xtr.search("type:record name:table.csv")).hits.map(({ type }) => type);
      return types.length > 0;
    });
    assert.ok(types.every((type) => type === "record"));
  });

  test("knows the names of the earlier generation as well", async () => {
    const xtr = new XtractClient({ url: server.url });
    const one = endpoint({ localMdataPath: "run-2" });
    assert.equal(one.metadataDirectory, "run-2");
    const looks: string[] = [];
    const statuses = await xtr.crawlAndWait([one, endpoint()], {
      onStatus: (all) => looks.push(all.map(({ status }) => status).join()),
    });
    assert.deepEqual(
      statuses.map(({ status }) => status),
      ["complete", "complete"],
    );
    assert.equal(looks.at(-1), "complete,complete");
    assert.deepEqual([...xtr.cidToXepMap.keys()], xtr.crawlIds);
    const pages = await xtr.flushCrawlMetadata(xtr.crawlIds, { firstNFiles: 5 });
    assert.deepEqual(
      pages.map(({ num_files }) => num_files),
      [2, 2],
    );
    assert.equal((await xtr.flushCrawlMetadata(xtr.crawlIds, { n: 5 }))[0]?.num_files, 0);
  });

  test("says what is wrong: in a status where there is one, else by throwing it", async () => {
    const xtr = new XtractClient({ url: server.url });
    await assert.rejects(xtr.xtract(), { code: "request_invalid" });
    await assert.rejects(xtr.crawl([endpoint({ dirs: [folder] })]), { code: "endpoint_refused" });
    await assert.rejects(xtr.crawl([endpoint({ repoType: "GDRIVE" })]), { code: "request_invalid" });
    const unknown = "00000000-0000-4000-8000-000000000000";
    assert.deepEqual(await xtr.getCrawlStatus([unknown]), [
      { crawl_id: unknown, status: "ERROR", message: "crawl_id not found!", data: {} },
    ]);
    await assert.rejects(xtr.flushCrawlMetadata([unknown]), { code: "crawl_unknown" });
    await assert.rejects(xtr.search('"unclosed'), { code: "query_invalid" });
    await xtr.crawl([endpoint({ metadataDirectory: "/etc/records" })]);
    await assert.rejects(xtr.xtract(), { code: "endpoint_refused" });
  });

  test("finds archived files and downloads them, checked; one that cannot be had keeps no other from coming", async () => {
    const { ids } = await depositFiles(server, { "found/a.txt": "hello", "found/b.txt": "" });
    const xtr = new XtractClient({ url: server.url });
    let found: readonly number[] = [];
    await until("the files are found", async () => {
      const { hits } = await xtr.search("path:found/*", { types: ["file"] });
      found = hits.flatMap(({ file_ids }) => file_ids);
      return found.length === 2;
    });
    const target = join(folder, "downloads");
    const results = await xtr.download([...found, 999_999], target);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["OK", "OK", "ERROR"],
    );
    const hello = results.find(({ file_id }) => file_id === Object.values(ids)[0]);
    assert.equal(await readFile(hello?.path ?? "", "utf8"), "hello");
    // printf hello | sha1sum
    const digest = createHash("sha1").update(await readFile(hello?.path ?? ""));
    assert.equal(digest.digest("hex"), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    const names = await readdir(target, { recursive: true });
    assert.ok(!names.some((name) => name.endsWith(".part")), names.join(", "));
  });

  test("logs in with a token of its own, one from a file, or one that it asks for and keeps", async () => {
    const admin = longshore({ url: server.url });
    // The first token closes the server. So this test comes last.
    const { token } = await admin.tokens.create({ owner: "ada", scopes: ["read", "crawl"] });
    const tokenFile = join(folder, "tokens.json");
    await assert.rejects(new XtractClient({ url: server.url }).crawl([endpoint()]), { code: "token_missing" });
    const [id = ""] = await new XtractClient({ url: server.url, token }).crawl([endpoint()]);
    assert.match(id, /^[0-9a-f-]{36}\./, "good for looking, without the token");
    assert.notEqual((await new XtractClient({ url: server.url }).getCrawlStatus([id]))[0]?.status, "ERROR");

    const asked: (readonly string[])[] = [];
    const login = async ({ scopes }: { readonly scopes: readonly string[] }) => {
      asked.push(scopes);
      return token;
    };
    await new XtractClient({ url: server.url, tokenFile, login, authScopes: ["profile"] }).crawl([endpoint()]);
    assert.equal(asked.length, 1);
    assert.deepEqual([asked[0]?.[0], asked[0]?.at(-1)], ["openid", "profile"]);
    assert.deepEqual(JSON.parse(await readFile(tokenFile, "utf8")), { [server.url]: token });
    assert.equal((await stat(tokenFile)).mode & 0o777, 0o600);
    await new XtractClient({ url: server.url, tokenFile }).crawl([endpoint()]);
    await new XtractClient({ url: server.url, tokenFile, login, forceLogin: true }).crawl([endpoint()]);
    assert.equal(asked.length, 2, "asked again");
    const forced = new XtractClient({ url: server.url, token, forceLogin: true });
    await assert.rejects(forced.crawl([endpoint()]), { code: "token_missing" });
    await writeFile(tokenFile, "[]");
    const broken = new XtractClient({ url: server.url, tokenFile });
    await assert.rejects(broken.crawl([endpoint()]), { code: "local_file_unusable" });
  });
});
