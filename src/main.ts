#!/usr/bin/env node
// Nothing is imported before the version is known: an older Node would stop at an import with a riddle.
const [major = 0] = process.versions.node.split(".").map(Number);
if (major < 24) {
  process.stderr.write(
    `Longshore needs Node 24 or later; this is ${process.version}. Get one from https://nodejs.org.\n`,
  );
  process.exitCode = 2;
} else {
  const { run } = await import("./run.ts");
  process.exitCode = await run(process.argv.slice(2));
}
