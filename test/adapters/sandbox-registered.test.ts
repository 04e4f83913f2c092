import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { confinement } from "../../src/adapters/sandbox/confinement.ts";
import { programIn, registeredFixture, type Told } from "../support/registered-extractors.ts";
import { until } from "../support/until.ts";

const MIB = 1024 * 1024;
const reasonOf = (told: Told | undefined) => (told && "reason" in told ? told.reason : told?.value);

test("an extractor in the folder is known by its manifest, and describes group after group", async (t) => {
  const { put, set, run } = await registeredFixture(t);
  await put("deeds", { schema: { type: "object", required: ["value"] } });
  assert.deepEqual(await set.facts(), [
    {
      name: "deeds",
      version: "1",
      takes: { mediaTypes: [], extensions: ["deed"] },
      schema: { type: "object", required: ["value"] },
      isBuiltIn: false,
    },
  ]);
  assert.deepEqual(await run("deeds", [["say one"], ["names", "another"], ["problem it is odd"]]), [
    { value: "one", problems: 0 },
    { value: ["0.deed 5", "1.deed 7"], problems: 0 },
    { value: 1, problems: 1 },
  ]);
});

for (const [deed, reason, message] of [
  ["fail it is torn", "threw", /^it is torn$/],
  ["abort", "died", /SIG/],
  ["loop", "silence", /3000 ms/],
  ["print hello", "garbage", /no JSON/],
  ["print [1]", "garbage", /answer/],
  ['print {"data":{"other":1}}', "garbage", /required property 'value'/],
  ["much 70000", "output", /65536/],
  ["leak", "memory", /memory/],
] as const)
  test(`"${deed}" fails by ${reason}, and the groups around it do not`, async (t) => {
    const { put, set, run } = await registeredFixture(t);
    await put("deeds", {
      schema: { type: "object", required: ["value"] },
      limits: {
        outputBytes: 65_536,
        memoryBytes: 256 * MIB,
        ...(reason === "silence" ? { timeMs: 3_000 } : {}),
      },
    });
    await set.facts();
    const told = await run("deeds", [["say before"], [deed], ["say after"]]);
    assert.deepEqual(told.map(reasonOf), ["before", reason, "after"]);
    const [, failed] = told;
    assert.match(failed && "message" in failed ? failed.message : "", message);
  });

test("what an extractor starts ends with it, in a group of its own or not", async (t) => {
  const { put, set, run } = await registeredFixture(t);
  await put("deeds", { limits: { timeMs: 3_000 } });
  await set.facts();
  const mark = `${process.pid}${Math.floor(performance.now())}`;
  const running = () => spawnSync("pgrep", ["-f", `^sleep 600 ${mark}`], { encoding: "utf8" }).stdout;
  const told = await run("deeds", [[`forks ${mark}`], [`leaves ${mark}`]]);
  const { endsWhole } = await confinement();
  // Where nothing holds them together, one that has left its parent's group and output behind is only waited for.
  assert.deepEqual(told.map(reasonOf), ["silence", endsWhole ? "left" : "silence"]);
  if (endsWhole) await until("none is left", () => running() === "");
  else spawnSync("pkill", ["-f", `^sleep 600 ${mark}`]);
});

test("there is no network where the system can take it away, and a clean environment everywhere", async (t) => {
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    socket.end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const { put, set, run } = await registeredFixture(t);
  await put("deeds");
  await set.facts();
  const [connected, environment, wrote] = await run("deeds", [[`connect ${port}`], ["environment"], ["wrote"]]);
  const { hasNoNetwork } = await confinement();
  assert.equal(reasonOf(connected) === "connected", !hasNoNetwork);
  assert.equal(asked, hasNoNetwork ? 0 : 1);
  assert.deepEqual(reasonOf(environment), ["HOME", "LANG", "PATH", "TMPDIR"]);
  assert.equal(existsSync(String(reasonOf(wrote))), false, "its folder was left behind");
});

test("a run that has used up its time fails what is left; one that is given up ends its process", async (t) => {
  const { put, set, run } = await registeredFixture(t, {
    limits: { silenceMs: 60_000, totalMs: 3_000, memoryBytes: 512 * MIB, outputBytes: MIB },
    processes: 1,
  });
  await put("deeds");
  await set.facts();
  assert.deepEqual((await run("deeds", [["say one"], ["loop"], ["say three"]])).map(reasonOf), [
    "one",
    "total",
    "total",
  ]);
  const stopped = new AbortController();
  const looping = run("deeds", [["loop"]], stopped.signal);
  const behind = run("deeds", [["say next"]]);
  stopped.abort(new Error("enough"));
  await assert.rejects(looping, { message: "enough" });
  assert.deepEqual((await behind).map(reasonOf), ["next"]);
});

