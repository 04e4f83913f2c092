import assert from "node:assert/strict";
import { get as httpGet, type IncomingMessage } from "node:http";
import { bundle } from "./bundle.ts";
import { deposit, finished, json } from "./client.ts";
import type { RealServer } from "./real-server.ts";

export interface WireCart {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly status: string;
  readonly files: number;
  readonly bytes: number;
  readonly staged: { readonly files: number; readonly bytes: number };
  readonly problems: readonly { readonly code: string; readonly path?: string }[];
  readonly problemCount: number;
  readonly downloads: number;
  readonly links: { readonly tar: string; readonly zip: string; readonly manifest: string; readonly files: string };
  readonly expiresAt: string | null;
}

type Fields = Readonly<Record<string, string>>;

export interface Deposited {
  readonly transaction: number;
  /** Ids by path below `data/`. */
  readonly ids: Readonly<Record<string, number>>;
}

/** Deposits files and waits until they are archived. */
export async function depositFiles(
  server: Pick<RealServer, "url">,
  files: Readonly<Record<string, string | Uint8Array>>,
  headers: Fields = {},
): Promise<Deposited> {
  const { id } = await deposit(server, bundle(files), headers);
  assert.equal((await finished(server, id, headers)).state, "succeeded");
  const { items } = await json<{ items: { id: number; path: string }[] }>(
    `${server.url}/api/v1/transactions/${id}/files?limit=1000`,
    headers,
  );
  return {
    transaction: id,
    ids: Object.fromEntries(items.map(({ id, path }) => [path.replace("data/", ""), id])),
  };
}

export function postCart(server: Pick<RealServer, "url">, body: unknown, headers: Fields = {}): Promise<Response> {
  return fetch(`${server.url}/api/v1/carts`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  });
}

/** Makes a cart and expects it to be ready. */
export async function readyCart(
  server: Pick<RealServer, "url">,
  body: unknown,
  headers: Fields = {},
): Promise<WireCart> {
  const response = await postCart(server, body, headers);
  const text = await response.text();
  assert.equal(response.status, 201, text);
  const cart = JSON.parse(text) as WireCart;
  assert.equal(cart.status, "ready", text);
  return cart;
}

export function getCart(server: Pick<RealServer, "url">, id: string, headers: Fields = {}): Promise<WireCart> {
  return json<WireCart>(`${server.url}/api/v1/carts/${id}`, headers);
}

/** 3 MB that no two places of look alike. */
export const BIG = Buffer.from(
  Array.from({ length: 3_000_000 / 8 }, (_, at) => at.toString(36).padStart(8, "-")).join(""),
);

/** The answer to a GET, of which nothing is read yet. */
export function begun(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpGet(url, (answer) => {
      answer.once("readable", () => resolve(answer));
      answer.once("error", () => {}); // the test breaks the connection itself
    }).once("error", reject);
  });
}
