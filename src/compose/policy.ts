import { readFile } from "node:fs/promises";
import { pacificaPolicy } from "../adapters/pacifica/policy.ts";
import { AppError } from "../core/errors.ts";
import { allPolicies, type Policy } from "../core/ingest/policy/policy.ts";
import { rulesPolicy } from "../core/ingest/policy/rules.ts";
import type { httpSend } from "../core/outbound/send.ts";
import type { Config } from "../settings/config.ts";

/** Every policy the settings name must agree; with none, everything may be deposited. */
export async function composePolicy(config: Config, send: ReturnType<typeof httpSend>): Promise<Policy> {
  const policies: Policy[] = [];
  if (config.policyFile !== undefined) {
    const { readRules } = await import("../core/ingest/policy/rules-file.ts");
    policies.push(rulesPolicy(readRules(await policyText(config.policyFile))));
  }
  if (config.policyUrl !== undefined)
    policies.push(pacificaPolicy({ url: config.policyUrl, userHeader: config.authHeader, send }));
  return allPolicies(...policies);
}

async function policyText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new AppError("policy_invalid", { path, expected: "a file that can be read" }, { cause: error });
  }
}
