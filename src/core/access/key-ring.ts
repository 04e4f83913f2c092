import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";

/** Everything that hangs on the server's secret key. Nobody else sees the key itself. */
export interface KeyRing {
  /** A key for one purpose: 32 bytes that tell nothing of those for other purposes. */
  derive(purpose: string): Buffer;
  /** Encrypts a short secret, so that the database alone does not give it away. Twice the same secret: another text. */
  seal(secret: string): string;
  /** `undefined` when the text was not sealed under this key, or was changed. */
  unseal(sealed: string): string | undefined;
  /** Stands for a secret where equal ones must be found: equal secrets, equal text, and no way back. */
  fingerprint(secret: string): string;
}

const ALGORITHM = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param secretKey the setting, or what is kept in the data folder: any text of 32 characters and more. */
export function keyRing(secretKey: string): KeyRing {
  // HKDF (RFC 5869) without salt: the key is random already, the purpose keeps its children apart.
  const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", secretKey, "", `longshore ${purpose}`, 32));
  const sealing = derive("seal");
  const naming = derive("fingerprint");

  return {
    derive,
    seal(secret) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, sealing, nonce, { authTagLength: TAG_BYTES });
      const sealed = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64url");
    },
    unseal(text) {
      const bytes = Buffer.from(text, "base64url");
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv(ALGORITHM, sealing, nonce, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const opened = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      try {
        return Buffer.concat([opened, decipher.final()]).toString("utf8");
      } catch {
        return undefined; // the tag does not fit: another key, or another text
      }
    },
    fingerprint: (secret) => createHmac("sha256", naming).update(secret).digest("hex"),
  };
}

/** What was sealed as JSON. `undefined` when it is none of ours, or no JSON. */
export function unsealJson(keys: KeyRing, sealed: string): unknown {
  const opened = keys.unseal(sealed);
  if (opened === undefined) return undefined;
  try {
    return JSON.parse(opened);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
