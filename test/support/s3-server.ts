import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { without } from "./tools.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

/** On a server that others use too: each file of tests is a process, with a bucket of its own. */
export const BUCKET = `longshore-${randomUUID()}`;

export const PACKAGES = "ceph-mon ceph-osd radosgw ceph-common";

/** Why there is no S3 server on this machine, or `false`; for the `skip` of tests. */
export const withoutS3 = (): string | false =>
  without("Ceph's object gateway", ["radosgw", "--version"], `Debian: ${PACKAGES}`);

export interface S3Server {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  /** What the store may hold, in memory. */
  readonly storeBytes?: number;
}

/** A real S3 server: the one that the run's files share (`shared-servers.ts`), or one of its own. */
export async function startS3Server(): Promise<S3Server> {
  const { TEST_S3: shared } = process.env;
  return shared === undefined ? startOwnS3Server() : { ...JSON.parse(shared), stop: async () => {} };
}

/**
 * Starts a real S3 server, which takes some ten seconds: Ceph's object gateway, on one monitor and one store in memory. All of
 * it are processes of ours on loopback, and what they write is in a temporary folder.
 */
export async function startOwnS3Server({ storeBytes = 2 * 1024 ** 3 }: S3ServerOptions = {}): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-s3-"));
  const daemons: ChildProcess[] = [];
  const killAll = () => {
    for (const daemon of daemons) daemon.kill("SIGKILL");
  };
  process.once("exit", killAll);
  const stop = async () => {
    const ends = daemons.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = ends.map((daemon) => {
      daemon.ref();
      return once(daemon, "exit");
    });
    killAll();
    await Promise.all(ended);
    process.off("exit", killAll);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { ...(await startCluster(folder, storeBytes, daemons)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startCluster(
  folder: string,
  storeBytes: number,
  daemons: ChildProcess[],
): Promise<Omit<S3Server, "stop">> {
  const [first = 0, second = 0, port = 0] = await freePorts(3);
  const monitor = `[v2:127.0.0.1:${first},v1:127.0.0.1:${second}]`;
  const id = randomUUID();
  const settings = join(folder, "ceph.conf");
  const keyring = join(folder, "keyring");
  const map = join(folder, "monmap");
  await mkdir(join(folder, "mon"));
  await mkdir(join(folder, "osd"));
  await writeFile(settings, settingsOf({ folder, id, monitor, port, storeBytes }));

  const ceph = (program: string, ...words: string[]) => run(program, ["-c", settings, ...words]);
  const start = (program: string, ...words: string[]) => {
    const daemon = spawn(program, ["-c", settings, "-f", ...words], { stdio: "ignore" });
    daemon.unref();
    daemons.push(daemon);
    return daemon;
  };

  await run("monmaptool", ["--create", "--addv", "a", monitor, "--fsid", id, map]);
  await run("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
  for (const [name, ...caps] of KEYS)
    await run("ceph-authtool", [keyring, "--gen-key", "-n", name, ...caps.flatMap((of) => ["--cap", of, "allow *"])]);
  await ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring);
  start("ceph-mon", "-i", "a");
  const store = randomUUID();
  await ceph("ceph", "osd", "new", store);
  await ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store);
  start("ceph-osd", "-i", "0");
  const isUp = async () => /\b1 up\b/.test((await ceph("ceph", "osd", "stat")).stdout);
  await until("Ceph's store is up", isUp);

  const accessKeyId = "LONGSHORETEST";
  const secretAccessKey = randomUUID();
  const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
  await ceph("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=test", "--display-name=test", ...keys);
  const gateway = start("radosgw", "-n", "client.rgw");
  const url = `http://127.0.0.1:${port}`;
  const answers = async () => {
    if (gateway.exitCode !== null) throw new Error(`radosgw ended with ${gateway.exitCode}.`);
    return fetch(url).then(
      ({ status }) => status === 200,
      () => false,
    );
  };
  await until("Ceph's gateway answers", answers);
  return { url, accessKeyId, secretAccessKey };
}

const KEYS = [
  ["client.admin", "mon", "osd", "mgr"],
  ["client.rgw", "mon", "osd"],
  ["osd.0", "mon", "osd"],
] as const;

interface ClusterFacts {
  readonly folder: string;
  readonly id: string;
  readonly monitor: string;
  readonly port: number;
  readonly storeBytes: number;
}

function settingsOf({ folder, id, monitor, port, storeBytes }: ClusterFacts): string {
  return `[global]
fsid = ${id}
mon_host = ${monitor}
mon_initial_members = a
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = ${folder}/keyring
run_dir = ${folder}
admin_socket = ${folder}/$name.asok
pid_file = ${folder}/$name.pid
log_file = ${folder}/$name.log
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_data_avail_warn = 2
osd_objectstore = memstore
memstore_device_bytes = ${storeBytes}
[mon.a]
mon_data = ${folder}/mon
host = localhost
[osd.0]
osd_data = ${folder}/osd
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_enable_ops_log = false
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 5
rgw_dns_name = s3.test
`;
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
