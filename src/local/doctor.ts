import { constants } from "node:fs";
import { access, open, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../adapters/system-clock.ts";
import { bytesText } from "../cli/amounts.ts";
import { command, type JsonOption, withExamples } from "../cli/command.ts";
import { problemLines } from "../cli/failure.ts";
import type { Terminal } from "../cli/terminal.ts";
import { ROOT_DECLARATION } from "../core/archive/ocfl.ts";
import { AppError } from "../core/errors.ts";
import { type Config, loadConfig } from "../settings/config.ts";
import { archiveBucket, sharedBucket } from "./doctor-buckets.ts";
import { database } from "./doctor-database.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";
import { isLoopback } from "./loopback.ts";

const LOW_BYTES = 10 * 1024 ** 3;
const EMPTY_BYTES = 256 * 1024 ** 2;
const CLOCK_SLACK_MS = 2_000;
/** A clock before this program was written is wrong. */
const EARLIEST = Date.UTC(2025, 0, 1);
const ANSWER_MS = 5_000;
const KNOWN_BY_DATABASE = "Tokens are in the database: look again when it can be read.";

/** `longshore doctor`: looks at everything a server needs, leaves nothing changed, and says what to do. */
export function doctorCommand(terminal: Terminal): Command {
  const doctor = command(
    "doctor",
    "Check settings, disk, S3, database, search, clocks, ports and services; say what to do.",
  ).action(async ({ json }: JsonOption) => {
    const findings: Finding[] = [];
    for await (const finding of examine(process.env)) {
      findings.push(finding);
      if (!json) for (const line of findingLines(finding)) terminal.print(line);
    }
    const failed = findings.filter(({ status }) => status === "fail").map(({ check }) => check);
    if (json) terminal.printJson({ ok: failed.length === 0, checks: findings });
    if (failed.length > 0) throw new AppError("doctor_failed", { failed: failed.join(", ") });
  });
  return withExamples(doctor, [
    ["longshore doctor", "before the first start, after a change, when something is wrong"],
    ["longshore doctor --json | jq '.checks[] | select(.status != \"ok\")'", "only what needs a look"],
  ]);
}

function findingLines({ status, check, found, advice }: Finding): string[] {
  const line = `${status.padEnd(4)}  ${check.padEnd(16)}  ${found}`;
  return advice === undefined ? [line] : [line, `${" ".repeat(24)}${advice}`];
}

/** Every check, in the order in which one would mend things. */
export async function* examine(env: Readonly<Record<string, string | undefined>>): AsyncGenerator<Finding> {
  yield ok("node", `${process.version} on ${process.platform} ${process.arch}`);
  let config: Config;
  try {
    config = loadConfig(env);
  } catch (error) {
    if (!(error instanceof AppError) || !Array.isArray(error.details.problems)) throw error;
    for (const problem of error.details.problems)
      yield fail("settings", String(problem), "Mend the variable; docs/config.md lists all of them.");
    return;
  }
  yield ok("settings", "all of them can be read");
  yield* folder("data folder", config.dataDir, "LONGSHORE_DATA_DIR");
  if (config.archive.kind === "folder") {
    yield* folder("archive", config.archive.path, "LONGSHORE_ARCHIVE_URL");
    yield* archiveRoot(config.archive.path);
  } else yield* archiveBucket(config);
  if (config.shared.isShared) yield* sharedPlace(config);
  yield* clock(config.dataDir);
  const tokens = yield* database(config);
  yield* credentials(config, tokens);
  yield* port("port", config.host, config.port);
  for (const door of config.doors) yield* port(`door ${door.name}`, config.host, door.port);
  for (const root of config.moveRoots) yield* moveRoot(root);
  if (config.policyFile !== undefined) yield* policyFile(config.policyFile);
  yield* remotes(config);
  if (config.openid !== undefined) {
    const { signIn } = await import("./doctor-openid.ts");
    yield* signIn(config, config.openid);
  }
  if (config.searchEngine !== undefined) {
    const { search } = await import("./doctor-search.ts"); // with what speaks to it
    yield* search(config, config.searchEngine);
  }
}

/** A folder that does not exist yet is judged by the nearest one above it. */
async function* folder(check: string, path: string, setting: string): AsyncGenerator<Finding> {
  const place = await nearest(path);
  if (!(await stat(place)).isDirectory()) {
    yield fail(check, `${place} is not a folder`, `Set ${setting} to a folder.`);
    return;
  }
  try {
    await access(place, constants.R_OK | constants.W_OK | constants.X_OK);
    if (place === path) await probe(place);
  } catch (error) {
    yield fail(check, `${place} is not writable (${reasonOf(error)})`, `Give this user the folder, or set ${setting}.`);
    return;
  }
  const mode = place === path ? (await stat(place)).mode : 0;
  if (mode & 0o002)
    yield warn(check, `${path} can be written by everybody`, `Make it the server's own: chmod o-w ${path}`);
  const { bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const found = `${path}: ${place === path ? "writable" : "will be made"}, ${bytesText(free)} free`;
  if (free < EMPTY_BYTES) yield fail(check, found, "Make room: uploads would be refused.");
  else if (free < LOW_BYTES) yield warn(check, found, "Make room soon.");
  else yield ok(check, found);
}

/** Writes, syncs and removes a small file. @returns its time as the file system sees it, epoch milliseconds. */
async function probe(path: string): Promise<number> {
  const name = join(path, `.longshore-doctor-${process.pid}`);
  const file = await open(name, "wx");
  try {
    await file.writeFile("probe");
    await file.sync();
    return (await file.stat()).mtimeMs;
  } finally {
    await file.close();
    await rm(name, { force: true });
  }
}

/** The path itself, or the first one above it that exists. */
async function nearest(path: string): Promise<string> {
  return (await stat(path).catch(() => undefined)) || dirname(path) === path ? path : nearest(dirname(path));
}

async function* archiveRoot(path: string): AsyncGenerator<Finding> {
  const names = await readdir(path).catch((): string[] => []); // not there yet, or reported by `folder`
  const begun = ["extensions", "ocfl_layout.json"]; // left by a process that died in its first second
  if (names.includes(ROOT_DECLARATION.path)) yield ok("archive", "is an OCFL storage root");
  else if (names.some((name) => !name.startsWith(".") && !begun.includes(name)))
    yield fail("archive", `${path} holds something else`, "Set LONGSHORE_ARCHIVE_URL to a folder of its own.");
}

async function* sharedPlace(config: Config): AsyncGenerator<Finding> {
  const { kind, path } = config.shared.place;
  if (kind === "folder") yield* folder("shared place", path, "LONGSHORE_SHARED_URL");
  else yield* sharedBucket(config);
}

async function* clock(dataDir: string): AsyncGenerator<Finding> {
  const now = systemClock.now();
  const text = new Date(now).toISOString();
  if (now < EARLIEST) {
    yield fail(
      "clock",
      `${text} cannot be`,
      "Set the clock, best by NTP: leases, expiry and the audit log rely on it.",
    );
    return;
  }
  const there = await probe(dataDir).catch(() => undefined); // not there yet, or reported by `folder`
  const apart = there === undefined ? 0 : Math.abs(there - now);
  if (apart > CLOCK_SLACK_MS)
    yield warn("clock", `the file system is ${Math.round(apart / 1000)} s apart`, "Synchronise both with NTP.");
  else yield ok("clock", text);
}

async function* credentials(config: Config, tokens: boolean | undefined): AsyncGenerator<Finding> {
  if (config.openid) yield ok("access", `by token, and by signing in at ${config.openid.issuer}, on ${config.host}`);
  else if (isLoopback(config.host))
    yield ok("access", tokens ? "by token only" : `open to everybody on this machine (${config.host})`);
  else if (tokens) yield ok("access", `by token, on ${config.host}`);
  else if (config.trustedProxies.length > 0) yield ok("access", `through the trusted proxies, on ${config.host}`);
  else if (tokens === undefined) yield warn("access", `${config.host}: by token, if there is one`, KNOWN_BY_DATABASE);
  else
    yield fail(
      "access",
      `${config.host} can be reached from other machines, and there is no token`,
      "Make one: longshore token create --owner NAME --scope admin. Or set LONGSHORE_TRUSTED_PROXIES, or LONGSHORE_OPENID_ISSUER.",
    );
}

async function* port(check: string, host: string, number: number): AsyncGenerator<Finding> {
  if (number === 0) {
    yield ok(check, "a free one is picked at start");
    return;
  }
  const address = `${host.includes(":") ? `[${host}]` : host}:${number}`;
  const error = await listening(host, number);
  if (!error) yield ok(check, `${address} is free`);
  else if (error.code === "EADDRINUSE") {
    const answer = await ask(`http://${address}/`);
    if (typeof answer !== "string" && /longshore/i.test(await answer.text()))
      yield ok(check, `${address}: a Longshore server runs there`);
    else yield fail(check, `${address} is taken by another program`, "End that one, or choose another port.");
  } else
    yield fail(
      check,
      `${address} cannot be listened on (${error.code})`,
      error.code === "EACCES" ? "Choose a port above 1023." : "See that the address is one of this machine's.",
    );
}

/** Listens for a moment. @returns what prevents it. */
function listening(host: string, number: number): Promise<NodeJS.ErrnoException | undefined> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const server = createServer();
  server.once("error", resolve);
  server.listen(number, host, () => server.close(() => resolve(undefined)));
  return promise;
}

async function* moveRoot(path: string): AsyncGenerator<Finding> {
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    yield ok("move root", path);
  } catch (error) {
    yield fail(
      "move root",
      `${path} (${reasonOf(error)})`,
      "Moving needs to read and to remove; mend LONGSHORE_MOVE_ROOTS.",
    );
  }
}

