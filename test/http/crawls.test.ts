import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, realpath, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { json, problem } from "./client.ts";

/** The few fields that tests look at. */
interface WireCrawl {
  readonly id: string;
  readonly owner: string;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly changes: Readonly<Record<string, number>> | null;
  readonly job: number;
  readonly finishedAt: string | null;
  readonly extractions: readonly WireExtraction[];
}
interface WireExtraction {
  readonly id: string;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly finishedAt: string | null;
}
interface WireFile {
  readonly path: string;
  readonly file: string | null;
  readonly sizeBytes: number | null;
  readonly mode: string | null;
  readonly change: string | null;
}
interface WireRecord {
  readonly number: number;
  readonly extractor: string;
  readonly files: readonly { readonly path: string }[];
  readonly data: Readonly<Record<string, unknown>> | null;
}
interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
type Headers = Readonly<Record<string, string>>;

const UNKNOWN = "00000000-0000-4000-8000-000000000000";

describe("crawls over HTTP", () => {
  let server: ServerProcess;
  let folder: string;
  /** A store that keeps everybody waiting. */
  const silent = createServer(() => {});
  before(async () => {
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-crawls-")));
    await write("store/a.csv", "x,y\n1,2\n3,4\n");
    await write("store/deep/b.json", '{"b": 1}');
    await write("store/deep/.c", "hidden");
    await symlink("nowhere", join(folder, "store/link"));
    await mkdir(join(folder, "elsewhere"));
    server = await startServer({
      env: { LONGSHORE_CRAWL_ROOTS: join(folder, "store"), LONGSHORE_FETCH_ORIGINS: silentUrl() },
    });
  });
  after(async () => {
    await server.stop();
    silent.closeAllConnections();
    silent.close();
    await rm(folder, { recursive: true });
  });
  const silentUrl = () => `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;

  async function write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const api = (path: string) => `${server.url}/api/v1${path}`;
  const send = (method: string, path: string, body?: unknown, headers: Headers = {}) =>
    fetch(api(path), {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const store = (more: object = {}) => ({ endpoints: [{ url: join(folder, "store"), ...more }] });

  async function started(body: unknown, headers: Headers = {}): Promise<WireCrawl> {
    const answer = await send("POST", "/crawls", body, headers);
    const crawl = (await answer.json()) as WireCrawl;
    assert.equal(answer.status, 201, JSON.stringify(crawl));
    assert.equal(answer.headers.get("location"), `/api/v1/crawls/${crawl.id}`);
    return crawl;
  }

  /** Until the crawl and its extractions have ended. */
  async function ended({ id }: Pick<WireCrawl, "id">, headers: Headers = {}): Promise<WireCrawl> {
    let crawl: WireCrawl | undefined;
    const isOver = async () => {
      crawl = await json<WireCrawl>(api(`/crawls/${id}`), headers);
      return crawl.finishedAt !== null && crawl.extractions.every(({ finishedAt }) => finishedAt !== null);
    };
    await until(`crawl ${id} has ended`, isOver);
    assert.ok(crawl);
    return crawl;
  }

  const crawled = async (body: unknown = store(), headers: Headers = {}) =>
    ended(await started(body, headers), headers);
  const files = async (id: string, query = "") => json<Page<WireFile>>(api(`/crawls/${id}/files${query}`));

  test("a crawl is answered at once, counts what is there, and lists it in pages that use nothing up", async () => {
    const begun = await started(store());
    assert.ok(["initializing", "crawling"].includes(begun.status), begun.status);
    const crawl = await ended(begun);
    assert.deepEqual([crawl.status, crawl.owner, crawl.changes], ["complete", "local", null]);
    // find store -type d | wc -l; find store -type f | wc -l; … -printf '%s\n'; find store -type l
    assert.deepEqual(crawl.counts, {
      directories: 2,
      files: 3,
      bytes: 12 + 8 + 6,
      groups: 3,
      families: 3,
      others: 1,
      errors: 0,
    });
    const found: WireFile[] = [];
    let next: string | null = "";
    while (next !== null) {
      const page: Page<WireFile> = await files(crawl.id, `?limit=2${next === "" ? "" : `&cursor=${next}`}`);
      found.push(...page.items);
      next = page.next;
    }
    assert.deepEqual(found.map(({ path, sizeBytes, change }) => [path, sizeBytes, change]).sort(), [
      ["a.csv", 12, null],
      ["deep/.c", 6, null],
      ["deep/b.json", 8, null],
    ]);
    assert.equal(new Set(found.map(({ file }) => file)).size, 3);
    assert.match(found[0]?.mode ?? "", /^06\d\d$/);
    assert.equal((await files(crawl.id)).items.length, 3, "again");
    assert.equal((await json<Page<WireCrawl>>(api("/crawls?limit=1"))).items[0]?.id, crawl.id);
    const job = await json<{ readonly kind: string; readonly state: string }>(api(`/jobs/${crawl.job}`));
    assert.deepEqual([job.kind, job.state], ["crawl", "succeeded"]);
  });

  test("each consumer is given each file once, and told when that was all", async () => {
    const { id } = await crawled(store({ hidden: false }));
    const flush = async (body: object) => {
      const answer = await send("POST", `/crawls/${id}/flush`, body);
      assert.equal(answer.status, 200);
      return (await answer.json()) as { readonly items: readonly WireFile[]; readonly queueEmpty: boolean };
    };
    const first = await flush({ limit: 1 });
    assert.deepEqual([first.items.length, first.queueEmpty], [1, false]);
    const second = await flush({});
    assert.deepEqual([second.items.length, second.queueEmpty], [1, true]);
    assert.deepEqual([...first.items, ...second.items].map(({ path }) => path).sort(), ["a.csv", "deep/b.json"]);
    assert.deepEqual(await flush({}), { items: [], queueEmpty: true });
    assert.equal((await flush({ consumer: "other" })).items.length, 2);
  });

  test("a crawl that follows another tells what is new, changed and gone", async () => {
    await write("store/later/changing.txt", "1");
    await write("store/later/going.txt", "1");
    const endpoints = { endpoints: [{ url: join(folder, "store"), folders: ["later"] }] };
    const first = await crawled(endpoints);
    await write("store/later/changing.txt", "12");
    await write("store/later/coming.txt", "1");
    await unlink(join(folder, "store/later/going.txt"));
    const second = await crawled({ ...endpoints, previous: first.id });
    await rm(join(folder, "store/later"), { recursive: true });
    assert.deepEqual(second.changes, { new: 1, changed: 1, same: 0, gone: 1 });
    const { items } = await files(second.id);
    assert.deepEqual(Object.fromEntries(items.map(({ path, change, sizeBytes }) => [path, [change, sizeBytes]])), {
      "later/changing.txt": ["changed", 2],
      "later/coming.txt": ["new", 1],
      "later/going.txt": ["gone", null],
    });
  });

  test("files are described while they are found; records come in pages and one by one", async () => {
    const { id, extractions } = await crawled({ ...store({ hidden: false }), extract: {} });
    const [extraction] = extractions;
    assert.ok(extraction);
    const { counts } = extraction;
    const { toSchedule = 0, success = 0, failed = 0, pending = 0, unknown = 0 } = counts;
    assert.deepEqual([extraction.status, counts.pulled, pending, failed], ["complete", 2, 0, 0]);
    assert.equal(toSchedule, success + failed + pending + unknown);
    const path = `/extractions/${extraction.id}`;
    const { items, next } = await json<Page<WireRecord>>(api(`${path}/records?limit=1`));
    assert.deepEqual([items.length, items[0]?.number, next !== null], [1, 1, true]);
    const rest = await json<Page<WireRecord>>(api(`${path}/records?cursor=${next}`));
    assert.deepEqual([rest.items[0]?.number, rest.next, rest.items.length], [2, null, success - 1]);
    const table = [...items, ...rest.items].find(({ files }) => files[0]?.path === "a.csv");
    assert.ok(table?.data);
    assert.deepEqual(await json<WireRecord>(api(`${path}/records/${table.number}`)), table);
    await problem(await send("GET", `${path}/records/999`), 404, "record_unknown");

    const again = await send("POST", `/crawls/${id}/extractions`, { extractors: [table.extractor] });
    const second = (await again.json()) as WireExtraction;
    assert.equal(again.status, 201, JSON.stringify(second));
    assert.equal(again.headers.get("location"), `/api/v1/extractions/${second.id}`);
    const crawl = await ended({ id });
    assert.deepEqual(
      crawl.extractions.map(({ id, status }) => [id, status]),
      [
        [second.id, "complete"],
        [extraction.id, "complete"],
      ],
    );
    await problem(await send("POST", `/extractions/${second.id}/cancel`), 409, "crawl_state_conflict");
    const { items: known } = await json<Page<{ readonly name: string; readonly isBuiltIn: boolean }>>(
      api("/extractors"),
    );
    assert.ok(known.some(({ name, isBuiltIn }) => name === table.extractor && isBuiltIn));
    await problem(await send("POST", "/extractors", {}), 400, "extractor_invalid");
  });

  test("what cannot be read is told, and the crawl is partial", async () => {
    await mkdir(join(folder, "store/odd"));
    // No UTF-8: as a name it can be listed, and as text it cannot be said.
    await writeFile(Buffer.concat([Buffer.from(join(folder, "store/odd/")), Buffer.from([0xff])]), "x");
    const crawl = await crawled({ endpoints: [{ url: join(folder, "store/odd") }] });
    await rm(join(folder, "store/odd"), { recursive: true });
    assert.deepEqual([crawl.status, crawl.counts.files, crawl.counts.errors], ["partial", 0, 1]);
    const { items, next } = await json<Page<{ readonly code: string; readonly endpoint: number }>>(
      api(`/crawls/${crawl.id}/problems`),
    );
    assert.deepEqual([items.length, items[0]?.code, items[0]?.endpoint, next], [1, "entry_unreadable", 0, null]);
  });

  test("what cannot be crawled or described is refused, and nothing is begun for it", async () => {
    const before = (await json<Page<WireCrawl>>(api("/crawls"))).items.length;
    const refused: readonly (readonly [object, number, string])[] = [
      [{ endpoints: [{ url: join(folder, "elsewhere") }] }, 403, "endpoint_refused"],
      [{ endpoints: [{ url: "s3://bucket/prefix" }] }, 403, "endpoint_refused"],
      [{ endpoints: [{ url: "gopher://x/" }] }, 400, "request_invalid"],
      [{ endpoints: [] }, 400, "request_invalid"],
      [store({ grouper: "by_mood" }), 400, "request_invalid"],
      [store({ grouper: "regex" }), 400, "request_invalid"],
      [store({ colour: "red" }), 400, "request_invalid"],
      [{ ...store(), previous: UNKNOWN }, 404, "crawl_unknown"],
    ];
    for (const [body, status, code] of refused) await problem(await send("POST", "/crawls", body), status, code);
    assert.equal((await json<Page<WireCrawl>>(api("/crawls"))).items.length, before);

    const undescribed = await send("POST", "/crawls", { ...store(), extract: { extractors: ["nonesuch"] } });
    await problem(undescribed, 400, "extractor_unknown");
    const { items } = await json<Page<WireCrawl>>(api("/crawls?limit=1"));
    const left = await ended({ id: items[0]?.id ?? "" });
    assert.ok(["cancelled", "complete"].includes(left.status), left.status);

    for (const path of [`/crawls/${UNKNOWN}`, `/crawls/${UNKNOWN}/files`, `/crawls/${UNKNOWN}/problems`])
      await problem(await send("GET", path), 404, "crawl_unknown");
    await problem(await send("GET", `/extractions/${UNKNOWN}`), 404, "extraction_unknown");
    await problem(await send("GET", "/crawls/no-uuid"), 400, "request_invalid");
  });

  test("a crawl and its extraction are ended while they run", async () => {
    const { id, extractions } = await started({ endpoints: [{ url: `${silentUrl()}/` }], extract: {} });
    const path = `/extractions/${extractions[0]?.id}`;
    await until("it crawls", async () => (await json<WireCrawl>(api(`/crawls/${id}`))).status === "crawling");
    await problem(await send("DELETE", `/crawls/${id}`), 409, "crawl_state_conflict");
    assert.equal((await send("POST", `${path}/cancel`)).status, 200);
    assert.equal((await send("POST", `/crawls/${id}/cancel`)).status, 200);
    const crawl = await ended({ id });
    assert.deepEqual([crawl.status, crawl.extractions[0]?.status], ["cancelled", "cancelled"]);
    assert.equal((await files(id)).next, null);
  });

  test("an ended crawl is not cancelled, and is forgotten with its records", async () => {
    const crawl = await crawled({ ...store(), extract: {} });
    await problem(await send("POST", `/crawls/${crawl.id}/cancel`), 409, "crawl_state_conflict");
    assert.equal((await send("DELETE", `/crawls/${crawl.id}`)).status, 204);
    await problem(await send("GET", `/crawls/${crawl.id}`), 404, "crawl_unknown");
    await problem(await send("GET", `/extractions/${crawl.extractions[0]?.id}/records`), 404, "extraction_unknown");
  });

  test("crawls are their owners', and want a scope of their own", async () => {
    const created = async (owner: string, scopes: readonly string[], headers: Headers = {}): Promise<Headers> => {
      const answer = await send("POST", "/tokens", { owner, scopes }, headers);
      assert.equal(answer.status, 201);
      return { authorization: `Bearer ${((await answer.json()) as { readonly token: string }).token}` };
    };
    // The first closes the server: from here on, everybody needs one. So this test comes last.
    const root = await created("root", ["admin"]);
    const ada = await created("ada", ["read", "crawl"], root);
    const bob = await created("bob", ["read"], root);
    const olga = await created("olga", ["operate"], root);
    await problem(await send("POST", "/crawls", store(), bob), 403, "scope_missing");
    const { id } = await crawled(store(), ada);
    for (const path of [`/crawls/${id}`, `/crawls/${id}/files`, `/crawls/${id}/problems`]) {
      await problem(await send("GET", path, undefined, bob), 404, "crawl_unknown");
      assert.equal((await send("GET", path, undefined, olga)).status, 200, path);
    }
    await problem(await send("POST", `/crawls/${id}/flush`, {}, bob), 404, "crawl_unknown");
    assert.deepEqual((await json<Page<WireCrawl>>(api("/crawls"), bob)).items, []);
    assert.deepEqual(
      (await json<Page<WireCrawl>>(api("/crawls"), ada)).items.map(({ owner }) => owner),
      ["ada"],
    );
    for (const [method, path] of [
      ["POST", `/crawls/${id}/cancel`],
      ["DELETE", `/crawls/${id}`],
      ["POST", `/crawls/${id}/extractions`],
    ] as const)
      await problem(await send(method, path, method === "DELETE" ? undefined : {}, bob), 403, "scope_missing");
    await problem(await send("POST", "/extractors", {}, ada), 403, "scope_missing");
    await problem(await send("GET", "/crawls"), 401, "token_missing");
  });
});
