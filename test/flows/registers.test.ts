import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Longshore, longshore, type RegisterEntry } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished } from "../http/client.ts";
import { type MailServer, mailServer } from "../support/mail-server.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const EXAMPLES = new URL("../../examples/registers/", import.meta.url);
const DAY_MS = 86_400_000;

/** An example, with what a test cannot wait for, or has no program for, in other words. */
async function example(name: string, change: (declaration: Example) => void): Promise<string> {
  const declaration = JSON.parse(await readFile(new URL(`${name}.json`, EXAMPLES), "utf8")) as Example;
  change(declaration);
  return JSON.stringify(declaration);
}
interface Example {
  readonly statuses: Record<string, { action?: Record<string, unknown>; expires?: { after: string; to: string } }>;
}
function action({ statuses }: Example, status: string): Record<string, unknown> {
  const found = statuses[status]?.action;
  assert.ok(found);
  return found;
}

describe("the registers that come as examples", () => {
  let folder: string;
  let server: ServerProcess;
  let mail: MailServer;
  let client: Longshore;
  const path = (...parts: string[]) => join(folder, ...parts);

  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-registers-")));
    await mkdir(path("declared"));
    await writeFile(
      path("declared/downloads.json"),
      await example("downloads", (one) => {
        Object.assign(action(one, "Requested"), { backOff: "1s", attempts: 2 });
        // No ffmpeg here: what matters is what is done around it.
        Object.assign(action(one, "Download complete"), {
          command: ["cp", "{input}", "{output}"],
          check: ["cmp", "{input}", "{output}"],
          backOff: "1s",
        });
      }),
    );
    await writeFile(
      path("declared/preservation.json"),
      await example("preservation", (one) => {
        Object.assign(action(one, "Requested"), { backOff: "1s", attempts: 2 });
      }),
    );
    await writeFile(path("declared/books.json"), await readFile(new URL("books.json", EXAMPLES)));
    mail = await mailServer({ hideSTARTTLS: true });
    server = await startServer({
      env: {
        LONGSHORE_REGISTERS: path("declared"),
        LONGSHORE_RECORD_ROOTS: path("delivered"),
        LONGSHORE_MOVE_ROOTS: path("backup"),
        LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mail.port}`,
      },
    });
    client = longshore({ url: server.url });
  });
  after(async () => {
    await server?.stop();
    await mail?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const request = (fields: Record<string, unknown> = {}) =>
    client.registers.add("downloads", {
      name: "Ada",
      email: "ada@example.org",
      fname: "film.mkv",
      download_path: "ada/films",
      ...fields,
    });
  async function reaches(entry: RegisterEntry, status: string): Promise<RegisterEntry> {
    let now = entry;
    await until(`entry ${entry.id} of ${entry.register} is ${status}`, async () => {
      now = await client.registers.entry(entry.register, entry.id);
      return now.status === status;
    }).catch((error: unknown) => {
      throw new Error(`It is ${now.status}: ${now.reason}\n${server.log().slice(-2_000)}`, { cause: error });
    });
    return now;
  }
  async function statuses({ register, id }: RegisterEntry): Promise<(string | null)[]> {
    const events = await Array.fromAsync(client.registers.history(register, id));
    return events.map(({ to }) => to);
  }
  const mailed = async (to: string, subject: RegExp) =>
    until(`a mail of ${subject}`, () => mail.received.some((one) => one.to.includes(to) && subject.test(one.source)));

  test("a film is requested by its name, delivered, and told of by mail", async () => {
    const { id } = await deposit(server, bundle({ "films/film.mkv": "moving pictures" }));
    await finished(server, id);
    await until("it can be found", async () => (await client.search.find("name:film.mkv").page()).items.length > 0);
    const entry = await request();
    const done = await reaches(entry, "Download complete no transcode required");
    assert.deepEqual(await statuses(entry), [
      "Requested",
      "Downloading",
      "Download complete",
      "Download complete no transcode required",
    ]);
    assert.equal(await readFile(path("delivered/ada/films/film.mkv"), "utf8"), "moving pictures");
    assert.deepEqual([done.job, done.attempts], [null, 0]);
    await mailed("ada@example.org", /Subject: Your download of film\.mkv is complete/);
  });

  test("a person is mailed a link, and what it leads to is a ZIP of the file", async () => {
    const { id } = await deposit(server, bundle({ "films/short.mkv": "a short film" }));
    await finished(server, id);
    const [film] = await Array.fromAsync(client.transactions.files(id));
    const loans = {
      name: "loans",
      title: "Loans",
      fields: { email: { type: "string" }, film: { type: "string" } },
      statuses: {
        Asked: {
          action: {
            do: "cart",
            file: "{film}",
            deliver: { mail: "{email}" },
            success: "Sent",
            failure: "Refused",
            backOff: "1s",
          },
        },
        Sent: {},
        Refused: {},
      },
      initial: "Asked",
      permissions: { create: ["anyone"] },
    };
    await client.registers.declare("loans", JSON.stringify(loans));
    const entry = await client.registers.add("loans", { email: "grace@example.org", film: String(film?.id) });
    await reaches(entry, "Sent");
    await mailed("grace@example.org", /Subject: Your files are ready/);
    const letter = mail.received.find(({ to }) => to.includes("grace@example.org"));
    const link = /http:\/\/\S+\.zip/.exec(letter?.source.replaceAll("=\r\n", "") ?? "")?.[0];
    assert.ok(link, letter?.source);
    const zip = path("loan.zip");
    await writeFile(zip, await (await fetch(link)).bytes());
    // Info-ZIP's unzip is the judge.
    const { stdout } = await promisify(execFile)("unzip", ["-p", zip, "*short.mkv"]);
    assert.equal(stdout, "a short film");
  });

  test("a transcode is made aside, checked, and takes the place of its source", async () => {
    const entry = await request({ transcode: "mp4_proxy", download_path: "ada/proxies" });
    const done = await reaches(entry, "Download and transcode complete");
    assert.deepEqual(await readdir(path("delivered/ada/proxies")), ["film.mkv.mp4"]);
    assert.equal(await readFile(path("delivered/ada/proxies/film.mkv.mp4"), "utf8"), "moving pictures");
    assert.equal(done.reason, "cp has made film.mkv.mp4");
    assert.ok((await statuses(entry)).includes("Transcoding"));
  });

  test("what is there already and the same is success; something else is left alone, and the request fails", async () => {
    await reaches(await request(), "Download complete no transcode required");
    await mkdir(path("delivered/ada/other"), { recursive: true });
    await writeFile(path("delivered/ada/other/film.mkv"), "somebody else's");
    const failed = await reaches(await request({ download_path: "ada/other" }), "Download error");
    assert.match(failed.reason ?? "", /something else at the file's place/);
    assert.equal(await readFile(path("delivered/ada/other/film.mkv"), "utf8"), "somebody else's");
  });

  test("a file that is not in the archive is looked for as often as declared, and no oftener", async () => {
    const entry = await request({ fname: "unknown.mkv" });
    const failed = await reaches(entry, "Download error");
    assert.match(failed.reason ?? "", /cart cannot be made/);
    const seen = await statuses(entry);
    assert.equal(seen.filter((status) => status === "Downloading").length, 2);
    await mailed("ada@example.org", /Subject: unknown\.mkv could not be downloaded/);
  });

  test("a folder that leads elsewhere is refused when it is asked for", async () => {
    for (const download_path of ["../etc", "/etc", "a/../../etc", ".hidden"])
      await assert.rejects(request({ download_path }), { code: "entry_invalid" });
  });

  const dayAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);
  async function backup(day: string, channel: string, files: Record<string, string>): Promise<void> {
    const at = path("backup", ...day.split("-"), channel);
    for (const [name, content] of Object.entries(files)) {
      const file = join(at, name);
      await mkdir(join(file, ".."), { recursive: true });
      await writeFile(file, content);
      // Long written, so that it is not waited for.
      await utimes(file, new Date(Date.now() - DAY_MS), new Date(Date.now() - DAY_MS));
    }
  }
  const preserve = (day: string, channel: string) =>
    client.registers.add("preservation", {
      name: "Ada",
      email: "ada@example.org",
      preservation_date: day,
      channel,
    });

  test("a day of a channel is moved into the archive, and its folder is gone", async () => {
    const day = dayAgo(5);
    await backup(day, "film4", { "2200/stream.ts": "late film", "2300/stream.ts": "news" });
    const entry = await preserve(day, "film4");
    const done = await reaches(entry, "Preserved");
    const [, transaction = ""] = /^archived as transaction (\d+)$/.exec(done.reason ?? "") ?? [];
    const found = await client.transactions.get(Number(transaction));
    assert.deepEqual(
      [found.files, found.submitter, found.project, found.instrument],
      [2, "Ada", "preservation", "film4"],
    );
    assert.ok(found.keyValues.some(({ key, value }) => key === "date" && value === day));
    const paths = (await Array.fromAsync(client.transactions.files(found.id))).map((file) => file.path);
    assert.deepEqual(paths, ["data/2200/stream.ts", "data/2300/stream.ts"]);
    assert.equal(existsSync(path("backup", ...day.split("-"), "film4")), false);
    assert.deepEqual(await statuses(entry), ["Requested", "Moving", "Preserved"]);
    await mailed("ada@example.org", /Subject: film4 of .* is preserved/);
  });

  test("the same day of the same channel can be asked for once, and a day that is too old not at all", async () => {
    const day = dayAgo(5);
    await assert.rejects(preserve(day, "film4"), { code: "entry_exists" });
    await assert.rejects(preserve(dayAgo(30), "film4"), { code: "entry_invalid" });
    await assert.rejects(preserve(day, "film5"), { code: "entry_invalid" });
    await assert.rejects(preserve("2026-02-30", "film4"), { code: "entry_invalid" });
  });

  test("yesterday waits for its backup, and is cancelled meanwhile; a folder that is not there is an error", async () => {
    const waiting = await preserve(dayAgo(1), "five");
    assert.deepEqual([waiting.status, waiting.attempts], ["Requested", 0]);
    const cancelled = await client.registers.setStatus("preservation", waiting.id, { to: "Cancelled" });
    assert.deepEqual([cancelled.status, cancelled.job], ["Cancelled", null]);
    // A worker that has just begun it finds that the entry has gone on, and that is its success.
    await until("its job is over", async () =>
      ["cancelled", "succeeded"].includes((await client.jobs.get(waiting.job ?? 0)).state),
    );
    assert.equal((await client.registers.entry("preservation", waiting.id)).status, "Cancelled");
    const missing = await preserve(dayAgo(6), "itv1");
    const failed = await reaches(missing, "Move error");
    assert.match(failed.reason ?? "", /does not exist/);
  });

  test("everything can be said on the command line", async () => {
    const cli = async (...args: string[]) => {
      const { code, stdout, stderr } = await runCli(["register", ...args], {
        env: { LONGSHORE_URL: server.url },
        cwd: folder,
      });
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await cli("list"), /^books +Books +file +1$/m);
    assert.match(await cli("show", "books"), /"name": "books"/);
    const added = JSON.parse(
      await cli("add", "books", "title=Dune", "author=Herbert", "year_published=1965", "first_sentence==1+1", "--json"),
    ) as RegisterEntry;
    assert.deepEqual(added.fields, { published: 1965, author: "Herbert", title: "Dune", first_sentence: "=1+1" });
    assert.match(await cli("entries", "books", "published=1965"), /Dune/);
    assert.equal((await cli("entries", "books", "published=1966")).split("\n").length, 2);
    assert.match(await cli("show", "books", String(added.id)), /title +Dune/);
    await cli("export", "books", "--output", "books.csv");
    assert.equal(
      (await readFile(path("books.csv"), "utf8")).split("\r\n")[1]?.split(",").slice(0, 5).join(","),
      ",1965,Herbert,Dune,'=1+1",
    );
    assert.match(await cli("import", "books", "books.csv"), /^1 entries, from 2 on$/m);
    assert.match(await cli("history", "books", "2"), /\(new\) -> Listed/);
    await cli("remove", "books", "1");
    await writeFile(
      path("notes.json"),
      JSON.stringify({
        name: "notes",
        title: "Notes",
        fields: { text: { type: "string" } },
        statuses: { Open: { next: { Closed: ["anyone"] } }, Closed: {} },
        initial: "Open",
      }),
    );
    assert.match(await cli("check", "notes.json"), /^notes is well declared; 0 entries agree with it\.$/m);
    await cli("declare", "notes.json");
    await cli("add", "notes", "text=hello");
    assert.match(
      await cli("set-status", "notes", "1", "Closed", "--from", "Open", "--reason", "read"),
      /notes: Closed/,
    );
    const again = await runCli(["register", "set-status", "notes", "1", "Closed"], {
      env: { LONGSHORE_URL: server.url },
    });
    assert.deepEqual([again.code, /^error\[entry_conflict\]/m.test(again.stderr)], [4, true]);
  });
});
