import { readFile } from "node:fs/promises";
import { openidClient } from "../adapters/openid/openid-client.ts";
import type { KeyRing } from "../core/access/key-ring.ts";
import { hasNeeded } from "../core/access/people.ts";
import { type ProviderSignIn, providerSignIn } from "../core/access/provider-sign-in.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Config } from "../settings/config.ts";

/**
 * Signing in at the provider that the settings name; its library is loaded when they name one.
 * @param publicUrl under which browsers reach the server. @throws AppError driver_missing, config_invalid.
 */
export async function composeOpenid(
  { openid }: Pick<Config, "openid">,
  { keys, clock, publicUrl }: { readonly keys: KeyRing; readonly clock: Clock; publicUrl(): string },
): Promise<ProviderSignIn | undefined> {
  if (openid === undefined) return undefined;
  const { issuer, name, rules, clientSecretFile, clientSecret = await secretIn(clientSecretFile), ...client } = openid;
  const provider = await openidClient({
    ...client,
    issuer,
    clientSecret,
    isEnough: (claims) => hasNeeded(claims, rules),
    clock,
  });
  return providerSignIn({ provider, issuer, name, rules, keys, clock, publicUrl });
}

async function secretIn(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    const secret = (await readFile(path, "utf8")).trim();
    if (secret !== "") return secret;
  } catch (error) {
    throw new AppError("config_invalid", { path, expected: "a file that can be read" }, { cause: error });
  }
  throw new AppError("config_invalid", { path, expected: "a file that holds a secret" });
}
