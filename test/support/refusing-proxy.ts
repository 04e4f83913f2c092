import { once } from "node:events";
import { createServer, type IncomingMessage, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";

/** An HTTP proxy that answers some requests in the server's place: what a busy or failing service does. */
export interface RefusingProxy {
  readonly url: string;
  /** Requests that were refused so far. */
  readonly refusals: number;
  /** @param choose a status for what is to be refused with it; `undefined` for what gets through. */
  refuse(choose: (request: IncomingMessage) => number | undefined): void;
  close(): Promise<void>;
}

export async function refusingProxy(target: string): Promise<RefusingProxy> {
  let choose: (request: IncomingMessage) => number | undefined = () => undefined;
  let refusals = 0;
  const server = createServer((request, response) => {
    const status = choose(request);
    if (status !== undefined) {
      refusals++;
      request.resume();
      // As Amazon's S3 says it.
      response.writeHead(status, { "content-type": "application/xml" });
      response.end(`<Error><Code>${status === 503 ? "SlowDown" : "InternalError"}</Code></Error>`);
      return;
    }
    const { method = "GET", headers, url = "/" } = request;
    // The host goes on as it came: it is part of what is signed.
    const upstream = send(new URL(url, target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      pipeline(answer, response).catch(() => response.destroy());
    });
    pipeline(request, upstream).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get refusals() {
      return refusals;
    },
    refuse(chosen) {
      choose = chosen;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
