import { LongshoreError } from "../errors.ts";

/** What is asked for where nothing else is said; names that the Python SDK knows, and what they stand for. */
export const DEFAULT_SCOPES: readonly string[] = [
  "openid",
  "search",
  "transfer",
  "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all",
];

export interface LoginOptions {
  /** Longshore's, as `longshore token create` shows it. A server that is open on this machine needs none. */
  readonly token?: string;
  /** File of the user's with tokens by server: `{"http://127.0.0.1:7700": "lsh_…"}`. Node only. */
  readonly tokenFile?: string;
  /** Gets a token from the person or from somewhere; asked when there is none. What it returns goes to `tokenFile`. */
  readonly login?: (request: { readonly url: string; readonly scopes: readonly string[] }) => Promise<string>;
  /** Asks `login` although there is a token. */
  readonly forceLogin?: boolean;
  /** Added to the default ones, and shown to `login`: what a token of Longshore's allows is said where it is made. */
  readonly authScopes?: readonly string[];
}

/**
 * The token to present to a server, if any. Globus is never asked: stores of Globus are opened by the server, with a token
 * of its own.
 * @throws LongshoreError token_missing when a new login is wanted and there is nobody to ask; local_file_unusable.
 */
export async function logIn(url: string, options: LoginOptions): Promise<string | undefined> {
  const { token, tokenFile, login, forceLogin = false, authScopes = [] } = options;
  const kept = tokenFile === undefined ? {} : await keptTokens(tokenFile);
  const known = token ?? kept[url];
  if (known !== undefined && !forceLogin) return known;
  if (!login) {
    if (!forceLogin) return undefined;
    throw new LongshoreError("token_missing", "To log in anew, XtractClient has to be given a `login`.");
  }
  const fresh = await login({ url, scopes: [...DEFAULT_SCOPES, ...authScopes] });
  if (tokenFile !== undefined) await keepTokens(tokenFile, { ...kept, [url]: fresh });
  return fresh;
}

type Tokens = Readonly<Record<string, string>>;

async function keptTokens(path: string): Promise<Tokens> {
  const { readFile } = await import("node:fs/promises");
  try {
    const tokens: unknown = JSON.parse(await readFile(path, "utf8"));
    if (isTokens(tokens)) return tokens;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return {};
    throw unusable(path, cause);
  }
  throw unusable(path);
}

async function keepTokens(path: string, tokens: Tokens): Promise<void> {
  const { rename, writeFile } = await import("node:fs/promises");
  const text = `${JSON.stringify(tokens, null, 2)}\n`;
  try {
    // Whole or not at all, and for nobody else's eyes.
    await writeFile(`${path}.part`, text, { mode: 0o600 });
    await rename(`${path}.part`, path);
  } catch (cause) {
    throw unusable(path, cause);
  }
}

function isTokens(value: unknown): value is Tokens {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((token) => typeof token === "string")
  );
}

function unusable(path: string, cause?: unknown): LongshoreError {
  const reason = cause instanceof Error ? cause.message : 'expected {"server": "token"}';
  return new LongshoreError("local_file_unusable", `${path} cannot be used for tokens: ${reason}.`, {
    details: { path },
    cause,
  });
}
