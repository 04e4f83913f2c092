import { AppError } from "../errors.ts";
import { SCOPES, type Scope } from "./access-stores.ts";
import type { Claims, Refusal } from "./identity-provider.ts";

/** What an identity provider's words mean here. */
export interface PersonRules {
  /** The claim that holds the name under which somebody owns what they make. */
  readonly ownerClaim: string;
  /** The claim that lists groups. */
  readonly groupsClaim: string;
  readonly groupScopes: ReadonlyMap<string, readonly Scope[]>;
  /** What everybody may do who has signed in. */
  readonly defaultScopes: readonly Scope[];
}

/** Who somebody is here, and what they may do. */
export interface Person {
  readonly name: string;
  readonly scopes: readonly Scope[];
}

/** As owners of tokens: no control characters, and not too long. */
const NAME = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/** @throws AppError sign_in_refused: nameless, unverified, powerless. */
export function personOf(claims: Claims, rules: PersonRules): Person {
  const { ownerClaim, groupsClaim, groupScopes, defaultScopes } = rules;
  const said = claimOf(claims, ownerClaim);
  const name = typeof said === "string" ? said.trim() : "";
  if (!NAME.test(name)) throw refused("nameless", { claim: ownerClaim });
  // Whoever can write an address into an account somewhere is not yet its owner.
  if (neededClaims(rules).includes("email_verified") && claims.email_verified !== true)
    throw refused("unverified", { name });
  const granted = [
    ...defaultScopes,
    ...groupsIn(claimOf(claims, groupsClaim)).flatMap((one) => groupScopes.get(one) ?? []),
  ];
  const scopes = SCOPES.filter((scope) => granted.includes(scope));
  if (scopes.length === 0) throw refused("powerless", { name });
  return { name, scopes };
}

/** Whether there is everything that the rules look at. */
export function hasNeeded(claims: Claims, rules: PersonRules): boolean {
  return neededClaims(rules).every((name) => claimOf(claims, name) !== undefined);
}

function neededClaims({ ownerClaim, groupsClaim, groupScopes }: PersonRules): readonly string[] {
  const needed = [ownerClaim, ...(groupScopes.size > 0 ? [groupsClaim] : [])];
  return needed.includes("email") ? [...needed, "email_verified"] : needed;
}

/** By its name; or, where there is none of that name, by a path, such as `realm_access.roles`. */
function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let within: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof within !== "object" || within === null || !Object.hasOwn(within, part)) return undefined;
    within = (within as Claims)[part];
  }
  return within;
}

function groupsIn(said: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(said) ? said : [said];
  return list.filter((one) => typeof one === "string");
}

function refused(reason: Refusal, about: Readonly<Record<string, string>>): AppError {
  return new AppError("sign_in_refused", { reason, ...about });
}
