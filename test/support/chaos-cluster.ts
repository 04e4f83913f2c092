import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import pg from "pg";
import { type FaultyProxy, faultyProxy } from "./faulty-proxy.ts";
import { headOf, type MailServer, mailServer } from "./mail-server.ts";
import { startWorkerProcess } from "./nodes.ts";
import { startPostgres } from "./postgres.ts";
import { BUCKET, startS3Server } from "./s3-server.ts";
import { lastingPort, startServer } from "./server.ts";
import { until } from "./until.ts";

const SERVERS = 2;
const WORKERS = 3;
/** Between two misfortunes. */
const PAUSE_MS = { least: 1_000, below: 4_000 };
/** How long a database or a store is away, and a killed process is not started again. */
const AWAY_MS = { least: 1_000, below: 4_000 };

type Random = (below: number) => number;

interface Running {
  log(): string;
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** A node that is started again as often as it is killed: at the same port, in the same data folder. */
interface Node {
  readonly name: string;
  readonly role: "server" | "worker";
  /** `undefined` while it is down, or on its way up. */
  running: Running | undefined;
  /** Of servers. */
  readonly port?: number;
  /** What its processes logged that are no more. */
  pastLog: string;
  start(): Promise<Running>;
}

export interface ChaosCluster {
  /** Settings that all nodes have, and commands need. */
  readonly settings: Readonly<Record<string, string>>;
  readonly mails: MailServer;
  /** Straight to the database, past the proxy. */
  readonly database: pg.Client;
  /** Goes to one of the servers that are up, by chance, whatever address is asked for: what a balancer does. */
  readonly fetch: typeof fetch;
  /** What has been done to it so far. */
  readonly misfortunes: { readonly kills: number; readonly databaseCuts: number; readonly storeCuts: number };
  /**
   * Message ids of mails that were handed over when the process which may have done it was killed before it had noted that:
   * nothing in the world can tell the next one.
   */
  readonly unnoted: ReadonlySet<string>;
  /** So many kills and cuts, less what cannot be as too much is down already; then everything is up again. */
  torment(random: Random, count: number, signal: AbortSignal): Promise<void>;
  /** Keys in the bucket, and keys of objects that were never put together from their parts. */
  keysBelow(prefix: string): Promise<readonly string[]>;
  unfinishedBelow(prefix: string): Promise<readonly string[]>;
  /** Lines of all nodes' logs that have this in them. */
  logged(text: string): readonly string[];
  stop(): Promise<void>;
}

/** Two servers that leave the work to three workers, on one PostgreSQL and one S3 that can both be cut off. */
export async function chaosCluster(env: Readonly<Record<string, string>>): Promise<ChaosCluster> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-chaos-"));
  const [postgres, s3] = await Promise.all([startPostgres(), startS3Server()]);
  const direct = new URL(await postgres.freshDatabase());
  const toDatabase = await faultyProxy(`http://${direct.host}`);
  const toStore = await faultyProxy(s3.url);
  const through = new URL(direct);
  through.port = new URL(toDatabase.url).port;
  const client = new S3Client({ endpoint: s3.url, region: "us-east-1", credentials: s3, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const database = new pg.Client(direct.href);
  await database.connect();
  const mails = await mailServer();
  const ports = await Promise.all(Array.from({ length: SERVERS }, lastingPort));
  const settings = {
    LONGSHORE_DATABASE_URL: through.href,
    LONGSHORE_ARCHIVE_URL: `s3://${BUCKET}/archive`,
    LONGSHORE_SHARED_URL: `s3://${BUCKET}/shared`,
    LONGSHORE_S3_ENDPOINT: toStore.url,
    LONGSHORE_S3_ACCESS_KEY_ID: s3.accessKeyId,
    LONGSHORE_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    LONGSHORE_SECRET_KEY: randomUUID(),
    LONGSHORE_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
    LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false`,
    ...env,
  };
  const nodes: readonly Node[] = [
    ...ports.map((port, n) => {
      const dataDir = join(folder, `server-${n}`);
      const start = () => startServer({ dataDir, port, env: { ...settings, LONGSHORE_WORKERS: "none" } });
      return { name: `server ${n}`, role: "server" as const, port, running: undefined, pastLog: "", start };
    }),
    ...Array.from({ length: WORKERS }, (_, n) => {
      const LONGSHORE_DATA_DIR = join(folder, `worker-${n}`);
      const start = () => startWorkerProcess({ ...settings, LONGSHORE_DATA_DIR });
      return { name: `worker ${n}`, role: "worker" as const, running: undefined, pastLog: "", start };
    }),
  ];
  for (const node of nodes) node.running = await node.start();

  const counts = { kills: 0, databaseCuts: 0, storeCuts: 0 };
  const unnoted = new Set<string>();

  async function kill(node: Node, awayMs: number): Promise<void> {
    const { running } = node;
    const isLast = !nodes.some((other) => other !== node && other.role === node.role && other.running);
    if (!running || isLast) return;
    node.running = undefined;
    await running.end("SIGKILL");
    counts.kills++;
    const { rows } = await database.query("select key from outbox where channel = 'mail' and due_at > $1", [
      Date.now(),
    ]);
    node.pastLog += running.log();
    await setTimeout(awayMs); // how long it is away is what is tried here
    // By now the mail server has read what the dead one had sent.
    const received = mails.received.map(messageId);
    for (const { key } of rows)
      for (const id of received.filter((one) => one.startsWith(`${key.replaceAll(":", ".")}@`))) unnoted.add(id);
    node.running = await supervised(node);
  }

  async function cut(proxy: FaultyProxy, awayMs: number): Promise<void> {
    proxy.sever();
    await setTimeout(awayMs);
    proxy.heal();
  }

  async function below(prefix: string): Promise<readonly string[]> {
    const keys: string[] = [];
    for (let StartAfter: string | undefined; ; StartAfter = keys.at(-1)) {
      const page = { Bucket: BUCKET, Prefix: prefix, ...(StartAfter !== undefined && { StartAfter }) };
      const { Contents = [], IsTruncated } = await client.send(new ListObjectsV2Command(page));
      keys.push(...Contents.map(({ Key = "" }) => Key));
      if (!IsTruncated) return keys;
    }
  }

  return {
    settings,
    mails,
    database,
    unnoted,
    misfortunes: counts,
    fetch(input, init) {
      const address = new URL(input instanceof Request ? input.url : input);
      const up = nodes.filter(({ port, running }) => port !== undefined && running !== undefined);
      address.port = String(up[Math.floor(Math.random() * up.length)]?.port);
      return fetch(address, init);
    },
    async torment(random, count, signal) {
      const within = ({ least, below }: { readonly least: number; readonly below: number }) => least + random(below);
      const underWay = new Set<Promise<void>>();
      const failures: unknown[] = [];
      for (let n = 0; n < count && !signal.aborted; n++) {
        await setTimeout(within(PAUSE_MS));
        // Each of them at least once.
        const what = n < 3 ? n : random(4);
        const misfortune =
          what === 0
            ? cut(toDatabase, within(AWAY_MS)).then(() => void counts.databaseCuts++)
            : what === 1
              ? cut(toStore, within(AWAY_MS)).then(() => void counts.storeCuts++)
              : kill(nodes[random(nodes.length)] as Node, within(AWAY_MS));
        const done: Promise<void> = misfortune
          .catch((error: unknown) => void failures.push(error))
          .finally(() => underWay.delete(done));
        underWay.add(done);
      }
      await Promise.all(underWay);
      if (failures.length > 0) throw new AggregateError(failures, `a node did not come back: ${failures.join("; ")}`);
      await until("all are up", () => nodes.every(({ running }) => running !== undefined));
    },
    keysBelow: below,
    async unfinishedBelow(Prefix) {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
      return Uploads.map(({ Key = "" }) => Key);
    },
    logged: (text) =>
      nodes.flatMap(({ name, pastLog, running }) =>
        `${pastLog}${running?.log() ?? ""}`
          .split("\n")
          .filter((line) => line.includes(text))
          .map((line) => `${name}: ${line}`),
      ),
    async stop() {
      toDatabase.heal();
      toStore.heal();
      await Promise.all(nodes.map(({ running }) => running?.end("SIGKILL")));
      await database.end();
      client.destroy();
      await Promise.all([mails.close(), toDatabase.close(), toStore.close()]);
      await Promise.all([s3.stop(), postgres.stop()]);
      await rm(folder, { recursive: true });
    },
  };
}

/** As a supervisor does: a start that a cut has broken off ends with 75, for what may be tried again, and is. */
async function supervised({ start }: Node): Promise<Running> {
  for (let tries = 1; ; tries++)
    try {
      return await start();
    } catch (error) {
      if (tries === 3 || !/ ended with 75 /.test(String(error))) throw error;
    }
}

/** Of a mail, without angle brackets. */
export const messageId = (mail: MailServer["received"][number]): string =>
  (headOf(mail, "Message-ID") ?? "").replace(/^<(.*)>$/, "$1");
