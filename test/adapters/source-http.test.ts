import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import { httpSource } from "../../src/adapters/source/http.ts";
import { linesOfHtml } from "../../src/adapters/source/http-index.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { Listing, Source } from "../../src/core/crawl/source.ts";
import { guardedFetch } from "../../src/core/outbound/fetch.ts";
import { hostPace } from "../../src/core/outbound/host-pace.ts";
import { allowedOrigins } from "../../src/core/outbound/origins.ts";
import { entriesOf, sourceConformance, walkAll } from "../conformance/source.ts";
import { assertGrowsLinearly } from "../support/growth.ts";
import { without } from "../support/tools.ts";
import { until } from "../support/until.ts";

/** Pauses are over at once. */
const hasty: Clock = { now: () => Date.now(), sleep: async () => {} };

const exchange = httpExchange();
after(() => exchange.close());

function sourceAt(url: string, clock: Clock = systemClock): Source {
  const pace = hostPace({ connections: 8, rate: { calls: 1, perMs: 0.01 } }, clock);
  const origins = allowedOrigins([new URL(url).origin]);
  return httpSource({ url, clock, fetch: guardedFetch({ exchange, origins, pace, clock, userAgent: "test" }) });
}

interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** @param command of a server that answers on `port` until it is ended. */
async function start(port: number, program: string, args: readonly string[]): Promise<Running> {
  const child = spawn(program, args, { stdio: "ignore" });
  const exited = once(child, "exit");
  const url = `http://127.0.0.1:${port}/`;
  await until(`${program} answers`, () => {
    assert.equal(child.exitCode, null, `${program} ended`);
    return fetch(url, { method: "HEAD" }).then(
      () => true,
      () => false,
    );
  });
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

async function startNginx(root: string, folder: string, format: "html" | "json"): Promise<Running> {
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join(" ");
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const server = `server { listen 127.0.0.1:${port}; location / { root ${root}; autoindex on; autoindex_format ${format}; } }`;
  const http = `http { access_log off; default_type application/octet-stream; ${temporary} ${server} }`;
  const config = `daemon off; master_process off; pid ${join(folder, "pid")}; ${user} events { } ${http}`;
  writeFileSync(join(folder, "nginx.conf"), config);
  return start(port, "nginx", ["-c", join(folder, "nginx.conf"), "-p", folder, "-e", join(folder, "errors")]);
}

async function startPython(root: string): Promise<Running> {
  const port = await freePort();
  return start(port, "python3", ["-m", "http.server", "--bind", "127.0.0.1", "--directory", root, String(port)]);
}

const SERVERS = {
  "nginx, HTML": (root: string, folder: string) => startNginx(root, folder, "html"),
  "nginx, JSON": (root: string, folder: string) => startNginx(root, folder, "json"),
  "Python's http.server": (root: string) => startPython(root),
};

for (const [name, startServer] of Object.entries(SERVERS)) {
  const [tool, flag, origin] = name.startsWith("nginx")
    ? ["nginx", "-v", "nginx.org"]
    : ["python3", "-V", "python.org"];
  const isMissing = without(tool ?? "", [tool ?? "", flag ?? ""], origin ?? "");
  if (isMissing) {
    test(`Source: http over ${name}`, { skip: isMissing }, () => {});
    continue;
  }
  sourceConformance(
    `http over ${name}`,
    async (files) => {
      const folder = await mkdtemp(join(tmpdir(), "longshore-http-"));
      const root = join(folder, "root");
      mkdirSync(root);
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), content);
      }
      const server = await startServer(root, folder);
      return {
        source: sourceAt(server.url, hasty),
        base: "",
        tellsHidden: name.startsWith("Python"),
        async cleanUp() {
          await server.stop();
          await rm(folder, { recursive: true });
        },
      };
    },
    { manyNames: name.startsWith("Python") ? 200 : 2_500 },
  );
}

