import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { jobId, transactionOf } from "../../../src/core/ids.ts";
import { DROP, type DropFixture, OPERATOR, openDrop } from "../../support/dropping.ts";
import { until } from "../../support/until.ts";

const digest = (algorithm: string, content: string) => createHash(algorithm).update(content).digest("hex");

/** The archived files of a delivery and their bytes. */
async function archived({ jobs, contents }: DropFixture, job: number | null): Promise<Record<string, string>> {
  return contents(await jobs.get(jobId(job ?? 0)));
}

const quarantined = (fixture: DropFixture) => fixture.lying(join(fixture.folder, ".quarantine"));

test("a file and a folder become a bundle each, and stay where they lie", async (t) => {
  const fixture = await openDrop(t, {
    grammar: "(?<house>[A-Z]+)_(?<number>\\d+).*",
    metadata: { project: "{house}", instrument: "scanner", keyValues: { "house number": "{house}/{number}" } },
  });
  await fixture.place("N_17.txt", "hello");
  await fixture.place("N_18 reel/a.dpx", "\0\x01");
  await fixture.place("N_18 reel/b/empty", "");
  await fixture.place(".N_19.txt.Xy12", "rsync is still at it");
  assert.deepEqual(await fixture.looked(), { found: 2, taken: 0, rejected: 0, paused: 0 });
  const found = await fixture.settled("archived");
  assert.deepEqual(Object.keys(found).sort(), ["N_17.txt", "N_18 reel"]);
  assert.deepEqual(await archived(fixture, found["N_17.txt"]?.job ?? 0), { "data/N_17.txt": "hello" });
  assert.deepEqual(await archived(fixture, found["N_18 reel"]?.job ?? 0), {
    "data/N_18 reel/a.dpx": "\0\x01",
    "data/N_18 reel/b/empty": "",
  });
  const id = transactionOf(jobId(found["N_17.txt"]?.job ?? 0));
  const transaction = await fixture.stores.catalogue.transaction(id);
  assert.deepEqual(
    [transaction?.owner, transaction?.submitter, transaction?.project, transaction?.instrument],
    ["ada", "ada", "N", "scanner"],
  );
  assert.deepEqual(
    (await fixture.stores.catalogue.keyValues(id)).map(({ key, value }) => [key, value]),
    [
      ["house number", "N/17"],
      ["drop folder", DROP],
      ["delivery", "N_17.txt"],
    ],
  );
  assert.equal((await fixture.lying()).length, 4, "nothing was removed");
  const before = (await fixture.jobs.list({ limit: 100 })).length;
  await fixture.looked();
  assert.equal((await fixture.jobs.list({ limit: 100 })).length, before, "nothing is taken twice");
  // A linked file would change in the archive with its source.
  await appendFile(join(fixture.folder, "N_17.txt"), " again");
  assert.deepEqual(await archived(fixture, found["N_17.txt"]?.job ?? 0), { "data/N_17.txt": "hello" });
  await until("what took its place is another delivery", async () => {
    await fixture.looked();
    return (await fixture.deliveries()).filter(({ state }) => state === "archived").length === 2;
  });
  const again = (await fixture.deliveries()).at(-1);
  assert.deepEqual(await archived(fixture, again?.job ?? 0), { "data/N_17.txt": "hello again" });
});

test("what is still being written is not taken, however many looks are had, until it has been left alone", async (t) => {
  const fixture = await openDrop(t);
  const { place, looked, folder, deliveries } = fixture;
  await place("film.mkv.part", "x");
  await place("reel/0001.dpx", "");
  for (let written = 1; written <= 12; written++) {
    await appendFile(join(folder, "reel/0001.dpx"), "x");
    // Programs that keep times set them while they write, too.
    if (written % 3 === 0) await utimes(join(folder, "reel/0001.dpx"), 1_600_000_000, 1_600_000_000 + written);
    assert.equal((await looked()).taken, 0);
  }
  const states = (await deliveries()).map(({ name, state, note }) => [name, state, note]);
  assert.deepEqual(states, [
    ["film.mkv.part", "arriving", "Its name says that it is still being written."],
    ["reel", "arriving", null],
  ]);
  await rename(join(folder, "film.mkv.part"), join(folder, "film.mkv"));
  const found = await fixture.settled("archived", "gone");
  assert.deepEqual(await archived(fixture, found.reel?.job ?? 0), { "data/reel/0001.dpx": "x".repeat(12) });
  assert.deepEqual(await archived(fixture, found["film.mkv"]?.job ?? 0), { "data/film.mkv": "x" });
  assert.equal(found["film.mkv.part"]?.state, "gone");
});

