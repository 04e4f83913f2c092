import type { KeyRing } from "../access/key-ring.ts";
import { AppError } from "../errors.ts";

/**
 * What all nodes on one database must have in common and would not notice by themselves.
 *
 * Adapter: `adapters/db/agreements.ts`. Contract: `test/conformance/agreements.ts`.
 */
export interface Agreements {
  /** Keeps the value if there is none yet: the first node's counts. @returns the one that is kept. */
  agree(subject: string, value: string): Promise<string>;
}

export const SECRET_KEY = "secret key";

/**
 * Whether this node has the key that the others sign links and seal secrets with. What is kept of it is derived (HKDF): it
 * leads to no other of its uses, nor back to the key.
 * @throws AppError secret_key_differs.
 */
export async function requireSameKey(agreements: Agreements, keys: KeyRing): Promise<void> {
  const own = keys.derive("agreement of nodes").toString("base64url");
  if ((await agreements.agree(SECRET_KEY, own)) === own) return;
  throw new AppError("secret_key_differs", {
    hint: "set LONGSHORE_SECRET_KEY to theirs: where none is set, it is in the file secret-key in the data folder of the node that was the first to start",
  });
}
