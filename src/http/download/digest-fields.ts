import { type DigestName, type Digests, digestLength } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";

/** The algorithms of RFC 9530 §5 that are meant for security; the others are of no use to us. */
const FIELD_NAMES = { "sha-256": "sha256", "sha-512": "sha512" } as const satisfies Record<string, DigestName>;

/** One member of a dictionary of byte sequences with its parameters (RFC 9651 §3.2, §3.3.5). */
const MEMBER = /^(?<key>[a-z*][a-z0-9_.*-]*)=:(?<value>[A-Za-z0-9+/]*={0,2}):(?:[ ]*;[^,"]*)?$/;

/**
 * The digests that a request promises in `Content-Digest` and `Repr-Digest` (RFC 9530 §2, §3). Bundles have no content
 * coding, so both speak of the same bytes. Algorithms that are not known are passed over, as §2 says.
 * @throws AppError request_invalid for a field that is malformed, or two fields that contradict each other.
 */
export function promisedDigests(
  fields: Readonly<Record<"content-digest" | "repr-digest", string | string[] | undefined>>,
): Digests {
  const promised: Partial<Record<DigestName, string>> = {};
  for (const [field, text] of Object.entries(fields)) {
    if (text === undefined) continue;
    for (const member of [text].flat().join(",").split(",")) {
      const { key = "", value = "" } = MEMBER.exec(member.trim())?.groups ?? {};
      if (key === "") throw new AppError("request_invalid", { field, expected: "sha-256=:<base64>:", found: member });
      if (!isKnown(key)) continue;
      const name = FIELD_NAMES[key];
      const hex = Buffer.from(value, "base64").toString("hex");
      if (hex.length !== digestLength(name))
        throw new AppError("request_invalid", { field, expected: `${digestLength(name) / 2} bytes`, found: member });
      if (promised[name] !== undefined && promised[name] !== hex)
        throw new AppError("request_invalid", { field, reason: `two different values for ${key}` });
      promised[name] = hex;
    }
  }
  return promised;
}

/** The same for an answer; empty when none of the digests has a name in RFC 9530. */
export function digestField(digests: Digests): string {
  return Object.entries(FIELD_NAMES)
    .flatMap(([key, name]) => {
      const hex = digests[name];
      return hex === undefined ? [] : [`${key}=:${Buffer.from(hex, "hex").toString("base64")}:`];
    })
    .join(", ");
}

function isKnown(key: string): key is keyof typeof FIELD_NAMES {
  return key in FIELD_NAMES;
}
