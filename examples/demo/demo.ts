/**
 * The main jobs, start to end, on a fresh data folder: deposit, verify with foreign tools, fetch one file back and all of
 * them as a cart, search; walk a folder and the archive, and have their files described; then have a portal's resource
 * packed, and open the link that is mailed; fulfil a request; and see what a routine has done meanwhile.
 * Everything it shows is done through the command line, as a user would.
 *
 *     npm run demo -- --keep     leaves the server running, to look at its pages
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { crawlFolder, describeArchive } from "./crawl.ts";
import { makeFiles } from "./files.ts";
import { type Mailbox, openMailbox } from "./mailbox.ts";
import { RESOURCE, startPortal } from "./portal.ts";
import { declareRoutine, requestFile, showRoutine } from "./requests.ts";

const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const project = join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(join(tmpdir(), "longshore-demo-"));
const dataDir = join(folder, "data");
const deliveries = join(folder, "deliveries");
const declaration = join(project, "examples", "registers", "downloads.json");
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  LONGSHORE_DATA_DIR: dataDir,
  LONGSHORE_PORT: "0",
  LONGSHORE_LOG_LEVEL: "warn",
};

const say = (text = "") => console.log(text);
const step = (text: string) => say(`\n── ${text}`);

/** Runs the command line; what it says to people goes straight to the terminal. @returns its result. */
async function longshore(...words: string[]): Promise<string> {
  say(`$ longshore ${words.map((word) => (word.includes(" ") ? `"${word}"` : word)).join(" ")}`);
  const run = spawn(process.execPath, [join(project, "src/main.ts"), ...words], {
    cwd: folder,
    env: environment,
    stdio: ["inherit", "pipe", "inherit"],
  });
  const ended = once(run, "close");
  const result = await text(run.stdout);
  const [code] = await ended;
  if (code !== 0) throw new Error(`longshore ${words[0]} ended with code ${code}.\n${result}`);
  return result.trimEnd();
}

async function startServer(): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  say("$ LONGSHORE_PORT=0 npm start");
  const server = spawn(process.execPath, [join(project, "src/main.ts"), "serve"], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: server.stdout });
  const [url] = await Promise.race([
    once(lines, "line"),
    once(server, "exit").then(([code]) => {
      throw new Error(`The server ended with code ${code} before it was ready.`);
    }),
  ]);
  say(url);
  return { process: server, url };
}

/** An object's manifest as a list that `sha512sum -c` reads. */
function checksumList(inventoryPath: string): string {
  const inventory: { manifest: Record<string, string[]> } = JSON.parse(readFileSync(inventoryPath, "utf8"));
  return Object.entries(inventory.manifest)
    .flatMap(([digest, paths]) => paths.map((path) => `${digest}  ${path}\n`))
    .join("");
}

/** `sha512sum`, or what a Mac has instead. */
function checkWithForeignTool(objectFolder: string, list: string): string {
  for (const [tool, ...options] of [["sha512sum"], ["shasum", "-a", "512"]] as const) {
    const run = spawnSync(tool, [...options, "-c", list], { cwd: objectFolder, encoding: "utf8", maxBuffer: 1 << 28 });
    if (run.error) continue;
    const lines = run.stdout.trim().split("\n");
    if (run.status !== 0)
      throw new Error(`${tool} found differences:\n${lines.filter((line) => !line.endsWith(": OK")).join("\n")}`);
    say(`$ ${[tool, ...options].join(" ")} -c ${relative(folder, list)}`);
    return `${lines.length} files: OK   (the last: ${lines.at(-1)})`;
  }
  throw new Error("Neither sha512sum nor shasum is on this machine, so nothing foreign can check the archive.");
}

