import { parseToken } from "../../core/access/tokens.ts";

/**
 * Clients of Elasticsearch have passwords and API keys instead of tokens. A token is taken for either: as it is, as the
 * password of whoever, or as its two halves (`lsh_<half>_<half>`).
 * @param authorization as it came: `Basic`, `ApiKey` or `Bearer`.
 * @returns as a bearer token's field.
 */
export function bearerOf(authorization: string | undefined): string | undefined {
  const [, scheme = "", credentials = ""] = /^(basic|apikey) +(\S+) *$/i.exec(authorization ?? "") ?? [];
  if (scheme === "") return authorization;
  const decoded = Buffer.from(credentials, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  const [name, secret] = colon < 0 ? ["", decoded] : [decoded.slice(0, colon), decoded.slice(colon + 1)];
  const token = [credentials, secret, `lsh_${name}_${secret}`].find((text) => parseToken(text) !== undefined);
  return token === undefined ? undefined : `Bearer ${token}`;
}