test("the quiet period begins anew with each change", async (t) => {
  const fixture = await openDrop(t, { quietSeconds: 600 });
  let now = Date.now();
  const clock = { ...fixture.parts.clock, now: () => now };
  const after = async (ms: number) => {
    now += ms;
    return (await fixture.looked({ clock })).taken;
  };
  await fixture.place("a.txt", "hello");
  assert.equal(await after(0), 0);
  assert.equal(await after(599_999), 0);
  await fixture.place("a.txt", "hello, world");
  assert.equal(await after(1), 0, "it has changed");
  assert.equal(await after(599_999), 0);
  assert.equal(await after(1), 1);
  await fixture.settled("archived");
});

test("of what stays incomplete for too long operators are told, once, and it is taken all the same", async (t) => {
  const fixture = await openDrop(t, { grammar: "(?<part>\\d)of(?<parts>\\d)\\.mkv", overdueHours: 48 });
  let now = Date.now();
  const clock = { ...fixture.parts.clock, now: () => now };
  const noteAfter = async (ms: number) => {
    now += ms;
    await fixture.looked({ clock });
    return (await fixture.deliveries())[0]?.note;
  };
  const incomplete = "Of 2 parts, 2 is not there.";
  const overdue = `${incomplete} It has been waiting for more than 48 hours.`;
  await fixture.place("1of2.mkv", "one");
  assert.equal(await noteAfter(0), incomplete);
  assert.equal(await noteAfter(48 * 3_600_000 - 1), incomplete);
  assert.equal(await noteAfter(1), overdue);
  assert.equal(await noteAfter(48 * 3_600_000), overdue);
  const mails = await fixture.stores.outbox.claim(now, 1, 10);
  assert.equal(mails.length, 1);
  assert.match(String(mails[0]?.payload.text), /\*of2\.mkv in .* is not complete.*\n\nOf 2 parts, 2 is not there\./);
  await fixture.place("2of2.mkv", "two");
  now = Date.now();
  await fixture.settled("archived");
});

test("a delivery that changes after it was taken is not archived as it was, but looked at anew", async (t) => {
  const fixture = await openDrop(t);
  const { place, looked, deliveries, switches } = fixture;
  await place("a.txt", "hello");
  await looked();
  await switches.pause("ingest", "ada"); // the look is ours; the job waits below
  await switches.pause("drops", "ada");
  await until("it is taken", async () => {
    await looked({ switches: { mayRun: async () => true } });
    return (await deliveries())[0]?.state === "taking";
  });
  await place("a.txt", "jello");
  await switches.resume("drops");
  await switches.resume("ingest");
  const first = (await deliveries())[0];
  const job = await fixture.over(await fixture.jobs.get(jobId(first?.job ?? 0)));
  assert.deepEqual([job.state, job.error?.code], ["failed", "source_changed"]);
  const found = await fixture.settled("archived");
  assert.deepEqual(await archived(fixture, found["a.txt"]?.job ?? 0), { "data/a.txt": "jello" });
});

test("checksums beside a file and in a folder are compared, and archived with the rest", async (t) => {
  const fixture = await openDrop(t);
  await fixture.place("a.mkv", "hello");
  await fixture.place("a.mkv.md5", `${digest("md5", "hello")}  a.mkv\n`);
  await fixture.place("reel/1.dpx", "one");
  await fixture.place("reel/sub/2.dpx", "two");
  const lines = [
    `${digest("sha256", "one")} *./1.dpx`,
    `SHA512 (sub/2.dpx) = ${digest("sha512", "two").toUpperCase()}`,
  ];
  await fixture.place("reel/manifest-sha256.txt", `# made by hand\r\n${lines.join("\r\n")}\r\n`);
  const found = await fixture.settled("archived");
  assert.deepEqual(Object.keys(await archived(fixture, found["a.mkv"]?.job ?? 0)).sort(), [
    "data/a.mkv",
    "data/a.mkv.md5",
  ]);
  const files = await fixture.files(await fixture.jobs.get(jobId(found.reel?.job ?? 0)));
  assert.deepEqual(
    files.map(({ path, declared }) => [path, declared.algorithm]),
    [
      ["data/reel/1.dpx", "sha256"],
      ["data/reel/manifest-sha256.txt", "sha512"], // nobody says what it is but we
      ["data/reel/sub/2.dpx", "sha512"],
    ],
  );
});

