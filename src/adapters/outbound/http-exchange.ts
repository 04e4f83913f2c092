import { lookup as resolveName } from "node:dns";
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { AppError } from "../../core/errors.ts";
import type { Exchange, ExchangeRequest } from "../../core/outbound/exchange.ts";

const AGENT = { keepAlive: true, keepAliveMsecs: 10_000, maxFreeSockets: 16, timeout: 60_000 } as const;

/**
 * Exchanges over the runtime's own HTTP client. An address is judged where it is used: in the very look-up whose result
 * the connection is made to, so that a name cannot be one thing when it is checked and another when it is called.
 * A connection is kept for requests of the same origin, which were judged alike.
 *
 * @param resolve stands in for the system's resolver in tests.
 */
export function httpExchange({ resolve = resolveName }: { readonly resolve?: typeof resolveName } = {}): Exchange {
  const plain = new HttpAgent(AGENT);
  const secure = new HttpsAgent(AGENT);

  const exchange = ({ method, url, headers, body, admit, headMs, silenceMs, signal }: ExchangeRequest) =>
    new Promise<Awaited<ReturnType<Exchange>>>((done, failed) => {
      signal.throwIfAborted();
      const literal = url.hostname.replace(/^\[|\]$/g, "");
      // No look-up is made for a literal.
      const objection = isIP(literal) === 0 ? undefined : admit(literal);
      if (objection !== undefined) throw refused(url, literal, objection);

      const options: RequestOptions = {
        method,
        headers: body === undefined ? headers : { ...headers, "content-length": Buffer.byteLength(body) },
        lookup: judged(url, admit, resolve),
        signal,
      };
      const outgoing: ClientRequest =
        url.protocol === "https:"
          ? httpsRequest(url, { ...options, agent: secure })
          : httpRequest(url, { ...options, agent: plain });
      const late = setTimeout(() => outgoing.destroy(unavailable(url, `no answer within ${headMs / 1000} s`)), headMs);
      outgoing.once("error", (error) => {
        clearTimeout(late);
        failed(signal.aborted ? signal.reason : translated(error, url));
      });
      outgoing.once("response", (incoming: IncomingMessage) => {
        clearTimeout(late);
        // Later trouble with the connection comes out of the body.
        outgoing.on("error", () => undefined);
        breakSilence(incoming, silenceMs, url);
        done({ status: incoming.statusCode ?? 0, headers: joined(incoming.headers), body: incoming });
      });
      outgoing.end(body);
    });

  return Object.assign(exchange, {
    close() {
      plain.destroy();
      secure.destroy();
    },
  });
}

/** Breaks a body off whose sender says nothing for so long, though there is room for more. */
function breakSilence(incoming: IncomingMessage, silenceMs: number, url: URL): void {
  const { socket } = incoming;
  const silent = () => {
    if (incoming.readableLength >= incoming.readableHighWaterMark) socket.setTimeout(silenceMs);
    else incoming.destroy(unavailable(url, `silent for ${silenceMs / 1000} s`));
  };
  socket.setTimeout(silenceMs);
  socket.on("timeout", silent);
  incoming.once("close", () => socket.off("timeout", silent));
}

/** A resolver that gives out only what may be called; when nothing is left, it says why. */
function judged(url: URL, admit: ExchangeRequest["admit"], resolve: typeof resolveName): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, "");
      const fit = addresses.filter(({ address }) => admit(address) === undefined);
      const [first] = fit;
      if (!first) {
        const address = addresses[0]?.address ?? "";
        return done(refused(url, address, admit(address) ?? "no address"), "");
      }
      if (options.all) done(null, fit);
      else done(null, first.address, first.family);
    });
  };
}

function refused(url: URL, address: string, reason: string): AppError {
  return new AppError("fetch_refused", { origin: url.origin, address, found: reason, expected: "a public address" });
}

function unavailable(url: URL, reason: string, cause?: Error): AppError {
  return new AppError("remote_unavailable", { origin: url.origin, reason }, cause ? { cause } : {});
}

/** OpenSSL's and the HTTP parser's complaints are lasting; everything else about a connection may pass. */
function translated(error: NodeJS.ErrnoException, url: URL): AppError {
  if (error instanceof AppError) return error;
  const code = error.code ?? error.message;
  const lasting = /^(HPE_|ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code);
  if (lasting) return new AppError("remote_refused", { origin: url.origin, found: code }, { cause: error });
  return unavailable(url, code, error);
}

function joined(headers: IncomingMessage["headers"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
}
