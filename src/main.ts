#!/usr/bin/env node
// Nothing is imported before the version is known: an older Node would stop at an import with a riddle.
const [major = 0] = process.versions.node.split(".").map(Number);
if (major < 24) {
  process.stderr.write(
    `Longshore needs Node 24 or later; this is ${process.version}. Get one from https://nodejs.org.\n`,
  );
  process.exitCode = 2;
} else {
  const { setFlagsFromString } = await import("node:v8");
  const { enableCompileCache } = await import("node:module");
  const { homedir } = await import("node:os");
  const { join } = await import("node:path");
  // The young generation stays small. Bytes in transit are short-lived buffers outside the heap, freed when it is swept:
  // grown to its usual size it is swept so rarely that they pile up. Peak while 1 GiB comes in: 178 MiB instead of 310.
  setFlagsFromString("--semi-space-growth-factor=1");
  // The old generation is swept when it has doubled, at the latest. Peak while 100,000 files come in: 272 MiB instead of
  // 333; sweeping still earlier saves a little more and takes a third more time to make a large cart.
  setFlagsFromString("--heap-growing-percent=100");
  // Types are stripped from the sources once, not at every start: 35 MiB less, and a command starts in half the time.
  // The folder is the user's own: what lies there is run.
  const compiled = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "longshore");
  enableCompileCache(compiled);
  process.env.NODE_COMPILE_CACHE ??= compiled; // for the threads: a server's start takes 0.25 s of CPU less
  const { run } = await import("./run.ts");
  process.exitCode = await run(process.argv.slice(2));
}