test("what its checksums speak against goes to the quarantine with the reason, whole, and nothing is deleted", async (t) => {
  const fixture = await openDrop(t);
  await fixture.place("a.mkv", "hullo");
  await fixture.place("a.mkv.md5", `${digest("md5", "hello")}  a.mkv\n`);
  await fixture.place("reel/1.dpx", "one");
  await fixture.place("reel/checksums.sha1", `${digest("sha1", "two")}  2.dpx\nrubbish\n`);
  const found = await fixture.settled("quarantined");
  assert.match(
    found["a.mkv"]?.note ?? "",
    /^A file of the delivery is not what its checksum says. \(path: a.mkv; expected: md5:/,
  );
  const codesOf = async (name: string) => {
    const { error } = await fixture.jobs.get(jobId(found[name]?.job ?? 0));
    const problems = (error?.details.problems ?? []) as readonly { readonly code: string }[];
    return [error?.code, ...problems.map(({ code }) => code).toSorted()];
  };
  assert.deepEqual(await codesOf("a.mkv"), ["delivery_mismatch", "delivery_mismatch"]);
  assert.deepEqual(await codesOf("reel"), ["bundle_refused", "checksums_invalid", "delivery_incomplete"]);
  const lying = await quarantined(fixture);
  assert.deepEqual(
    lying.map((path) => path.split("/").slice(1).join("/")),
    ["a.mkv", "a.mkv.md5", "reason.txt", "reason.txt", "reel/1.dpx", "reel/checksums.sha1"],
  );
  const reason = lying.find((path) => path.includes("-reel-") && path.endsWith("reason.txt")) ?? "";
  const text = await readFile(join(fixture.folder, ".quarantine", reason), "utf8");
  assert.match(text, /reel, of the drop folder scans was rejected/);
  assert.match(text, /^- reel\/2.dpx: A file that the delivery lists is not there/m);
  assert.match(text, /^- reel\/checksums.sha1, line 2: A list of checksums cannot be read.*40 hex digits/m);
  assert.deepEqual(
    (await fixture.lying()).filter((path) => !path.startsWith(".quarantine")),
    [],
  );
});

test("the same name rejected twice lies in the quarantine twice", async (t) => {
  const fixture = await openDrop(t, { grammar: "[a-z]+" });
  for (const content of ["one", "two"]) {
    await fixture.place("NOT THIS", content);
    await until(`${content} is in quarantine`, async () => {
      await fixture.looked();
      return !(await fixture.lying()).includes("NOT THIS");
    });
  }
  await fixture.settled("quarantined");
  const lying = (await quarantined(fixture)).filter((path) => path.endsWith("/NOT THIS"));
  const contents = await Promise.all(lying.map((path) => readFile(join(fixture.folder, ".quarantine", path), "utf8")));
  assert.deepEqual(contents.sort(), ["one", "two"]);
  const mails = await fixture.stores.outbox.claim(Date.now(), 1, 10);
  assert.deepEqual(
    mails.map(({ target }) => target),
    ["olga@example.org", "olga@example.org"],
  );
  assert.match(
    String(mails[0]?.payload.text),
    /^NOT THIS cannot be taken from .*\/in\. .*moved, whole, to .*\.quarantine:$/m,
  );
});

test("checksums may be demanded: without them a file waits, and a folder with a file too many is rejected", async (t) => {
  const fixture = await openDrop(t, { manifest: "required" });
  await fixture.place("lone.mkv", "x");
  await fixture.place("other.mkv.sha256", "");
  await fixture.place("reel/1", "one");
  await fixture.place("reel/2", "two");
  await fixture.place("reel/reel.md5", `${digest("md5", "one")}  1\n`);
  await until("the folder is rejected", async () => {
    await fixture.looked();
    return (await fixture.deliveries()).some(({ state }) => state === "quarantined");
  });
  assert.deepEqual(
    (await fixture.deliveries()).map(({ name, state, note }) => [name, state, note?.split(" (")[0]]),
    [
      ["lone.mkv", "arriving", "There is no file with its checksum."],
      ["other.mkv.sha256", "arriving", "The file that it is the checksum of, other.mkv, is not there."],
      ["reel", "quarantined", "A file of the delivery has no checksum, and must have one."],
    ],
  );
});

test("parts become one bundle when all are there; impossible ones are rejected", async (t) => {
  const fixture = await openDrop(t, { grammar: "(?<id>N_\\d+)_(?<part>\\d+)of(?<parts>\\d+)\\.mkv" });
  await fixture.place("N_1_02of03.mkv", "two");
  await fixture.place("N_1_03of03.mkv", "three");
  await fixture.place("N_2_04of03.mkv", "four");
  await fixture.place("N_3_1of2.mkv", "a");
  await fixture.place("N_3_01of2.mkv", "a");
  await fixture.place("N_3_02of2.mkv", "b");
  await until("the impossible ones are rejected", async () => {
    await fixture.looked();
    return (await fixture.deliveries()).filter(({ state }) => state === "quarantined").length === 2;
  });
  assert.deepEqual(
    (await fixture.deliveries()).map(({ name, note }) => [name, note]),
    [
      ["N_2_04of03.mkv", "It cannot be part 04 of 03."],
      ["N_1_*of03.mkv", "Of 3 parts, 1 is not there."],
      ["N_3_*of2.mkv", "There are several of part 1."],
    ],
  );
  await fixture.place("N_1_01of03.mkv", "one");
  const found = await fixture.settled("archived", "quarantined");
  assert.deepEqual(await archived(fixture, found["N_1_*of03.mkv"]?.job ?? 0), {
    "data/N_1_01of03.mkv": "one",
    "data/N_1_02of03.mkv": "two",
    "data/N_1_03of03.mkv": "three",
  });
});

test("links, special files and names that are not UTF-8 are never followed or read, and go to the quarantine", async (t) => {
  const fixture = await openDrop(t);
  const { folder } = fixture;
  const outside = join(folder, "../outside");
  await writeFile(outside, "not ours");
  await symlink(outside, join(folder, "link"));
  await fixture.place("reel/a", "a");
  await symlink(outside, join(folder, "reel/b"));
  await mkdir(join(folder, "piped"));
  execFileSync("mkfifo", [join(folder, "piped/pipe")]);
  const bad = Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9])]);
  await writeFile(bad, "latin-1");
  await fixture.place("deep/x", "");
  await writeFile(Buffer.concat([Buffer.from(`${folder}/deep/`), Buffer.from([0xff])]), "");
  const found = await fixture.settled("quarantined");
  const reasons = Object.fromEntries(Object.entries(found).map(([name, { note }]) => [name, note?.split(" (")[0]]));
  assert.deepEqual(reasons, {
    "?/caf\\xe9": "Its name is not UTF-8.",
    deep: "A tar member's name is not valid UTF-8.",
    link: "It is neither a file nor a folder, but a link or a special file.",
    piped: "The source is not a regular file that the server may read and remove.",
    reel: "The source is not a regular file that the server may read and remove.",
  });
  assert.equal(await readFile(outside, "utf8"), "not ours");
  const moved = execFileSync("find", [join(folder, ".quarantine"), "-type", "l"], { encoding: "utf8" });
  assert.equal(moved.trim().split("\n").length, 2, "links were moved as links");
  assert.deepEqual(
    (await fixture.lying()).filter((path) => !path.startsWith(".quarantine")),
    [],
  );
  await fixture.unharmed();
});

