import { z } from "zod";
import { SCOPES, type Scope } from "../core/access/access-stores.ts";
import { AppError } from "../core/errors.ts";
import { folder, httpUrl, refuse, text } from "./setting-forms.ts";

const ISSUER = "LONGSHORE_OPENID_ISSUER";

/** Settings of signing in at an identity provider; a part of `SETTINGS` in `config.ts`. See docs/sign-in.md. */
export const OPENID_SETTINGS = {
  LONGSHORE_OPENID_ISSUER: httpUrl
    .refine((input) => !URL.canParse(input) || isSafe(new URL(input)), "expected https://, or http:// on this machine")
    .optional()
    .describe(
      "OpenID Connect provider that people may sign in at: the issuer, as its metadata have it; see docs/sign-in.md.",
    ),
  LONGSHORE_OPENID_NAME: text
    .max(100, "expected at most 100 characters")
    .optional()
    .describe("What people call it, for the button. The issuer's host when not set."),
  LONGSHORE_OPENID_CLIENT_ID: text.optional().describe("Id that the provider has given to this Longshore."),
  LONGSHORE_OPENID_CLIENT_SECRET: text.optional().describe("Secret that belongs to it.").meta({ secret: true }),
  LONGSHORE_OPENID_CLIENT_SECRET_FILE: folder.optional().describe("File that holds this secret, and nothing else."),
  LONGSHORE_OPENID_CLIENT_AUTH: z
    .enum(["post", "basic"])
    .prefault("post")
    .describe("How the secret is shown to the provider: post (client_secret_post) or basic (client_secret_basic)."),
  LONGSHORE_OPENID_SCOPES: text
    .refine((input) => input.split(/\s+/).includes("openid"), "expected scopes separated by spaces, openid among them")
    .prefault("openid profile email")
    .describe("Scopes that the provider is asked for, separated by spaces."),
  LONGSHORE_OPENID_OWNER_CLAIM: text
    .prefault("preferred_username")
    .describe(
      "Claim that names the owner of what somebody makes. Who has none cannot sign in. email must be verified.",
    ),
  LONGSHORE_OPENID_GROUPS_CLAIM: text
    .prefault("groups")
    .describe("Claim that lists somebody's groups or roles; may be a path, such as realm_access.roles."),
  LONGSHORE_OPENID_GROUP_SCOPES: text
    .transform(groupScopes)
    .prefault("{}")
    .describe(
      'What members of a group may do: group=scope,scope;… or JSON, {"group": ["scope"]}. Scopes: deposit, read, crawl, operate, admin.',
    ),
  LONGSHORE_OPENID_DEFAULT_SCOPES: text
    .transform((input, context) => (input.trim() === "none" ? [] : scopesIn(input.split(","), context)))
    .prefault("read")
    .describe("What everybody may do who has signed in there, separated by commas, or none."),
} as const;

type Given = z.output<z.ZodObject<typeof OPENID_SETTINGS>>;

/** @throws AppError config_invalid when settings do not go together. */
export function openidConfig(e: Given) {
  const problems = contradictions(e);
  if (problems.length > 0) throw new AppError("config_invalid", { problems });
  const { LONGSHORE_OPENID_ISSUER: issuer, LONGSHORE_OPENID_CLIENT_ID: clientId } = e;
  if (issuer === undefined || clientId === undefined) return { openid: undefined };
  return {
    openid: {
      issuer,
      name: e.LONGSHORE_OPENID_NAME ?? new URL(issuer).host,
      clientId,
      clientSecret: e.LONGSHORE_OPENID_CLIENT_SECRET,
      clientSecretFile: e.LONGSHORE_OPENID_CLIENT_SECRET_FILE,
      clientAuth: e.LONGSHORE_OPENID_CLIENT_AUTH,
      scopes: e.LONGSHORE_OPENID_SCOPES,
      rules: {
        ownerClaim: e.LONGSHORE_OPENID_OWNER_CLAIM,
        groupsClaim: e.LONGSHORE_OPENID_GROUPS_CLAIM,
        groupScopes: e.LONGSHORE_OPENID_GROUP_SCOPES,
        defaultScopes: e.LONGSHORE_OPENID_DEFAULT_SCOPES,
      },
    },
  } as const;
}

function contradictions(e: Given): readonly string[] {
  const { LONGSHORE_OPENID_ISSUER: issuer, LONGSHORE_OPENID_CLIENT_ID: clientId } = e;
  const hasBoth = e.LONGSHORE_OPENID_CLIENT_SECRET !== undefined && e.LONGSHORE_OPENID_CLIENT_SECRET_FILE !== undefined;
  return [
    ...(issuer !== undefined && clientId === undefined ? [`LONGSHORE_OPENID_CLIENT_ID: expected with ${ISSUER}.`] : []),
    ...(issuer === undefined && clientId !== undefined ? [`${ISSUER}: expected with LONGSHORE_OPENID_CLIENT_ID.`] : []),
    ...(hasBoth ? ["LONGSHORE_OPENID_CLIENT_SECRET_FILE: expected without LONGSHORE_OPENID_CLIENT_SECRET."] : []),
  ];
}

/** What is said on the way to a provider of this machine is heard by nobody else. */
function isSafe({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

const Json = z.record(z.string(), z.array(z.string()));

function groupScopes(input: string, context: z.RefinementCtx): ReadonlyMap<string, readonly Scope[]> {
  const pairs = input.trim().startsWith("{") ? jsonPairs(input) : linePairs(input);
  if (pairs === undefined) return refuse(context, 'expected group=scope,scope;… or {"group": ["scope"]}');
  return new Map(pairs.map(([group, scopes]) => [group, scopesIn(scopes, context)]));
}

function jsonPairs(input: string): readonly (readonly [string, readonly string[]])[] | undefined {
  try {
    const { data } = Json.safeParse(JSON.parse(input));
    return data && Object.entries(data);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Names of groups may have `=` in them, as those of directories do: the last one counts. */
function linePairs(input: string): readonly (readonly [string, readonly string[]])[] | undefined {
  const parts = input.split(";").filter((part) => part.trim() !== "");
  const pairs = parts.map((part) => {
    const cut = part.lastIndexOf("=");
    return [part.slice(0, Math.max(cut, 0)).trim(), part.slice(cut + 1).split(",")] as const;
  });
  return pairs.some(([group]) => group === "") ? undefined : pairs;
}

function scopesIn(names: readonly string[], context: z.RefinementCtx): readonly Scope[] {
  return names.map((name) => {
    const scope = SCOPES.find((known) => known === name.trim());
    return scope ?? refuse(context, `there is no scope "${name.trim()}"; expected ${SCOPES.join(", ")}`);
  });
}
