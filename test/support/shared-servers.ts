/** Servers that all files of one test run share: each takes seconds to start. `node --test --test-global-setup`. */
import { startPostgresServer } from "./postgres.ts";
import { startOwnS3Server, withoutS3 } from "./s3-server.ts";

const STORE_BYTES = 8 * 1024 ** 3;

const running: { stop(): Promise<void> }[] = [];

export async function globalSetup(): Promise<void> {
  await Promise.all([shareDatabases(), ...(withoutS3() ? [] : [shareBuckets()])]);
}

export async function globalTeardown(): Promise<void> {
  for (const server of running) await server.stop();
}

async function shareDatabases(): Promise<void> {
  const server = await startPostgresServer();
  running.push(server);
  process.env.TEST_POSTGRES = server.url;
}

async function shareBuckets(): Promise<void> {
  const { stop, ...access } = await startOwnS3Server({ storeBytes: STORE_BYTES });
  running.push({ stop });
  process.env.TEST_S3 = JSON.stringify(access);
}