test("an empty folder is rejected when it has been quiet", async (t) => {
  const fixture = await openDrop(t);
  await mkdir(join(fixture.folder, "nothing/in/here"), { recursive: true });
  const found = await fixture.settled("quarantined");
  assert.match(found.nothing?.note ?? "", /lists no files/);
});

test("what lies at a paused path is left alone until the path is resumed", async (t) => {
  const fixture = await openDrop(t);
  await fixture.place("a", "a");
  await fixture.place("b", "b");
  await fixture.switches.pause(`/${join(fixture.folder, "b").slice(1)}`, "ada");
  assert.deepEqual(await fixture.looked(), { found: 2, taken: 0, rejected: 0, paused: 1 });
  await fixture.settled("archived");
  await fixture.switches.resume(`/${join(fixture.folder, "b").slice(1)}`);
  assert.deepEqual(Object.keys(await fixture.settled("archived")).sort(), ["a", "b"]);
});

test("a folder that cannot be read is told, keeps no other from being taken, and is taken when it can be", async (t) => {
  const fixture = await openDrop(t);
  await fixture.place("a", "a");
  await rm(fixture.folder, { recursive: true });
  await assert.rejects(fixture.looked(), { code: "drop_unreadable", kind: "unavailable" });
  const job = await fixture.over(await fixture.drops.look(OPERATOR, DROP), 200).catch(() => undefined);
  assert.equal(job, undefined, "it is tried again later");
  assert.match((await fixture.drops.get(DROP)).lastLook?.trouble ?? "", /cannot be used.*ENOENT/);
  await mkdir(fixture.folder);
  await fixture.place("a", "a");
  await fixture.settled("archived");
});

test("500 files in one delivery and 80 deliveries at once are each taken once", async (t) => {
  const fixture = await openDrop(t);
  await mkdir(join(fixture.folder, "many"));
  for (let i = 0; i < 500; i++) await writeFile(join(fixture.folder, "many", `${i}.dat`), String(i));
  for (let i = 0; i < 80; i++) await fixture.place(`single-${i}`, String(i));
  const count = async (state: string) => (await fixture.deliveries()).filter((one) => one.state === state).length;
  for (let looks = 0; (await count("archived")) < 81; looks++) {
    assert.ok(looks < 6, "one look to see them, two to take them in turns, two to find them archived");
    await fixture.looked();
    for (const { job, state } of await fixture.deliveries())
      if (state === "taking") await fixture.over(await fixture.jobs.get(jobId(job ?? 0)));
  }
  const { transactions, files } = await fixture.stores.catalogue.totals();
  assert.deepEqual([transactions, files], [81, 580]);
});
