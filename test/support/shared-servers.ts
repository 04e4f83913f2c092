/** Servers that all files of one test run share: each takes seconds to start. `node --test --test-global-setup`. */
import { startPostgresServer } from "./postgres.ts";

let stop = async () => {};

export async function globalSetup(): Promise<void> {
  const postgres = await startPostgresServer();
  process.env.TEST_POSTGRES = postgres.url;
  stop = postgres.stop;
}

export async function globalTeardown(): Promise<void> {
  await stop();
}
