import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** One request to an S3 server, as the proxy sees it. */
export interface S3Request {
  readonly method: string;
  /** Bucket and key, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
}

/** What becomes of a request; forwarded untouched when there is nothing. */
export type Interference =
  /** Answered in the server's place. */
  | { readonly status: number; readonly code?: string; readonly headers?: Readonly<Record<string, string>> }
  /** Forwarded; these headers of the answer are others. */
  | { readonly answer: Readonly<Record<string, string>> }
  /** Forwarded; half of the body comes, and is said to be all. */
  | { readonly half: true }
  /** Carried out by the server, and the answer lost. */
  | { readonly lost: true };

/** An S3 server whose answers can be meddled with: what it says of Glacier, or says wrongly. */
export interface S3Proxy {
  readonly url: string;
  /** So many requests were interfered with. */
  readonly interfered: number;
  interfere(how: (request: S3Request) => Interference | undefined): void;
  close(): Promise<void>;
}

export async function s3Proxy(target: string): Promise<S3Proxy> {
  const { hostname, port } = new URL(target);
  let how: (request: S3Request) => Interference | undefined = () => undefined;
  let interfered = 0;

  async function forward(incoming: IncomingMessage, outgoing: ServerResponse, what: Interference | undefined) {
    const { method, url, headers } = incoming;
    const body = await buffer(incoming);
    if (what && "status" in what) {
      outgoing.writeHead(what.status, { "content-type": "application/xml", ...what.headers });
      outgoing.end(
        what.code === undefined ? "" : `<Error><Code>${what.code}</Code><Message>so it goes</Message></Error>`,
      );
      return;
    }
    const upstream = request({ hostname, port, method, path: url, headers });
    upstream.end(body);
    const [answer] = (await once(upstream, "response")) as [IncomingMessage];
    const bytes = await buffer(answer);
    if (what && "lost" in what) {
      outgoing.destroy();
      return;
    }
    const isHalf = what !== undefined && "half" in what;
    const sent = isHalf ? bytes.subarray(0, bytes.length >> 1) : bytes;
    const length = isHalf ? { "content-length": String(sent.length) } : {};
    outgoing.writeHead(answer.statusCode ?? 500, {
      ...answer.headers,
      ...(what && "answer" in what && what.answer),
      ...length,
    });
    outgoing.end(method === "HEAD" ? undefined : sent);
  }

  const server = createServer((incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? "/", target);
    const what = how({
      method: incoming.method ?? "",
      path: decodeURIComponent(pathname.slice(1)),
      query: searchParams,
      headers: incoming.headers,
    });
    if (what) interfered += 1;
    // The client has gone, or the server: both are what a client must live with.
    forward(incoming, outgoing, what).catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get interfered() {
      return interfered;
    },
    interfere(next) {
      how = next;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
