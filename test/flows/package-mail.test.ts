import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { type Ckan, ckan } from "../support/ckan.ts";
import { headOf, type MailServer, mailServer, type ReceivedMail } from "../support/mail-server.ts";
import { countedCsv, countedTable, memberNames, unzipped } from "../support/packaging.ts";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const ROWS = 40_000;
const SECRET = "8ba6d280d4ce9a41";

/** The link that a person would click: in the plain text, as it is written there. */
function linkIn({ source }: ReceivedMail): string {
  const unfolded = source.replaceAll(/=\r\n/g, "").replaceAll("=3D", "=");
  return /https?:\/\/[^\s"<>]+\.zip/.exec(unfolded)?.[0] ?? assert.fail(source);
}

/** `curl`, whose ranges and resumption are not ours. */
const curl = (...words: string[]) => execFileSync("curl", ["-sS", "-f", ...words], { encoding: "utf8" });

describe("from an order to the file on somebody's disk", () => {
  let folder: string;
  let portal: Ckan;
  let mails: MailServer;
  let server: ServerProcess;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-package-mail-"));
    portal = await ckan({ version: "2.11", tables: { r: countedTable(ROWS) } });
    mails = await mailServer();
    server = await startServer({
      env: {
        LONGSHORE_FETCH_ORIGINS: portal.origin,
        LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false`,
        LONGSHORE_CKANPACKAGER_SECRET: SECRET,
      },
    });
  });
  after(async () => {
    await server.stop();
    await mails.close();
    await portal.close();
    await rm(folder, { recursive: true });
  });

  async function mailTo(address: string): Promise<ReceivedMail> {
    const mail = () => mails.received.find(({ to }) => to.includes(address));
    await until(`${address} has a mail`, () => mail() !== undefined);
    return mail() ?? assert.fail();
  }

  test("ckanpackager's own verbs order through the door; the mailed link is a ZIP that can be fetched in parts", async () => {
    const defaults = join(folder, "defaults.json");
    await writeFile(defaults, JSON.stringify({ secret: SECRET, api_url: portal.apiUrl }));
    const host = `${server.url}/doors/ckanpackager`;
    const queued = await runCli([
      ...["ckanpackager", "-p", host, "-d", defaults, "queue", "package_datastore"],
      ...["resource_id:r", "email:visitor@example.org", `limit:${ROWS}`],
    ]);
    assert.equal(queued.code, 0, queued.stderr);
    assert.match(queued.stdout, /^Adding package_datastore task to queue\.\nResponse:\n\{\n {2}"status": "success",/);

    const mail = await mailTo("visitor@example.org");
    assert.equal(headOf(mail, "Subject"), `Resource from ${new URL(portal.origin).host}`);
    const link = linkIn(mail);
    const zip = join(folder, "door.zip");
    await writeFile(zip, "");
    curl("-r", "0-9999", "-o", zip, link);
    assert.equal((await readFile(zip)).length, 10_000);
    curl("-C", "-", "-o", zip, link);
    execFileSync("unzip", ["-tq", zip]);
    assert.deepEqual(memberNames(zip), ["resource.csv"]);
    assert.equal(unzipped(zip, "resource.csv").toString(), countedCsv(ROWS));

    const counted = await runCli(["ckanpackager", "-p", host, "-s", SECRET, "--json", "-x", "stats"]);
    assert.deepEqual([counted.code, JSON.parse(counted.stdout).totals.r], [0, { emails: 1, requests: 1, errors: 0 }]);
  });

  test("a requester is told why there is no package", async () => {
    const { packages } = longshore({ url: server.url });
    const order = {
      kind: "datastore",
      resourceId: "absent",
      apiUrl: portal.apiUrl,
      email: "told@example.org",
    } as const;
    const one = await packages.wait((await packages.order(order)).id);
    assert.deepEqual([one.status, one.link, one.error?.code], ["failed", null, "portal_refused"]);
    const mail = await mailTo("told@example.org");
    assert.match(headOf(mail, "Subject") ?? "", /could not be packed$/);
    assert.match(mail.source, /Resource was not found/);
  });
});

test("a mail outlasts its mail server and the server's own death, and its link works afterwards", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "longshore-package-mail-"));
  const portal = await ckan({ tables: { r: countedTable(1_000) } });
  const [smtpPort, port] = [await lastingPort(), await lastingPort()];
  const start = () =>
    startServer({
      dataDir: join(folder, "data"),
      port,
      env: {
        LONGSHORE_FETCH_ORIGINS: portal.origin,
        LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${smtpPort}?tls.rejectUnauthorized=false`,
      },
    });
  let server = await start();
  let mails: MailServer | undefined;
  t.after(async () => {
    await server.end("SIGKILL");
    await mails?.close();
    await portal.close();
    await rm(folder, { recursive: true });
  });

  const { packages } = longshore({ url: server.url });
  const order = { kind: "dwca", resourceId: "r", apiUrl: portal.apiUrl, email: "patient@example.org" } as const;
  const one = await packages.wait((await packages.order(order)).id);
  assert.deepEqual([one.status, one.toldAt, one.refused], ["ready", null, null]);
  // The pause after the third failure is 4 s: nothing is under way when the server is killed.
  const failures = async () => {
    const shown = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^longshore_messages_total\{channel="mail",result="failed"\} (\d+)$/m.exec(shown)?.[1] ?? 0);
  };
  await until("three tries have failed", async () => (await failures()) >= 3);
  await packages.get(one.id); // answered after what was written before it, of the third failure as well
  await server.end("SIGKILL");

  server = await start();
  mails = await mailServer({ at: smtpPort });
  const { received } = mails;
  await until("the mail has arrived", () => received.length > 0);
  await until("the order knows", async () => (await packages.get(one.id)).toldAt !== null);
  const zip = join(folder, "mailed.zip");
  const [mail] = received;
  curl("-o", zip, linkIn(mail ?? assert.fail()));
  execFileSync("unzip", ["-tq", zip]);
  assert.deepEqual(memberNames(zip), ["occurrence.csv", "meta.xml", "manifest.json"]);
  assert.equal((await packages.get(one.id)).downloads, 1);
});