describe("Source: http", () => {
  const closers: (() => void)[] = [];
  after(() => {
    for (const close of closers) close();
  });

  async function serve(respond: RequestListener): Promise<string> {
    const server = createServer(respond).listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function index(pages: Readonly<Record<string, string>>, asked: string[] = []): RequestListener {
    return (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const page = pages[request.url ?? ""];
      response.setHeader("content-type", page === undefined ? "text/plain" : "text/html");
      if (request.url?.endsWith("/") && page === undefined) response.statusCode = 404;
      if (page === undefined) response.setHeader("content-length", 5);
      response.end(page ?? "12345");
    };
  }
  const problemsOf = (listings: readonly Listing[]) =>
    listings.flatMap(({ problems }) =>
      problems.map(({ path, message }) => [path, /hint: (.*)\)$/s.exec(message)?.[1]]),
    );

  // The forms that mod_autoindex writes, from its documentation: plain, FancyIndexing, HTMLTable.
  test("Apache's indexes are read in all their forms; rounded sizes are not taken for sizes", () => {
    const base = new URL("http://example.org/data/");
    const facts = (html: string) =>
      linesOfHtml(html, base).map(({ url, sizeBytes, modifiedAt }) => [
        url.pathname + url.search,
        sizeBytes,
        modifiedAt,
      ]);
    assert.deepEqual(
      facts('<ul><li><a href="/"> Parent Directory</a></li>\n<li><a href="a%20b.txt"> a b.txt</a></li></ul>'),
      [
        ["/", undefined, undefined],
        ["/data/a%20b.txt", undefined, undefined],
      ],
    );
    const fancy = `<pre><img src="b.gif" alt=" "> <a href="?C=N;O=D">Name</a>  <a href="?C=M;O=A">Last modified</a> <hr>
<img src="d.gif" alt="[DIR]"> <a href="sub/">sub/</a>   2024-05-06 07:08    -   
<img src="t.gif" alt="[TXT]"> <a href="x.csv">x.csv</a>  2024-05-06 07:08  1.2K  
<img src="t.gif" alt="[TXT]"> <a href="y.csv">y.csv</a>  2024-05-06 07:08  512   </pre>`;
    assert.deepEqual(facts(fancy).slice(2), [
      ["/data/sub/", undefined, undefined],
      ["/data/x.csv", undefined, undefined],
      ["/data/y.csv", 512, undefined],
    ]);
    const table = `<tr><td valign="top"><img src="i.gif"></td><td><a href="z&amp;1.csv">z&amp;1.csv</a></td>
<td align="right">2024-05-06 07:08  </td><td align="right">99 </td><td>&nbsp;</td></tr>`;
    assert.deepEqual(facts(table), [["/data/z&1.csv", 99, undefined]]);
    // nginx says UTC: 1714979280 is 2024-05-06 07:08 by GNU date.
    assert.deepEqual(facts('<a href="n.bin">n.bin</a>      06-May-2024 07:08      4096'), [
      ["/data/n.bin", 4096, 1_714_979_280_000],
    ]);
  });

  test("hostile markup is read in time that grows with its length", async () => {
    const base = new URL("http://example.org/");
    for (const part of ['<a "', "<a '", "<a href=", "<a <a ", '<a href="x">', `<a ${"x".repeat(50)}`]) {
      await assertGrowsLinearly(3_000, (times) => linesOfHtml(part.repeat(times), base), part);
    }
  });

  test("nothing outside the root is asked for, whatever the index links to", async () => {
    const asked: string[] = [];
    const links = [
      "../",
      "/",
      "/data",
      "/database/x",
      "http://127.0.0.1:1/data/x",
      "//127.0.0.1:1/data/y",
      "mailto:a@b.c",
    ];
    const odd = [
      "sub/deep/x.txt",
      "..%2Fz",
      "?C=N",
      "sub/../../up.txt",
      "%2e%2e/",
      "javascript:x()",
      "ok.txt",
      "./ok.txt",
    ];
    const page = [...links, ...odd].map((href) => `<a href="${href}">x</a>`).join("\n");
    const url = await serve(index({ "/data/": page }, asked));
    const listings = await walkAll(sourceAt(`${url}/data`));
    assert.deepEqual(
      entriesOf(listings).map(({ path, sizeBytes }) => [path, sizeBytes]),
      [["ok.txt", 5]],
    );
    assert.deepEqual(problemsOf(listings), [["../z", "its name cannot be that of a file"]]);
    assert.deepEqual(asked, ["GET /data/", "HEAD /data/ok.txt"]);
  });

  test("a folder that leads elsewhere, is none, or fails is a problem, and the walk goes on", async () => {
    const url = await serve((request, response) => {
      response.setHeader("content-type", "text/html");
      const answers: Readonly<Record<string, () => void>> = {
        "/": () =>
          response.end(
            '<a href="away/"></a><a href="gone/"></a><a href="text/"></a><a href="fine/"></a><a href="%ff"></a>',
          ),
        "/away/": () => response.writeHead(302, { location: "/fine/" }).end(),
        "/gone/": () => response.writeHead(404).end(),
        "/text/": () => response.setHeader("content-type", "text/plain").end("hello"),
        "/fine/": () => response.end('<a href="a.txt">a.txt</a><a href="b.txt">b.txt</a>'),
        "/fine/b.txt": () => response.writeHead(403).end(),
      };
      (answers[request.url ?? ""] ?? (() => response.end()))();
    });
    const listings = await walkAll(sourceAt(url));
    assert.deepEqual(problemsOf(listings), [
      ["\uFFFD", "its name is not UTF-8"],
      ["away", "the server leads elsewhere"],
      ["gone", "the server answers with status 404"],
      ["text", "the server has no index of it"],
      ["fine/b.txt", "the server answers with status 403"],
    ]);
    assert.deepEqual(
      entriesOf(listings)
        .filter(({ kind }) => kind === "file")
        .map(({ path }) => path),
      ["fine/a.txt"],
    );
  });

  test("a folder that contains itself ends", async () => {
    const url = await serve((request, response) => {
      const isFolder = request.url?.endsWith("/");
      response.setHeader("content-type", isFolder ? "text/html" : "text/plain");
      response.setHeader("last-modified", "Mon, 06 May 2024 07:08:09 GMT");
      response.end(isFolder ? '<a href="self/">self/</a><a href="a.txt">a.txt</a>' : "a");
    });
    const listings = await walkAll(sourceAt(url));
    assert.deepEqual(
      listings.map(({ folder }) => folder),
      ["", "self"],
    );
    assert.deepEqual(problemsOf(listings), [["self", "it is the same as a folder above it"]]);
    assert.equal(entriesOf(listings).find(({ path }) => path === "a.txt")?.modifiedAt, Date.UTC(2024, 4, 6, 7, 8, 9));
  });

  test("links that Python's server marks are listed and not followed", async (t) => {
    const isMissing = without("python3", ["python3", "-V"], "python.org");
    if (isMissing) return t.skip(isMissing);
    const root = await mkdtemp(join(tmpdir(), "longshore-http-"));
    await symlink(".", join(root, "loop"));
    writeFileSync(join(root, "a.txt"), "a");
    const server = await startPython(root);
    const entries = entriesOf(await walkAll(sourceAt(server.url)));
    await server.stop();
    rmSync(root, { recursive: true });
    assert.deepEqual(entries.map(({ path, kind }) => `${kind} ${path}`).toSorted(), ["file a.txt", "link loop"]);
  });

  test("a server that is not there, or goes away in the middle, ends the walk", async () => {
    const nobody = `http://127.0.0.1:${await freePort()}/`;
    await assert.rejects(walkAll(sourceAt(nobody, hasty)), { code: "endpoint_unreachable" });
    await assert.rejects(walkAll(sourceAt(nobody, hasty), { folders: ["a", "b"] }), { code: "endpoint_unreachable" });
    const server = createServer(index({ "/": '<a href="a/"></a><a href="b/"></a>' })).listen(0, "127.0.0.1");
    await once(server, "listening");
    const source = sourceAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, hasty);
    const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
    const seen: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { folder } of source.walk(options)) {
          seen.push(folder);
          server.close();
          server.closeAllConnections();
        }
      },
      { code: "endpoint_unreachable" },
    );
    assert.deepEqual(seen, [""]);
  });

  test("an origin that may not be asked is said to be that", async () => {
    const pace = hostPace({ connections: 1, rate: { calls: 1, perMs: 10 } }, systemClock);
    const origins = allowedOrigins([]);
    const fetch = guardedFetch({ exchange, origins, pace, clock: systemClock, userAgent: "test" });
    const source = httpSource({ url: "http://127.0.0.1:9/", fetch, clock: systemClock });
    await assert.rejects(walkAll(source), { code: "fetch_refused" });
  });

  test("a range is cut out where the server knows none and does not say how long a file is", async () => {
    const url = await serve((_, response) => {
      response.write("he");
      response.end("llo");
    });
    const source = sourceAt(url);
    assert.equal(await text(await source.open("a.txt", { start: 1, end: 3 })), "ell");
    assert.equal(await text(await source.open("a.txt", { start: 4 })), "o");
  });
});
