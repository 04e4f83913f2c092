import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

/*
 * Proves what the image is made of where there is no engine for containers: goes through the Dockerfile, in a temporary
 * folder for each stage, with what .dockerignore leaves, and runs the same commands (but for those that install Debian's
 * packages). Then serves from the result, as nobody where it can, with nothing writable but the data folder, and asks what
 * HEALTHCHECK asks.
 *
 *     node deploy/try-image.ts
 */

const ROOT = join(import.meta.dirname, "..");
const NOBODY = 65534;

const place = await mkdtemp(join(tmpdir(), "longshore-image-"));
try {
  await chmod(place, 0o755);
  const context = join(place, "context");
  await leaveIgnored(context);
  await serveFrom(await build(context));
} finally {
  await rm(place, { recursive: true, force: true });
}

/** What an engine would send to its builder. */
async function leaveIgnored(context: string): Promise<void> {
  const lines = (await readFile(join(ROOT, ".dockerignore"), "utf8")).split("\n");
  for (const kept of lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1))) {
    await mkdir(dirname(join(context, kept)), { recursive: true });
    await cp(join(ROOT, kept), join(context, kept), { recursive: true });
  }
}

interface Stage {
  readonly root: string;
  workdir: string;
  readonly env: Record<string, string>;
  health: readonly string[];
  command: readonly string[];
}

async function build(context: string): Promise<Stage> {
  const text = (await readFile(join(ROOT, "Dockerfile"), "utf8")).replace(/\\\n\s*/g, "");
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const line of text.split("\n").filter((one) => one !== "" && !one.startsWith("#"))) {
    const [, word = "", rest = ""] = /^(\w+) (.+)$/.exec(line) ?? [];
    if (word === "FROM") {
      const name = / AS (\w+)$/.exec(rest)?.[1] ?? "image";
      stage = { root: join(place, name), workdir: "/", env: {}, health: [], command: [] };
      stages.set(name, stage);
    }
    if (!stage) throw new Error(`${word} before FROM`);
    const inside = (path: string) => join(stage?.root ?? "", path.startsWith("/") ? "" : (stage?.workdir ?? ""), path);
    if (word === "WORKDIR") {
      stage.workdir = rest;
      await mkdir(inside("."), { recursive: true });
    } else if (word === "COPY") {
      const [, from, what = ""] = /^(?:--from=(\w+) )?(.+)$/.exec(rest) ?? [];
      const sources = what.split(" ");
      const target = sources.pop() ?? "";
      const origin = from === undefined ? context : (stages.get(from)?.root ?? "");
      for (const source of sources) {
        const into = target === "./" ? inside(source.split("/").at(-1) ?? "") : inside(target);
        await cp(join(origin, source), into, { recursive: true, verbatimSymlinks: true });
      }
    } else if (word === "RUN" && !rest.startsWith("apt-get")) {
      console.log(`RUN ${rest}`);
      const { status } = spawnSync("sh", ["-c", rest], { cwd: inside("."), stdio: ["ignore", "ignore", "inherit"] });
      if (status !== 0) throw new Error(`ended with ${status}: ${rest}`);
    } else if (word === "ENV")
      for (const [, name = "", value = ""] of rest.matchAll(/(\w+)=(\S+)/g)) stage.env[name] = value;
    else if (word === "HEALTHCHECK") stage.health = JSON.parse(rest.slice(rest.indexOf("[")));
    else if (word === "ENTRYPOINT" || word === "CMD") stage.command = [...stage.command, ...JSON.parse(rest)];
  }
  const image = stages.get("image");
  if (!image) throw new Error("the Dockerfile has no last stage");
  return image;
}

async function serveFrom({ root, workdir, env, health, command }: Stage): Promise<void> {
  const app = join(root, workdir);
  const size = spawnSync("du", ["-sm", app], { encoding: "utf8" }).stdout.split("\t")[0];
  console.log(`${size} MiB beside Node.js: ${(await readdir(app)).join(", ")}`);
  const dataDir = join(place, "data");
  await mkdir(dataDir, { mode: 0o777 });
  await chmod(dataDir, 0o777);
  const port = "17700";
  const settings = {
    ...env,
    LONGSHORE_DATA_DIR: dataDir,
    LONGSHORE_PORT: port,
    LONGSHORE_HOST: "127.0.0.1",
  };
  const as = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  // tini is Debian's.
  const [program = "", ...words] = command
    .slice(command.indexOf("--") + 1)
    .map((word) => (word.startsWith("/") ? join(root, word) : word));
  const started = { env: { PATH: process.env.PATH, ...settings }, cwd: app, ...as };
  const server = spawn(program, words, { ...started, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(server, "exit");
  try {
    const [address] = await Promise.race([
      once(createInterface(server.stdout), "line"),
      ended.then(([code]) => Promise.reject(new Error(`the server ended with ${code}`))),
    ]);
    const [asker = "", ...question] = health;
    const answer = spawnSync(asker, question, { ...started, stdio: "inherit" });
    console.log(`serves on ${address} as ${as.uid ?? "this user"}; the health check ends with ${answer.status}`);
    if (answer.status !== 0) throw new Error("it is not healthy");
  } finally {
    server.kill("SIGTERM");
    const [code] = await ended;
    console.log(`SIGTERM: it ended with ${code}`);
  }
}
