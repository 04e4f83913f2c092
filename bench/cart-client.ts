import { once } from "node:events";
import { Agent, get, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

export interface BenchCart {
  readonly id: string;
  readonly status: string;
  readonly links: { readonly tar: string; readonly zip: string };
}

/** Makes a cart. @returns it, ready, and how long that took. */
export async function makeCart(
  url: string,
  choice: object,
): Promise<{ readonly cart: BenchCart; readonly ms: number }> {
  const start = performance.now();
  // Not `fetch`, which waits for five minutes at most: a million files may take longer on a busy machine.
  const asking = request(`${url}/api/v1/carts`, { method: "POST", headers: { "content-type": "application/json" } });
  asking.end(JSON.stringify(choice));
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 201) throw new Error(`No cart: ${body}`);
  const cart = JSON.parse(body) as BenchCart;
  if (cart.status !== "ready") throw new Error(`The cart is ${cart.status}: ${body}`);
  return { cart, ms: performance.now() - start };
}

/** Every file of a transaction. */
export async function fileIds(url: string, transaction: number): Promise<readonly number[]> {
  const ids: number[] = [];
  for (let cursor = ""; ; ) {
    const response = await fetch(`${url}/api/v1/transactions/${transaction}/files?limit=1000${cursor}`);
    const page = (await response.json()) as { items: { id: number }[]; next: string | null };
    ids.push(...page.items.map(({ id }) => id));
    if (page.next === null) return ids;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}

export async function sizeOf(url: string): Promise<number> {
  const response = await fetch(url, { method: "HEAD" });
  return Number(response.headers.get("content-length"));
}

/** Milliseconds from the request, on a connection of its own, to the first byte of the body; the rest is not read. */
export async function firstByteMs(url: string, from = 0): Promise<number> {
  const start = performance.now();
  const response = await answer(url, { range: `bytes=${from}-` }, undefined);
  await new Promise((resolve) => response.once("data", resolve));
  const ms = performance.now() - start;
  response.destroy();
  return ms;
}

/** Fetches ranges one after the other over one connection. @returns milliseconds for each, with its last byte. */
export async function rangesMs(url: string, ranges: readonly (readonly [start: number, end: number])[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (const [start, end] of ranges) {
    const began = performance.now();
    const response = await answer(url, { range: `bytes=${start}-${end}` }, agent);
    let bytes = 0;
    for await (const chunk of response) bytes += chunk.length;
    if (bytes !== end - start + 1) throw new Error(`${bytes} bytes came for ${start} to ${end}.`);
    times.push(performance.now() - began);
  }
  agent.destroy();
  return times;
}

function answer(url: string, headers: Record<string, string>, agent: Agent | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { headers, ...(agent && { agent }) }, (response) => {
      if (response.statusCode === 206) resolve(response);
      else reject(new Error(`${url} was answered with ${response.statusCode}.`));
    }).on("error", reject);
  });
}
