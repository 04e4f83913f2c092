import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { finished, json, type WireJob } from "../http/client.ts";
import { type ServerProcess, startServer, withoutSettings } from "../support/server.ts";
import { without } from "../support/tools.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
/** Where the README's server is. */
const ADDRESS = "http://127.0.0.1:7700";

/** Lines of indented code: what one types at the project's folder. */
const TYPED = [...README.matchAll(/^ {4}(.+)$/gm)].map(([, line = ""]) => line);
const INLINE = [...README.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
const isLongshore = (line: string) => line.startsWith("npm run longshore -- ");

describe("the README", () => {
  let server: ServerProcess;
  /** The project as it is, in a folder where commands may leave what they fetch. */
  let project: string;
  before(async () => {
    server = await startServer();
    project = await mkdtemp(join(tmpdir(), "longshore-readme-"));
    for (const name of ["src", "node_modules", "examples"]) await symlink(join(ROOT, name), join(project, name));
    for (const name of ["package.json", "README.md", "docs"])
      await cp(join(ROOT, name), join(project, name), { recursive: true });
  });
  after(async () => {
    await server.stop();
    await rm(project, { recursive: true });
  });

  /** Runs shell commands as a user of that project and that server would. @throws Error when they do not end with 0. */
  async function shell(script: string, cwd = project): Promise<string> {
    const env = {
      ...withoutSettings(process.env),
      LONGSHORE_URL: server.url,
      LONGSHORE_DATA_DIR: server.dataDir,
      XDG_STATE_HOME: join(project, "state"),
    };
    const { stdout } = await run("bash", ["--norc", "-eo", "pipefail", "-c", script.replaceAll(ADDRESS, server.url)], {
      cwd,
      env,
    });
    return stdout;
  }

  test("has the two commands that set it up, and npm knows what they run", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    for (const command of ["npm ci && npm run demo", "npm ci && npm test", "npm start"])
      assert.ok(TYPED.includes(command), command);
    for (const script of ["demo", "test", "start", "longshore"]) assert.ok(scripts[script], script);
  });

  test("has commands that work, one after the other", async () => {
    const commands = [...TYPED, ...INLINE].filter(isLongshore);
    assert.equal(commands.length, 13, "commands were added or taken away: look after this test");
    for (const command of commands) await shell(command);
    assert.equal(await readFile(join(project, "copy.md"), "utf8"), README);
  });

  test("deposits from a script, as it says", {
    skip: without("curl", ["curl", "--version"], "apt package curl"),
  }, async () => {
    const [block, ...more] = [...README.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, script = ""]) => script);
    assert.ok(block && more.length === 0, "there is one script");
    const folder = join(project, "script");
    await mkdir(folder);
    const { id } = JSON.parse(await shell(block, folder)) as WireJob;
    const job = await finished(server, id);
    assert.deepEqual([job.state, job.error, job.result?.files], ["succeeded", null, 1]);
    const address = `${server.url}/api/v1/transactions/${id}/files`;
    const { items } = await json<{ readonly items: readonly { readonly id: number }[] }>(address);
    const content = await fetch(`${server.url}/api/v1/files/${items[0]?.id}/content`);
    assert.equal(await content.text(), "hello\n");

    const looks = INLINE.filter((code) => code.startsWith("curl "));
    assert.equal(looks.length, 2);
    for (const look of looks) assert.match(await shell(look), /succeeded/);
  });
});

for (const document of ["README.md", "ARCHITECTURE.md"])
  test(`every link of ${document} leads to something`, () => {
    const text = readFileSync(join(ROOT, document), "utf8");
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
    const local = links.filter((link) => !/^https?:/.test(link));
    assert.ok(local.length > 0, "found no links");
    for (const link of local) {
      const [path = "", anchor] = link.split("#");
      const file = join(ROOT, dirname(document), path);
      assert.ok(existsSync(file), link);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => slug(title));
      assert.ok(headings.includes(anchor), link);
    }
  });

/** The anchor of a heading, as GitHub makes it. */
function slug(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} -]/gu, "")
    .replaceAll(" ", "-");
}
