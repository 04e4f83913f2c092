import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type RealServer, realServer } from "./real-server.ts";

const EXAMPLE = new URL("../../examples/registers/books.json", import.meta.url);

/** As the original's own scripts send it. */
const BOOK = {
  author: "Frank Herbert",
  title: "Dune",
  first_sentence: "A beginning is the time for taking the most delicate care that the balances are correct — é.",
  published: 1965,
};

/*
 * Expected answers: those that the original, a Flask program, was seen to give; status, media type and body to the byte.
 */
describe("the register books, as the API of books it stands for", () => {
  let server: RealServer;
  let base: string;
  before(async () => {
    server = await realServer();
    await server.deps.registers.declare(await readFile(EXAMPLE, "utf8"));
    base = `${server.url}/api/v1/resources/books`;
  });
  after(() => server.stop());

  async function call(path: string, method = "GET", body?: unknown, type = "application/json") {
    const response = await fetch(base + path, {
      method,
      ...(body !== undefined && {
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: { "content-type": type },
      }),
    });
    const mediaType = (response.headers.get("content-type") ?? "").split(";")[0];
    return { status: response.status, type: mediaType, text: await response.text(), headers: response.headers };
  }
  const json = (status: number, text: string) => ({ status, type: "application/json", text });
  async function answers(expected: { status: number; type: string; text: string }, ...given: Parameters<typeof call>) {
    const { status, type, text } = await call(...given);
    assert.deepEqual({ status, type, text }, expected);
  }
  /** `json.dumps(book, indent=2, sort_keys=True)` of Python, by hand. */
  const listed = `  {
    "author": "Frank Herbert",
    "first_sentence": "A beginning is the time for taking the most delicate care that the balances are correct \\u2014 \\u00e9.",
    "id": null,
    "published": 1965,
    "title": "Dune"
  }`;
  const empty = json(200, "[]\n");
  const missing = json(400, '{\n  "error": "Missing required fields"\n}\n');
  const notFound = {
    status: 404,
    type: "text/html",
    text: "<h1>404</h1><p>The resource could not be found.</p>",
  };

  test("an empty table is an empty list", () => answers(empty, "/all"));

  test("the front page is HTML", async () => {
    const { status, type, text } = await call("/");
    assert.deepEqual([status, type], [200, "text/html"]);
    assert.match(text, /^<h1>Reading Archive<\/h1>/);
  });

  test("a book is added, listed and found by exact values of all that is asked", async () => {
    await answers(json(201, '{\n  "id": 1,\n  "message": "Book added successfully"\n}\n'), "", "POST", BOOK);
    const list = json(200, `[\n${listed}\n]\n`);
    await answers(list, "/all");
    await answers(list, "?author=Frank+Herbert");
    await answers(list, "?published=1965");
    await answers(list, "?author=Frank%20Herbert&published=1965");
    await answers(list, "?published=1965&nonsense=1");
    await answers(empty, "?author=frank+herbert");
    await answers(empty, "?author=Frank+Herbert&published=1966");
    await answers(empty, "?published=last+year");
    await answers(empty, "?id=1"); // its id is null: what POST told is its row
  });

  test("who asks for nothing that is known is told 404", async () => {
    await answers(notFound, "");
    await answers(notFound, "?publisher=Chilton");
  });

  test("what is no book is refused", async () => {
    const { first_sentence: _, ...short } = BOOK;
    await answers(missing, "", "POST", short);
    await answers(missing, "", "POST", []);
    await answers(missing, "", "POST", {});
    for (const given of [
      ["{", "application/json"] as const,
      ["author=x", "application/x-www-form-urlencoded"] as const,
    ]) {
      const { status, type } = await call("", "POST", ...given);
      assert.deepEqual([status, type], [400, "text/html"]);
    }
  });

  test("books are deleted by title and author, all that match", async () => {
    const { title, author } = BOOK;
    await call("", "POST", BOOK);
    const undeletable = json(400, '{\n  "error": "Must provide both title and author"\n}\n');
    await answers(undeletable, "", "DELETE", { title });
    await answers(undeletable, "", "DELETE", { author });
    await answers(json(200, '{\n  "message": "Book deleted successfully"\n}\n'), "", "DELETE", { title, author });
    await answers(json(404, '{\n  "message": "No matching book found"\n}\n'), "", "DELETE", { title, author });
    await answers(empty, "/all");
  });

  test("other methods are refused with those there are", async () => {
    for (const method of ["PUT", "PATCH"]) {
      const { status, type, headers } = await call("", method, BOOK);
      assert.deepEqual([status, type, headers.get("allow")], [405, "text/html", "HEAD, POST, GET, OPTIONS, DELETE"]);
    }
  });

  test("beyond the original: an alias, ids of one's own, titles, and books by their row", async () => {
    const { published: _, ...rest } = BOOK;
    const { text } = await call("", "POST", { ...rest, id: 70, year_published: "1965" });
    const { id: row } = JSON.parse(text) as { readonly id: number };
    const own = `[\n${listed.replace("null", "70")}\n]\n`;
    await answers(json(200, own), "?id=70");
    await answers(json(200, own), "?title=Dune");
    const put = await call(`/${row}`, "PUT", { ...BOOK, title: "Dune Messiah" });
    assert.equal(put.status, 200);
    assert.equal((JSON.parse(put.text) as typeof BOOK).title, "Dune Messiah");
    await answers(json(200, '{\n  "message": "Book deleted successfully"\n}\n'), "", "DELETE", { id: row });
    await call("", "POST", { ...BOOK, id: 71 });
    await answers(json(200, '{\n  "message": "Book deleted successfully"\n}\n'), "", "DELETE", {
      title: "Dune",
      id: 71,
    });
    await answers(empty, "/all");
  });
});