async function* policyFile(path: string): AsyncGenerator<Finding> {
  const { readRules } = await import("../core/ingest/policy/rules-file.ts");
  try {
    readRules(await readFile(path, "utf8"));
    yield ok("policy file", path);
  } catch (error) {
    const problems = error instanceof AppError ? problemLines(error.details) : [];
    const reason = problems.length > 0 ? problems.join(" ") : reasonOf(error);
    yield fail("policy file", `${path}: ${reason}`, "Mend the file; docs/formats/policy.md says what it may hold.");
  }
}

async function* remotes(config: Config): AsyncGenerator<Finding> {
  const services = [
    ["policy service", config.policyUrl],
    ["uniqueid service", config.uniqueidUrl],
    ["metadata service", config.metadataUrl],
    ...config.eventsUrls.map((url) => ["events subscriber", url] as const),
  ] as const;
  for (const [check, url] of services) {
    if (url === undefined) continue;
    const answer = await ask(url);
    if (typeof answer === "string")
      yield fail(check, `${url} does not answer (${answer})`, "See that it runs and that the setting names it.");
    else if (answer.status >= 500) yield warn(check, `${url} answers ${answer.status}`, "Look at that service's log.");
    else yield ok(check, `${url} answers`);
  }
}

/** @returns the answer, whatever its status, or why there is none. */
async function ask(url: string): Promise<Response | string> {
  return fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), redirect: "manual" }).catch((error: Error) =>
    reasonOf(error.cause ?? error),
  );
}
