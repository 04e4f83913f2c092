import assert from "node:assert/strict";
import { appendFile, chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, problem, type WireJob } from "../http/client.ts";
import { type ServerProcess, startServer } from "../support/server.ts";

describe("verifying as a job", () => {
  let server: ServerProcess;
  before(async () => {
    server = await startServer();
  });
  after(() => server.stop());

  const ask = (body: unknown) =>
    fetch(`${server.url}/api/v1/verifications`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });

  async function verified(body: unknown): Promise<WireJob> {
    const response = await ask(body);
    assert.equal(response.status, 202, await response.clone().text());
    const { id } = (await response.json()) as WireJob;
    assert.equal(response.headers.get("location"), `/api/v1/jobs/${id}`);
    return finished(server, id);
  }

  test("a sound archive succeeds with what was counted, a damaged one fails with what is wrong", async () => {
    const { id } = await deposit(server, bundle({ "a.txt": "hello" }));
    await finished(server, id);
    const sound = await verified({});
    assert.equal(sound.state, "succeeded");
    assert.deepEqual([sound.result?.objects, sound.result?.problems], [1, 0]);

    const archive = join(server.dataDir, "archive");
    const damaged = (await readdir(archive, { recursive: true })).find((path) => path.endsWith("data/a.txt")) ?? "";
    await chmod(join(archive, damaged), 0o644);
    await appendFile(join(archive, damaged), "!");
    const failed = await verified({ transactions: [id] });
    assert.deepEqual([failed.state, failed.error?.code], ["failed", "verify_failed"]);
  });

  test("what is not a verification is refused, naming the field", async () => {
    const document = await problem(await ask({ parallel: 0 }), 400, "request_invalid");
    assert.match(JSON.stringify(document), /parallel/);
    await problem(await ask({ everything: true }), 400, "request_invalid");
  });
});
