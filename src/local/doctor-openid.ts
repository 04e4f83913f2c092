import { systemClock } from "../adapters/system-clock.ts";
import { composeOpenid } from "../compose/openid.ts";
import { publicUrlOf } from "../compose/services.ts";
import { keyRing } from "../core/access/key-ring.ts";
import { AppError } from "../core/errors.ts";
import type { Config } from "../settings/config.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";
import { isLoopback } from "./loopback.ts";

const CHECK = "sign-in";

/** Whether somebody could go and sign in at the provider. Nobody does. */
export async function* signIn(config: Config, { issuer }: NonNullable<Config["openid"]>): AsyncGenerator<Finding> {
  const publicUrl = publicUrlOf(config);
  // What is sealed here is thrown away.
  const keys = keyRing("");
  try {
    const openid = await composeOpenid(config, { keys, clock: systemClock, publicUrl: () => publicUrl });
    await openid?.begin("/home");
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { reason = reasonOf(error) } = error.details;
    yield fail(CHECK, `${issuer}: ${reason}`, "Nobody can sign in there; tokens work. See docs/sign-in.md.");
    return;
  }
  const callback = `${publicUrl}/sign-in/openid/callback`;
  const { protocol, hostname } = new URL(publicUrl);
  if (protocol === "https:" || isLoopback(hostname)) yield ok(CHECK, `at ${issuer}, which comes back to ${callback}`);
  else yield warn(CHECK, `${callback} is not encrypted`, "Set LONGSHORE_PUBLIC_URL to an address with https://.");
}
