import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { paxHeader, tarMember, tarOf } from "../support/tars.ts";

export const CART_ID = "AAAAAAAAAAAAAAAAAAAAAA";

/** A server with one cart, whose download is whatever a test wants it to be. */
export interface CartServer {
  readonly url: string;
  /** The `Range` fields of the downloads so far; "" where there was none. */
  readonly ranges: readonly string[];
  /** How many times the cart itself was looked at. */
  readonly looks: number;
  /** From now on, this is the cart's download. */
  serve(archive: Uint8Array, facts: CartFacts): void;
}

export interface CartFacts {
  readonly files: number;
  readonly bytes: number;
  readonly name?: string;
  /** Derived from the archive when left out. */
  readonly etag?: string;
  /** Further fields of the cart. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export async function cartServer(t: TestContext): Promise<CartServer> {
  let current: { readonly archive: Uint8Array; readonly facts: CartFacts } | undefined;
  const ranges: string[] = [];
  let looks = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    if (!current || !path.startsWith(`/api/v1/carts/${CART_ID}`)) {
      response.writeHead(404, { "content-type": "application/problem+json" }).end('{"code":"cart_unknown"}');
      return;
    }
    const { archive, facts } = current;
    if (!path.includes("/download.")) {
      looks++;
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(cartOf(facts)));
      return;
    }
    const etag = facts.etag ?? `"${createHash("sha256").update(archive).digest("hex")}"`;
    const head = { etag, "content-length": archive.length };
    if (request.method === "HEAD") {
      response.writeHead(200, head).end();
      return;
    }
    ranges.push(request.headers.range ?? "");
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (first === undefined || request.headers["if-range"] !== etag) {
      response.writeHead(200, head).end(archive);
      return;
    }
    const end = last === "" ? archive.length - 1 : Number(last);
    const range = `bytes ${first}-${end}/${archive.length}`;
    const part = archive.subarray(Number(first), end + 1);
    response.writeHead(206, { ...head, "content-length": part.length, "content-range": range }).end(part);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ranges,
    get looks() {
      return looks;
    },
    serve(archive, facts) {
      current = { archive, facts };
      ranges.length = 0;
    },
  };
}

function cartOf({ files, bytes, name = "run", more }: CartFacts) {
  return {
    id: CART_ID,
    name,
    status: "ready",
    files,
    bytes,
    staged: { files, bytes },
    problems: [],
    problemCount: 0,
    ...more,
  };
}

/** What a test wants to be in a cart, by path in the archive below its top folder. */
export type CartContents = Readonly<Record<string, string | Uint8Array>>;

export interface CartTar extends CartFacts {
  readonly tar: Buffer;
}

/** A cart's tar as the server lays it out: the manifest, then the files in its order, all below one folder. */
export function cartTar(contents: CartContents, { manifest = manifestOf(contents), top = "run" } = {}): CartTar {
  const files = Object.entries(contents);
  const members = files.map(([path, content]) => member(`${top}/${path}`, content));
  return {
    tar: tarOf(tarMember({ name: `${top}/manifest-sha512.txt` }, manifest), ...members),
    ...factsOf(contents),
  };
}

export function factsOf(contents: CartContents): CartFacts {
  const bytes = Object.values(contents).reduce((sum, content) => sum + Buffer.byteLength(content), 0);
  return { files: Object.keys(contents).length, bytes };
}

export function member(name: string, content: string | Uint8Array): Buffer {
  const isUstar = name.length <= 100 && /^[\x20-\x7e]*$/.test(name);
  if (isUstar) return tarMember({ name }, content);
  return Buffer.concat([paxHeader({ path: name }), tarMember({ name: "stand-in" }, content)]);
}

/** In the form of `sha512sum`. */
export function manifestOf(contents: CartContents): string {
  return Object.entries(contents)
    .map(([path, content]) => `${createHash("sha512").update(content).digest("hex")}  ${path}\n`)
    .join("");
}
