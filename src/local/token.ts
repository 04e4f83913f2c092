import { userInfo } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "../adapters/system-clock.ts";
import { command, commandGroup, type JsonOption, withExamples } from "../cli/command.ts";
import { type Terminal, table } from "../cli/terminal.ts";
import { SCOPES, type Scope } from "../core/access/access-stores.ts";
import { type Audit, audit } from "../core/access/audit.ts";
import { type TokenInfo, type Tokens, tokens } from "../core/access/tokens.ts";
import { isoTime } from "../core/clock.ts";
import { tokenId } from "../core/ids.ts";
import { ratesOf } from "../core/rate.ts";
import { loadConfig } from "../settings/config.ts";
import { SOFTWARE } from "../version.ts";

const UNIT_MS = { h: 3_600_000, d: 86_400_000 } as const;

interface CreateOptions extends JsonOption {
  readonly owner: string;
  readonly scope: readonly Scope[];
  /** Epoch milliseconds. */
  readonly expires?: number;
  readonly rate?: string;
}

/**
 * `longshore token`: works on the database itself, not through a server, so that the first token can be made before a
 * server may start. A server that runs meanwhile sees the change at once.
 */
export function tokenCommand(terminal: Terminal): Command {
  const create = command("create", "Make a token and print it, this once.")
    .requiredOption("--owner <name>", "whom the token speaks for; owner of what is deposited with it")
    .addOption(
      new Option("--scope <scopes>", `what it allows, separated by commas: ${SCOPES.join(", ")}`)
        .argParser(scopes)
        .default(["deposit", "read"], "deposit,read"),
    )
    .option("--expires <when>", "after hours (12h), days (90d) or on a date (2030-12-31); never when not given", time)
    .option("--rate <rates>", "most requests, in place of the server's limit: 15/900s, 600/m,10000/d or none", rates)
    .action(({ owner, scope, expires, rate, json }: CreateOptions) =>
      withTokens(async (access, log) => {
        const { token, text } = await access.create({
          owner,
          scopes: scope,
          expiresAt: expires ?? null,
          rateLimit: rate ?? null,
        });
        await log.record(actor(), "token.create", `token/${token.id}`, {
          owner,
          scopes: token.scopes,
          expiresAt: timeText(token.expiresAt),
          rateLimit: token.rateLimit,
        });
        if (json) terminal.printJson({ ...wire(token), token: text });
        else terminal.print(text);
        terminal.note(`Token ${token.id} for ${owner}. Keep it: only its hash is stored, and it is not shown again.`);
      }),
    );

  const list = command("list", "List all tokens, without their secrets.").action(({ json }: JsonOption) =>
    withTokens(async (access) => {
      const found = await access.list();
      if (json) for (const token of found) terminal.printJson(wire(token));
      else {
        const rows = found.map((token) => [
          token.id,
          token.owner,
          token.scopes.join(","),
          standing(token),
          timeText(token.expiresAt) ?? "never",
          timeText(token.lastUsedAt) ?? "never",
          token.rateLimit ?? "",
        ]);
        const head = ["ID", "OWNER", "SCOPES", "STATE", "EXPIRES", "LAST USED", "RATE"];
        for (const line of table(head, rows)) terminal.print(line);
      }
    }),
  );

  const revoke = command("revoke", "Make a token invalid, at once and for good.")
    .argument("<id>", "the token's id, as listed")
    .action((id: string, { json }: JsonOption) =>
      withTokens(async (access, log) => {
        await access.revoke(tokenId(id));
        await log.record(actor(), "token.revoke", `token/${id}`);
        if (json) terminal.printJson({ id, revoked: true });
        else terminal.print(`revoked  ${id}`);
      }),
    );

  const about = "Make, list and revoke tokens, on the database of this machine's settings.";
  const token = commandGroup("token", about, [create, list, revoke]);
  return withExamples(token, [
    ["longshore token create --owner beamline-7", "may deposit, and see what it deposited"],
    ["longshore token create --owner alice --scope admin --expires 90d", "may do everything, for 90 days"],
    ["longshore token revoke 3f9a0c12be77", "from now on refused"],
  ]);
}

async function withTokens(work: (access: Tokens, log: Audit) => Promise<void>): Promise<void> {
  const { openStores } = await import("../compose/foundation.ts"); // what needs no database starts without it
  const stores = await openStores(loadConfig(process.env), systemClock);
  try {
    await work(tokens(stores.tokens, systemClock), audit(stores.audit, systemClock, SOFTWARE));
  } finally {
    await stores.close();
  }
}

/** Who sits at this machine, for the audit log. */
const actor = () => `shell:${userInfo().username}`;

const timeText = (epochMs: number | null) => (epochMs === null ? null : isoTime(epochMs));

function standing({ revokedAt, expiresAt }: TokenInfo): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= systemClock.now() ? "expired" : "active";
}

/** As the API shows it. */
function wire(token: TokenInfo) {
  return {
    ...token,
    createdAt: isoTime(token.createdAt),
    expiresAt: timeText(token.expiresAt),
    revokedAt: timeText(token.revokedAt),
    lastUsedAt: timeText(token.lastUsedAt),
  };
}

function scopes(text: string): readonly Scope[] {
  return text.split(",").map((part) => {
    const scope = SCOPES.find((known) => known === part.trim());
    if (!scope) throw new InvalidArgumentError(`Expected ${SCOPES.join(", ")}.`);
    return scope;
  });
}

function rates(text: string): string {
  if (ratesOf(text) === undefined) throw new InvalidArgumentError("Expected 15/900s, 600/m,10000/d or none.");
  return text;
}

/** Epoch milliseconds of `12h`, `90d` or a date, which ends when its day does (UTC). */
function time(text: string): number {
  const [, amount, unit] = /^([1-9]\d{0,5})([hd])$/.exec(text) ?? [];
  if (amount !== undefined && unit !== undefined)
    return systemClock.now() + Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  const date = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T23:59:59.999Z`) : Date.parse(text);
  if (Number.isNaN(date)) throw new InvalidArgumentError("Expected 12h, 90d or a date such as 2030-12-31.");
  if (date <= systemClock.now()) throw new InvalidArgumentError("That time has passed.");
  return date;
}
