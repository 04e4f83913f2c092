import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { countedCsv, unzipped } from "../support/packaging.ts";
import { until } from "../support/until.ts";
import { problem } from "./client.ts";
import { packageServer } from "./package-server.ts";

const run = promisify(execFile);
const ROWS = { kind: "datastore", resourceId: "r" };
/** As browsers send it for a click. */
const BROWSER = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };
const HOUR_MS = 3_600_000;

describe("the link to a package", () => {
  test("is the ZIP to whoever opens it, browser or curl, without any token", async (t) => {
    const server = await packageServer(t, { loopback: false });
    const made = await server.made(ROWS, await server.token("ada", "read"));
    assert.equal(new URL(made.link ?? "").pathname.split("/").at(-1), made.fileName);
    const stored = await readFile(join(server.storeDir, made.fileName ?? ""));
    const link = server.here(made.link);

    const clicked = await fetch(link, { headers: BROWSER });
    assert.equal(clicked.headers.get("content-type"), "application/zip");
    const sha256 = createHash("sha256").update(stored); // the file is what another program would serve
    const expected = {
      "content-length": String(stored.length),
      "content-disposition": `attachment; filename="${made.fileName}"; filename*=UTF-8''${made.fileName}`,
      "accept-ranges": "bytes",
      "repr-digest": `sha-256=:${sha256.digest("base64")}:`,
      "referrer-policy": "no-referrer",
      "x-robots-tag": "noindex",
      etag: `"${made.sha256}"`,
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(clicked.headers.get(name), value, name);
    assert.ok(stored.equals(new Uint8Array(await clicked.arrayBuffer())));

    await run("curl", ["-sSfOJL", link], { cwd: server.dataDir });
    const saved = join(server.dataDir, made.fileName ?? "");
    assert.equal(unzipped(saved, "resource.csv").toString(), countedCsv(100));
  });

  test("is taken up again where it broke off: ranges, If-Range and HEAD, by curl too", async (t) => {
    const server = await packageServer(t);
    const made = await server.made(ROWS);
    const link = server.here(made.link);
    const stored = await readFile(join(server.storeDir, made.fileName ?? ""));
    const etag = `"${made.sha256}"`;

    const part = await fetch(link, { headers: { range: "bytes=10-19", "if-range": etag } });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get("content-range"), `bytes 10-19/${stored.length}`);
    assert.ok(stored.subarray(10, 20).equals(new Uint8Array(await part.arrayBuffer())));
    const other = await fetch(link, { headers: { range: "bytes=10-19", "if-range": '"another"' } });
    assert.equal(other.status, 200);
    assert.equal((await other.arrayBuffer()).byteLength, stored.length);
    const several = await fetch(link, { headers: { range: "bytes=0-1,-2" } });
    assert.match(several.headers.get("content-type") ?? "", /^multipart\/byteranges/);
    await several.text();
    const head = await fetch(link, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("content-length")], [200, String(stored.length)]);
    assert.equal((await fetch(link, { headers: { "if-none-match": etag } })).status, 304);
    const beyond = await fetch(link, { headers: { range: `bytes=${stored.length}-` } });
    await problem(beyond, 416, "range_not_satisfiable");

    const begun = join(server.dataDir, "begun.zip");
    await writeFile(begun, stored.subarray(0, 100));
    await run("curl", ["-sSf", "-C", "-", "-o", begun, link]);
    assert.ok(stored.equals(await readFile(begun)));
  });

  test("counts downloads that begin with the first byte, and no others", async (t) => {
    const server = await packageServer(t);
    const { link, id } = await server.made(ROWS);
    const fetchIt = (init: RequestInit) => fetch(server.here(link), init).then((answer) => answer.arrayBuffer());
    await fetchIt({});
    await fetchIt({ headers: { range: "bytes=0-9" } });
    await fetchIt({ headers: { range: "bytes=10-" } });
    await fetchIt({ method: "HEAD" });
    const shown = await (await fetch(`${server.url}/api/v1/packages/${id}`)).json();
    assert.equal((shown as { downloads: number }).downloads, 2);
  });

  test("has a page as its folder, which says what it leads to and runs nothing", async (t) => {
    const server = await packageServer(t);
    const made = await server.made({ ...ROWS, doi: "10.5519/<0002965>" });
    const folder = dirname(server.here(made.link));
    const answer = await fetch(folder, { headers: BROWSER });
    assert.equal(answer.url, `${folder}/`, "the download's address is relative to the folder");
    assert.match(answer.headers.get("content-type") ?? "", /^text\/html/);
    assert.match(answer.headers.get("content-security-policy") ?? "", /default-src 'none'/);
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    const page = await answer.text();
    const [, href = ""] = /<a href="([^"]+)" download>/.exec(page) ?? [];
    assert.equal(new URL(href, answer.url).href, server.here(made.link));
    for (const text of ["<dd>r</dd>", "<dd>100</dd>", made.sha256 ?? "", new URL(server.portal.origin).host])
      assert.ok(page.includes(text), text);
    assert.ok(page.includes("10.5519/&lt;0002965>"), "what users gave is text");
    assert.ok(!page.includes("<script"));
    const { downloads } = (await (await fetch(`${server.url}/api/v1/packages/${made.id}`)).json()) as typeof made;
    assert.equal(downloads, 0, "to look is not to download");
  });

  test("leads nowhere once it has expired, was revoked or its file is gone: words for people, a problem for programs", async (t) => {
    const server = await packageServer(t);
    const made = await server.made(ROWS);
    const link = server.here(made.link);
    const change = (verb: string) => fetch(`${server.url}/api/v1/packages/${made.id}/${verb}`, { method: "POST" });

    assert.equal((await change("revoke")).status, 200);
    await problem(await fetch(link), 410, "package_gone");
    const page = await fetch(link, { headers: BROWSER });
    assert.equal(page.status, 410);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    assert.match(await page.text(), /This link works no more/);

    const renewed = ((await (await change("renew")).json()) as typeof made).link;
    assert.notEqual(renewed, made.link);
    await problem(await fetch(link), 410, "package_gone");
    assert.equal((await fetch(server.here(renewed))).status, 200);

    server.pass(169 * HOUR_MS);
    await problem(await fetch(server.here(renewed)), 410, "package_gone");
    assert.equal((await change("renew")).status, 200);
    assert.equal((await fetch(server.here(renewed))).status, 200, "a renewal reaches the links that were sent");
    await rm(join(server.storeDir, made.fileName ?? ""));
    await problem(await fetch(server.here(renewed)), 410, "package_gone");
  });

  test("cannot be guessed, changed or used under another name, and is not in the log", async (t) => {
    const server = await packageServer(t);
    const { link } = await server.made(ROWS);
    const url = server.here(link);
    const token = new URL(url).pathname.split("/")[2] ?? "";
    const [claim = "", signature = ""] = token.split(/\.(?=[^.]*$)/);
    const other = `${claim}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
    const changed = url.replace(token, other);
    for (const wrong of [changed, `${url}x`, `${server.url}/links/nothing/a.zip`, `${server.url}/links/%00/a.zip`])
      await problem(await fetch(wrong), 404, "link_invalid");
    const page = await fetch(changed, { headers: BROWSER });
    assert.deepEqual([page.status, /not one of our links/.test(await page.text())], [404, true]);

    await (await fetch(url)).arrayBuffer();
    const route = "/links/:token/:file";
    await until("the download is logged", () => server.log.some((line) => line.path === route && line.status === 200));
    assert.ok(!JSON.stringify(server.log).includes(token), "who reads the log must not get what others ordered");
  });
});