const REFUSED: readonly (readonly [string, Readonly<Record<string, unknown>>, RegExp])[] = [
  ["a name that is built in", { name: "generic" }, /"generic" is taken/],
  ["a name that is ours", { name: "media-type" }, /"media-type" is taken/],
  ["a name that is none", { name: "My Extractor" }, /name: /],
  ["no version", { version: undefined }, /version: /],
  ["nothing that it takes", { takes: {} }, /at least one kind of file/],
  ["a misspelt field", { verison: "1" }, /verison/],
  ["neither command nor image", { command: undefined }, /a command, an image/],
  ["a program that is not there", { command: ["./none"] }, /"\.\/none" is no program/],
  ["a program that may not be run", { command: ["./extractor.json"] }, /no program/],
  ["a program that is nowhere in the path", { command: ["longshore-none"] }, /no program/],
  ["a schema that is none", { schema: { type: "objekt" } }, /no JSON Schema/],
  ["a program that fails", { command: ["/bin/false"] }, /threw.*exit code 1/],
  ["a program that answers what is no JSON", { command: ["/bin/echo", "hello"] }, /garbage/],
  ["a program that answers no record", { command: ["/bin/echo", "{}"] }, /garbage/],
  ["a sample that is not there", { sample: "none" }, /"none" is no file/],
  ["an image without anything to run it", { image: "longshore/none", command: undefined }, /podman|image/],
];
for (const [what, manifest, message] of REFUSED)
  test(`${what} is refused, saying so`, async (t) => {
    const { put, set, invalid } = await registeredFixture(t);
    await put("deeds", manifest);
    await assert.rejects(set.register("deeds"), (error: Error & { code?: string }) => {
      assert.equal(error.code, "extractor_invalid");
      assert.match(error.message, message);
      assert.match(error.message, /deeds/);
      return true;
    });
    assert.deepEqual(await set.facts(), []);
    await set.facts();
    assert.equal(invalid.length, 1, "it is told of once");
  });

test("a sample has to be described as the schema says", async (t) => {
  const { root, put, set } = await registeredFixture(t);
  const schema = { type: "object", properties: { value: { type: "string" } }, required: ["value"] };
  await put("deeds", { sample: "sample.deed", schema });
  await writeFile(join(root, "deeds", "sample.deed"), "names");
  await assert.rejects(set.register("deeds"), /sample.*\/value must be string/);
  await writeFile(join(root, "deeds", "sample.deed"), "say fine");
  assert.deepEqual(
    (await set.register("deeds")).map(({ name }) => name),
    ["deeds"],
  );
});

test("extractors come, change and go with their folders; a change for the worse changes nothing", async (t) => {
  const { root, put, set, invalid } = await registeredFixture(t);
  const versions = async () => (await set.facts()).map(({ name, version }) => `${name} ${version}`);
  assert.deepEqual(await versions(), []);
  await put("one");
  await put("two");
  assert.deepEqual(await versions(), ["one 1", "two 1"]);
  await put("one", { version: "2.0" });
  assert.deepEqual(await versions(), ["one 2.0", "two 1"]);
  await put("one", { version: "3", command: ["./none"] });
  assert.deepEqual(await versions(), ["one 2.0", "two 1"]);
  assert.equal(invalid.length, 1);
  await assert.rejects(set.register("one"), { code: "extractor_invalid" });
  await put("three", { name: "two" });
  assert.deepEqual(await versions(), ["one 2.0", "two 1"]);
  await rm(join(root, "two"), { recursive: true });
  await put("three", { name: "two", version: "now" });
  assert.deepEqual(await versions(), ["one 2.0", "two now"]);
});

test("all folders are registered at once, and each that cannot be is named", async (t) => {
  const { root, put, set } = await registeredFixture(t);
  await put("one");
  await put("two");
  assert.deepEqual(
    (await set.register("")).map(({ name }) => name),
    ["one", "two"],
  );
  assert.equal((await set.register(join(root, "two")))[0]?.name, "two");
  await put("bad", { version: undefined });
  await put("worse", { command: ["./none"] });
  await assert.rejects(set.register(""), /bad: .*; worse: /);
  for (const folder of ["..", "/etc", "one/two", "none"])
    await assert.rejects(set.register(folder), { code: "extractor_invalid" });
});

test("an image is run by the container runtime: without network, with the files read-only and bounded memory", async (t) => {
  // A stand-in that notes what it was asked for, and runs the command itself with the files where they really lie.
  const folder = await mkdtemp(join(tmpdir(), "longshore-podman-"));
  t.after(() => rm(folder, { recursive: true }));
  await programIn(
    folder,
    "podman",
    `#!/bin/sh
echo "$@" >> ${folder}/asked
case $1 in
  --version) ;;
  image) [ "$3" = known ] ;;
  rm) ;;
  run)
    source=$(echo "$@" | sed -n 's/.*source=\\([^,]*\\).*/\\1/p')
    shift; while [ "\${1#-}" != "$1" ]; do shift; done
    shift
    sed "s#/in/0#$source#g" | exec "$@" ;;
esac
`,
  );
  const { root, put, set, run } = await registeredFixture(t, {
    containerEnvironment: { PATH: `${folder}:/usr/bin:/bin` },
  });
  const command = () => [process.execPath, join(root, "deeds", "extract.mjs")];
  await put("deeds", { image: "unknown", command: command() });
  await assert.rejects(set.register("deeds"), /does not have the image "unknown"/);
  await put("deeds", { image: "known", command: command(), limits: { memoryBytes: 256 * MIB, timeMs: 5_000 } });
  await set.register("deeds");
  assert.deepEqual((await run("deeds", [["say within"], ["loop"]])).map(reasonOf), ["within", "silence"]);
  const asked = (await readFile(join(folder, "asked"), "utf8")).split("\n");
  const [, ...runs] = asked.filter((line) => line.startsWith("run "));
  assert.equal(runs.length, 2);
  for (const line of runs) {
    for (const flag of ["--network=none", "--read-only", "--rm", "--pull=never", `--memory=${256 * MIB}`])
      assert.ok(line.split(" ").includes(flag), `${flag} is missing in ${line}`);
    assert.match(line, /--mount=type=bind,source=[^,]+,target=\/in\/0,readonly /);
  }
  const [, name] = /--name=(\S+)/.exec(runs[1] ?? "") ?? [];
  assert.ok(asked.includes(`rm --force ${name}`), "the container that took too long was not removed");
});
