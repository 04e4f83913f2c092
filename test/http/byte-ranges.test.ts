import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { without } from "../support/tools.ts";
import { archived, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const run = promisify(execFile);

/** 260 bytes; expected parts are cut from it by hand. */
const TEXT = "abcdefghijklmnopqrstuvwxyz".repeat(10);

/** Python's HTTP client and MIME parser, which know nothing of us, read a multipart answer. */
const READ_PARTS = `
import email, json, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Range": sys.argv[2]})
answer = urllib.request.urlopen(request)
body = answer.read()
head = "Content-Type: " + answer.headers["Content-Type"] + "\\r\\n\\r\\n"
message = email.message_from_bytes(head.encode() + body)
print(json.dumps({
  "status": answer.status,
  "length": int(answer.headers["Content-Length"]) - len(body),
  "defects": [str(defect) for part in message.walk() for defect in part.defects],
  "parts": [[p["Content-Type"], p["Content-Range"], p.get_payload(decode=True).decode()] for p in message.get_payload()],
}))
`;

describe("several ranges in one request", () => {
  let server: RealServer;
  let url: string;
  before(async () => {
    server = await realServer();
    url = await archived(server, "letters.txt", TEXT);
  });
  after(() => server.stop());

  const get = (range: string, headers: Record<string, string> = {}) => fetch(url, { headers: { range, ...headers } });

  const noPython = without("Python 3", ["python3", "--version"], "apt package python3");
  const noCurl = without("curl", ["curl", "--version"], "apt package curl");

  test("are answered in parts that Python reads", { skip: noPython }, async () => {
    const { stdout } = await run("python3", ["-c", READ_PARTS, url, "bytes=0-4, 23-25,-3"]);
    assert.deepEqual(JSON.parse(stdout), {
      status: 206,
      length: 0,
      defects: [],
      parts: [
        ["text/plain", "bytes 0-4/260", "abcde"],
        ["text/plain", "bytes 23-25/260", "xyz"],
        ["text/plain", "bytes 257-259/260", "xyz"],
      ],
    });
  });

  test("are what curl asks for with a list", { skip: noCurl }, async () => {
    const { stdout } = await run("curl", ["-sS", "-r", "0-1,26-27", url]);
    const parts = stdout.match(/^[a-z]{2}\r$/gm);
    assert.deepEqual(parts, ["ab\r", "ab\r"]);
  });

  test("leave the digest of the whole in the head, and no Content-Range", async () => {
    const response = await get("bytes=0-0,9-9");
    assert.equal(response.headers.get("content-range"), null); // RFC 9110 §15.3.7.2
    assert.equal(response.headers.get("content-digest"), null);
    assert.match(response.headers.get("repr-digest") ?? "", /^sha-512=:/);
    assert.match(response.headers.get("content-type") ?? "", /^multipart\/byteranges; boundary=/);
    assert.equal(response.headers.get("content-length"), String((await response.arrayBuffer()).byteLength));
  });

  /** What the parts of an answer say they are, in order. */
  async function parts(range: string): Promise<readonly string[]> {
    const response = await get(range);
    assert.equal(response.status, 206);
    const single = response.headers.get("content-range");
    const text = await response.text();
    return single === null ? (text.match(/(?<=Content-Range: )bytes .*(?=\r)/g) ?? []) : [single];
  }

  // RFC 9110 §15.3.7.2: overlapping ranges may be one; the order is that of the request.
  const cases: readonly (readonly [asked: string, answered: readonly string[]])[] = [
    ["bytes=9-12,5-8", ["bytes 5-12/260"]],
    ["bytes=0-9,5-14", ["bytes 0-14/260"]],
    ["bytes=0-99,10-20,30-40", ["bytes 0-99/260"]],
    ["bytes=200-210,0-10,205-220", ["bytes 200-220/260", "bytes 0-10/260"]],
    ["bytes=0-,1-,2-", ["bytes 0-259/260"]],
    ["bytes=1-1,300-400", ["bytes 1-1/260"]],
    ["bytes=1-1,-0", ["bytes 1-1/260"]],
    ["bytes=1-1,,\t3-3 ,", ["bytes 1-1/260", "bytes 3-3/260"]],
    [`bytes=${"0-,".repeat(3000)}`, ["bytes 0-259/260"]],
  ];
  for (const [asked, answered] of cases)
    test(`${asked.slice(0, 40)} is ${answered.join(" and ")}`, async () =>
      assert.deepEqual(await parts(asked), answered));

  const apart = (count: number) => `bytes=${Array.from({ length: count }, (_, at) => `${at * 2}-${at * 2}`).join()}`;

  test("more than a hundred parts are not taken apart: the whole is the answer", async () => {
    assert.equal((await parts(apart(100))).length, 100);
    const response = await get(apart(101));
    assert.deepEqual([response.status, await response.text()], [200, TEXT]);
  });

  test("one that is malformed makes the others void", async () => {
    for (const range of ["bytes=0-1,5-2", "bytes=0-1,x", "bytes=,", "bytes=0-1;4-5", "bytes=0-1,-"]) {
      const response = await get(range);
      assert.deepEqual([response.status, await response.text()], [200, TEXT], range);
    }
  });

  test("none of which holds a byte are 416 with the size", async () => {
    const response = await get("bytes=260-,999-1000,-0");
    assert.equal(response.headers.get("content-range"), "bytes */260");
    await problem(response, 416, "range_not_satisfiable");
  });

  test("of another version are void", async () => {
    const response = await get("bytes=0-0,9-9", { "if-range": '"other"' });
    assert.deepEqual([response.status, await response.text()], [200, TEXT]);
  });

  test("in 200 KB of text are more than a head may hold", async () => {
    const answer = await get(`bytes=${"0-0,".repeat(50_000)}1-1`);
    assert.equal(answer.status, 431);
    await answer.body?.cancel();
  });
});
