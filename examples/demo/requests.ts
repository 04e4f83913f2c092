import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { DemoVoice } from "./crawl.ts";
import type { Mailbox } from "./mailbox.ts";

const LOOK_AGAIN_MS = 250;
const COMPLETE = "Download complete no transcode required";

/** A file's request, with a register as a preservation team keeps it. */
export interface RequestParts {
  /** The register's declaration. */
  readonly declaration: string;
  /** A folder that the server may write to. */
  readonly deliveries: string;
  readonly file: { readonly id: number; readonly name: string; readonly content: Uint8Array };
  readonly mailbox: Mailbox;
}

/** Somebody asks for a file; it is checked, put where they want it, and they are told. */
export async function requestFile(voice: DemoVoice, { declaration, deliveries, file, mailbox }: RequestParts) {
  const { longshore, say, step } = voice;
  step("A register of requests: what it asks for, its statuses, and what is done in each, is one file");
  mkdirSync(deliveries);
  say(await longshore("register", "declare", declaration));

  step("A request goes from Requested to Download complete");
  const wanted = ["name=Ada", "email=ada@example.org", `fname=${file.id}`, "download_path=ada"];
  const { id } = JSON.parse(await longshore("register", "add", "downloads", ...wanted, "--json"));
  const mail = await mailbox.next();
  say(await longshore("register", "history", "downloads", String(id)));
  say(`\nA mail has come: ${mail.subject}`);
  const entry = JSON.parse(await longshore("register", "show", "downloads", String(id), "--json"));
  if (entry.status !== COMPLETE) throw new Error(`The request has become ${entry.status}: ${entry.reason}`);
  const delivered = join(deliveries, "ada", file.name);
  if (!readFileSync(delivered).equals(file.content)) throw new Error(`${delivered} is not what was asked for.`);
  say(`${delivered}: identical to what was deposited.`);
}

/**
 * A routine that is due every minute. It is declared before everything else, so that nobody has to wait for it.
 * @returns its id.
 */
export async function declareRoutine({ longshore, say, step }: DemoVoice): Promise<string> {
  step("A routine, as cron has them, but with a history: due every minute, it will be looked at in the end");
  const routine = ["room", "* * * * *", "--overlap", "skip", "--json", "--", "df -h . | tail -n 1"];
  const { id, description, nextDueAt } = JSON.parse(await longshore("schedule", "add", ...routine));
  say(`${description}, for the first time at ${nextDueAt}`);
  return id;
}

/** @param routine its id. */
export async function showRoutine({ longshore, say, step }: DemoVoice, server: string, routine: string): Promise<void> {
  step("What the routine has done meanwhile");
  const runs = new URL(`/api/v1/schedules/${routine}/runs`, server);
  for (const until = Date.now() + 90_000; ; await setTimeout(LOOK_AGAIN_MS)) {
    const { items } = (await (await fetch(runs)).json()) as { readonly items: readonly { readonly state: string }[] };
    if (items.some(({ state }) => state === "succeeded")) break;
    if (Date.now() > until) throw new Error("The routine has not run.");
  }
  say(await longshore("schedule", "runs", "room"));
  say(await longshore("schedule", "output", "room"));
}
