import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import type { RealServer } from "./real-server.ts";

/** The few fields that tests look at; everything else of an answer is compared where it matters. */
export interface WireJob {
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  readonly owner: string;
  readonly task: { readonly name: string; readonly percent: number } | null;
  readonly tasks: readonly { readonly name: string }[];
  readonly error: { readonly code: string; readonly message: string; readonly details: Record<string, unknown> } | null;
  readonly result: Record<string, unknown> | null;
  readonly finishedAt: string | null;
}

type Fields = Readonly<Record<string, string>>;

/** Deposits a bundle and expects 202. */
export async function deposit(
  server: Pick<RealServer, "url">,
  body: Uint8Array<ArrayBuffer>,
  headers: Fields = {},
): Promise<WireJob> {
  const response = await fetch(`${server.url}/api/v1/bundles`, {
    method: "POST",
    body,
    headers: { "content-type": "application/x-tar", ...headers },
  });
  assert.equal(response.status, 202, await response.clone().text());
  const job = (await response.json()) as WireJob;
  assert.equal(response.headers.get("location"), `/api/v1/jobs/${job.id}`);
  return job;
}

/** Waits until the job is finished, however it ends. */
export async function finished(
  server: Pick<RealServer, "url">,
  id: number,
  headers: Fields = {},
  limitMs?: number,
): Promise<WireJob> {
  let job: WireJob | undefined;
  const isFinished = async () => {
    job = await json<WireJob>(`${server.url}/api/v1/jobs/${id}`, headers);
    return job.finishedAt !== null;
  };
  await until(`job ${id} is finished`, isFinished, limitMs);
  assert.ok(job);
  return job;
}

/** Deposits one file and gives the address of its content. */
export async function archived(
  server: Pick<RealServer, "url">,
  name: string,
  content: string | Uint8Array,
  mediaType = "text/plain",
): Promise<string> {
  const { id } = await deposit(server, bundle({ [name]: content }, { mediaType }));
  assert.equal((await finished(server, id)).state, "succeeded");
  const { items } = await json<{ items: { id: number }[] }>(`${server.url}/api/v1/transactions/${id}/files`);
  return `${server.url}/api/v1/files/${items[0]?.id}/content`;
}

export async function json<T>(url: string, headers: Fields = {}): Promise<T> {
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as T;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly details: Record<string, unknown>;
  readonly requestId: string;
}

/** Expects a problem document with this status and code, of the form that every one has (RFC 9457). */
export async function problem(response: Response, status: number, code: string): Promise<Problem> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
  const document = JSON.parse(text) as Problem;
  assert.deepEqual(Object.keys(document), ["type", "title", "status", "code", "detail", "details", "requestId"]);
  assert.equal(document.code, code, text);
  assert.equal(document.status, status);
  assert.equal(document.type, `/docs/errors#${code}`);
  assert.equal(document.requestId, response.headers.get("x-request-id"));
  assert.ok(!text.includes("node_modules") && !text.includes("    at "), "a stack trace got out");
  return document;
}

/** Sends bytes over a socket as they are and reads until the server closes. */
export async function raw(server: Pick<RealServer, "url">, text: string): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let answer = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    answer += chunk;
  });
  socket.write(text);
  await once(socket, "close");
  return answer;
}
