import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { type AuditHead, LongshoreError } from "../sdk/index.ts";
import { countText } from "./amounts.ts";
import { type CliContext, command, commandGroup, count, type JsonOption, take, withExamples } from "./command.ts";
import { table } from "./terminal.ts";

interface ListOptions extends JsonOption {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly limit?: number;
}

interface VerifyOptions extends JsonOption {
  readonly head?: AuditHead;
}

export function auditCommand(context: CliContext): Command {
  const { terminal } = context;

  const list = command("list", "List who did what to what, oldest first.")
    .option("--actor <name>", "only what this one did")
    .option("--action <name>", "only this, such as job.cancel")
    .option("--target <name>", "only what was done to this, such as transaction/12")
    .option("--limit <number>", "how many at most; all when not given", count)
    .action(async ({ json, limit, ...filter }: ListOptions) => {
      const entries = context.server().client.audit.list({ limit: Math.min(limit ?? 1000, 1000), ...filter });
      // Printed as they come: there may be millions.
      for await (const entry of take(entries, limit)) {
        if (json) terminal.printJson(entry);
        else {
          const { seq, at, actor, action, target, outcome, software } = entry;
          const cells = [String(seq).padStart(8), at, actor, action, target, outcome ?? "-", software ?? "-"];
          terminal.print(cells.join("  "));
        }
      }
    });

  const verify = command("verify", "Recompute the whole audit log, and look whether its end is still there.")
    .option("--head <seq:hash>", "a head that was noted elsewhere, instead of this machine's last one", head)
    .action(async ({ json, head: given }: VerifyOptions) => {
      const { client, url } = context.server();
      const note = notedHead(context.stateDir, url);
      const noted = given ?? note.read();
      const verdict = await client.audit.verify(noted);
      const { brokenAt, entries, hasNoted } = verdict;
      if (json) terminal.printJson(verdict);
      if (brokenAt !== null)
        throw new LongshoreError("audit_broken", `The audit log was changed: entry ${brokenAt} is not in order.`, {
          details: { brokenAt, entries },
        });
      if (hasNoted === false)
        throw new LongshoreError(
          "audit_broken",
          `The audit log was cut off or written anew: entry ${noted?.seq} is not the one that was noted.`,
          { details: { ...noted, entries } },
        );
      if (verdict.head) note.write(verdict.head);
      if (json) return;
      const rows = [
        ["entries", countText(entries, "entry").replace("entrys", "entries")],
        ["noted", noted === undefined ? "no head yet" : `${noted.seq}, and still there`],
        ["head", verdict.head ? `${verdict.head.seq}:${verdict.head.hash}` : "-"],
      ];
      for (const line of table(["AUDIT", "IN ORDER"], rows)) terminal.print(line);
    });

  const audit = commandGroup("audit", "See who did what, and that nobody has changed the record of it.", [
    list,
    verify,
  ]);
  return withExamples(audit, [
    ["longshore audit list --target transaction/12", "what was done to transaction 12"],
    ["longshore audit verify", "exit code 5 when an entry was changed, removed or moved, or the end was cut off"],
    [
      "longshore audit verify --json | jq -r '.head | \"\\(.seq):\\(.hash)\"'",
      "to be noted where the keepers of the database cannot reach",
    ],
  ]);
}

/** The head that this machine's last verification of a server's log has seen: a witness outside of the database. */
function notedHead(stateDir: string, url: string) {
  const path = join(stateDir, "audit-heads", `${createHash("sha256").update(url).digest("hex").slice(0, 32)}.json`);
  return {
    read(): AuditHead | undefined {
      try {
        return JSON.parse(readFileSync(path, "utf8"));
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw new LongshoreError("local_file_unusable", `The head that was noted in ${path} cannot be read.`, {
          cause: error,
        });
      }
    },
    write({ seq, hash }: AuditHead): void {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify({ seq, hash, url }));
      renameSync(`${path}.new`, path);
    },
  };
}

function head(text: string): AuditHead {
  const [, seq, hash = ""] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (!(Number(seq) >= 1)) throw new InvalidArgumentError("Expected seq:hash, as longshore audit verify prints it.");
  return { seq: Number(seq), hash };
}