/** Every file as one download: by curl and tar where they are, as they are on most machines; else through the command line. */
async function fetchAsCart(transactionId: number, url: string): Promise<void> {
  step("All files as one download, a cart: a tar of known length that is never built");
  const choice = ["--transaction", String(transactionId), "--name", "measurements-back"];
  const cart: { readonly id: string; readonly files: number; readonly links: { readonly tar: string } } = JSON.parse(
    await longshore("cart", "create", ...choice, "--json"),
  );
  const tools = [
    ["curl", "-sS", "-f", "-o", "cart.tar", url + cart.links.tar],
    ["tar", "-xf", "cart.tar"],
  ] as const;
  if (tools.every(([tool]) => !spawnSync(tool, ["--version"]).error)) {
    const start = performance.now();
    for (const [tool, ...words] of tools) {
      say(`$ ${[tool, ...words].join(" ")}`);
      const run = spawnSync(tool, words, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
      if (run.status !== 0) throw new Error(`${tool} ended with code ${run.status}.`);
      if (tool === "curl") sayHowFast(statSync(join(folder, "cart.tar")).size, start);
    }
  } else await longshore("get", cart.id, "--unpack");

  const unpacked = join(folder, "measurements-back");
  say(checkWithForeignTool(unpacked, join(unpacked, "manifest-sha512.txt")));
}

function sayHowFast(sizeBytes: number, start: number): void {
  const seconds = (performance.now() - start) / 1000;
  say(`${(sizeBytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s, ${(sizeBytes / 1e6 / seconds).toFixed(0)} MB/s`);
}

/** A ZIP's members as `unzip` tests them; a machine without it leaves that to the reader. */
function testZip(path: string): void {
  const run = spawnSync("unzip", ["-t", path], { cwd: folder, encoding: "utf8" });
  if (run.error) {
    say("(unzip is not on this machine, so nothing foreign can test the ZIP.)");
    return;
  }
  say(`$ unzip -t ${path}\n${run.stdout.trimEnd()}`);
  if (run.status !== 0) throw new Error(`unzip found ${path} broken.`);
}

/** An order, a mail, a link: what a visitor of a data portal sees of it. */
async function packAndMail(portal: string, mailbox: Mailbox): Promise<void> {
  step("A data portal's resource as a Darwin Core Archive: ordered now, mailed when it is ready");
  const chosen = ["--filter", "family=Carabidae", "--email", "visitor@example.org"];
  say(await longshore("package", "dwca", portal, RESOURCE, ...chosen));
  const mail = await mailbox.next();
  say(`\nA mail has come: ${mail.subject}`);
  for (const line of mail.text.split("\n")) say(`  | ${line}`);

  step("Open the mailed link, as a mail reader would");
  const link = /https?:\/\/\S+\.zip/.exec(mail.text)?.[0];
  if (!link) throw new Error("The mail has no link.");
  const answer = await fetch(link);
  if (!answer.ok) throw new Error(`${link} answered ${answer.status}.`);
  writeFileSync(join(folder, "beetles.zip"), await answer.bytes());
  testZip("beetles.zip");

  step("The same resource as a table, saved at once and without a mail");
  say(await longshore("package", "datastore", portal, RESOURCE, "--format", "xlsx", "-o", "table.zip"));
  testZip("table.zip");
}

async function main(server: { readonly url: string }, portal: string, mailbox: Mailbox): Promise<void> {
  environment.LONGSHORE_URL = server.url;
  const voice = { longshore, say, step };
  const routine = await declareRoutine(voice);

  step("Some data: thousands of small files of several types, and a large one");
  const made = await makeFiles(join(folder, "measurements"));
  say(`${made.count} files, ${(made.bytes / 1e6).toFixed(0)} MB in ${join(folder, "measurements")}`);

  step("Deposit it: the bundle is made while it is sent, and verified while it arrives");
  const about = ["--submitter", "10", "--project", "1234a", "--instrument", "54", "--kv", "site=north"];
  const receipt = JSON.parse(await longshore("put", "measurements", ...about, "--json"));
  const { transactionId, objectPath } = receipt.result ?? receipt;
  say(`Transaction ${transactionId}.`);

  step("The job that did it, task by task");
  say(await longshore("jobs", "show", String(transactionId)));

  step("Proof with a tool that is not ours: the object's manifest, checked by sha512sum");
  const objectFolder = join(dataDir, "archive", objectPath);
  const list = join(folder, "manifest.sha512");
  writeFileSync(list, checksumList(join(objectFolder, "inventory.json")));
  say(checkWithForeignTool(objectFolder, list));

  step("Proof with Longshore: structure, inventories, every digest, database against archive");
  say(await longshore("verify"));

  step("Fetch a file back and compare");
  const file: { readonly id: number; readonly path: string } = JSON.parse(
    await longshore("transactions", "files", String(transactionId), "--limit", "1", "--json"),
  );
  await longshore("get", String(file.id), "-o", "fetched");
  const original = readFileSync(join(folder, file.path.replace(/^data\//, "")));
  const same = original.equals(readFileSync(join(folder, "fetched")));
  if (!same) throw new Error(`${file.path} came back different.`);
  say(`${file.path}: ${original.length} bytes, identical to what was deposited.`);

  await fetchAsCart(transactionId, server.url);

  step("Search it by words and fields, and put whatever is found into a cart");
  say(
    await longshore(
      "search",
      "type:text site:north size:<2kB",
      "--type",
      "file",
      "--facet",
      "extension",
      "--limit",
      "3",
    ),
  );
  say(await longshore("search", "extension:csv", "--cart", "tables"));

  await crawlFolder(voice, join(folder, "measurements"));
  await describeArchive(voice, transactionId);
  await packAndMail(portal, mailbox);
  const name = basename(file.path);
  await requestFile(voice, { declaration, deliveries, file: { id: file.id, name, content: original }, mailbox });
  await showRoutine(voice, server.url, routine);

  step("Where everything is");
  say(`archive   ${join(dataDir, "archive")}   (OCFL 1.1: readable without Longshore)`);
  say(`object    ${objectFolder}`);
  say(`database  ${join(dataDir, "longshore.sqlite")}   (longshore rebuild makes it anew from the archive)`);
  say("");
  say("Try next:");
  say(`  LONGSHORE_DATA_DIR=${dataDir} npm start    and open the address in a browser`);
  say("  npm run longshore -- jobs list");
  say(`  npm run longshore -- transactions files ${transactionId}`);
  say("  npm run longshore -- cart list");
  say("  npm run longshore -- crawl list");
  say("  npm run longshore -- package list");
  say("  npm run longshore -- register entries downloads");
  say("  npm run longshore -- schedule list");
  say("  npm run longshore -- doctor");
  say(`  rm -r ${folder}    when you are done`);
}

const portal = await startPortal();
const mailbox = await openMailbox();
// Nothing is fetched or crawled that is not named here.
environment.LONGSHORE_FETCH_ORIGINS = portal.url;
environment.LONGSHORE_CRAWL_ROOTS = folder;
environment.LONGSHORE_RECORD_ROOTS = deliveries;
environment.LONGSHORE_SMTP_URL = `smtp://127.0.0.1:${mailbox.port}`;
const server = await startServer();
try {
  await main(server, portal.url, mailbox);
  if (values.keep) {
    say("");
    say(`The server goes on: ${server.url} has pages of all this. Ctrl-C ends it.`);
    await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  }
} catch (error) {
  console.error(`\nThe demo stopped: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  server.process.kill("SIGTERM");
  if (server.process.exitCode === null) await once(server.process, "exit");
  mailbox.stop();
  portal.stop();
}
