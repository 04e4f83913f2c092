// In an image, what is optional elsewhere (PostgreSQL, S3, OpenTelemetry) is there: makes the peers of package.json plain
// dependencies, at the versions that the tests run with. package-lock.json has them all.
import { readFileSync, writeFileSync } from "node:fs";

const { devDependencies, peerDependencies, peerDependenciesMeta, ...rest } = JSON.parse(
  readFileSync("package.json", "utf8"),
);
const drivers = Object.keys(peerDependencies).map((name) => [name, devDependencies[name]]);
const dependencies = { ...rest.dependencies, ...Object.fromEntries(drivers) };
writeFileSync("package.json", `${JSON.stringify({ ...rest, dependencies }, null, 2)}\n`);
