import { AppError } from "../errors.ts";
import { notPublic } from "./public-address.ts";

/** Where requests may go. */
export interface Origins {
  /**
   * Judges an address before anything is sent.
   * @returns how to judge the IP address that it turns out to have: the reason to refuse it, or `undefined`.
   * @throws AppError fetch_refused.
   */
  admit(url: URL): (address: string) => string | undefined;
}

interface Rule {
  readonly scheme: string;
  /** With dots, in lower case; of a wildcard what follows the star. */
  readonly host: string;
  readonly port: string;
  readonly wildcard: boolean;
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };
const WILDCARD = /^(https?:)\/\/\*(\.[a-z0-9.-]+)?(?::(\d+|\*))?\/?$/i;

/**
 * Reads one entry of the setting: `https://data.example.org`, `http://127.0.0.1:5000`, `https://*.example.org`,
 * `https://*` (any host). Scheme and port are part of it.
 * @returns `undefined` when it is none of these.
 */
export function originRule(text: string): Rule | undefined {
  const [, scheme, host = "", port] = WILDCARD.exec(text) ?? [];
  if (scheme !== undefined) {
    const lower = scheme.toLowerCase();
    return { scheme: lower, host: host.toLowerCase(), port: port ?? DEFAULT_PORTS[lower] ?? "", wildcard: true };
  }
  if (!/^https?:\/\/[^*]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "" || url.pathname !== "/")
    return undefined;
  return { scheme: url.protocol, host: hostOf(url), port: portOf(url), wildcard: false };
}

/**
 * An origin that is named in full may be anywhere, this machine included: whoever runs the server has named it. What a
 * wildcard covers must be at a public address.
 * @param texts entries that {@link originRule} reads.
 */
export function allowedOrigins(texts: readonly string[]): Origins {
  const rules = texts.flatMap((text) => originRule(text) ?? []);
  return {
    admit(url) {
      if (url.protocol !== "http:" && url.protocol !== "https:")
        throw refused(url, { expected: "http or https", found: url.protocol.slice(0, -1) });
      if (url.username !== "" || url.password !== "") throw refused(url, { found: "credentials in the address" });
      const fitting = rules.filter((rule) => fits(rule, url));
      if (fitting.length === 0) throw refused(url, { expected: "an origin named in LONGSHORE_FETCH_ORIGINS" });
      return fitting.some((rule) => !rule.wildcard) ? () => undefined : notPublic;
    },
  };
}

function refused(url: URL, details: Readonly<Record<string, string>>): AppError {
  // `origin` is "null" for schemes that have none.
  return new AppError("fetch_refused", { origin: url.origin === "null" ? url.protocol : url.origin, ...details });
}

function fits({ scheme, host, port, wildcard }: Rule, url: URL): boolean {
  if (scheme !== url.protocol || (port !== "*" && port !== portOf(url))) return false;
  const name = hostOf(url);
  return wildcard ? name.endsWith(host) && name.length > host.length : name === host;
}

const portOf = (url: URL) => url.port || (DEFAULT_PORTS[url.protocol] ?? "");
/** A name may end in the root's dot. */
const hostOf = (url: URL) => url.hostname.toLowerCase().replace(/\.$/, "");
