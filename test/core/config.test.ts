import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { AppError } from "../../src/core/errors.ts";
import { DOOR_NAMES, effectiveSettings, loadConfig, SETTING_FACTS } from "../../src/settings/config.ts";

/** The sentences of a refused configuration. */
function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "config_invalid");
    return error.details.problems as readonly string[];
  }
  assert.fail("the configuration was accepted");
}

describe("configuration", () => {
  test("what nodes share lies in the data folder, below another one, or below a folder of a bucket", () => {
    const { shared } = loadConfig({ LONGSHORE_DATA_DIR: "/srv/here" });
    assert.deepEqual(
      [shared.isShared, shared.uploads.path, shared.runs.path],
      [false, "/srv/here/uploads", "/srv/here/runs"],
    );
    const mounted = loadConfig({ LONGSHORE_SHARED_URL: "file:///srv/every%20node" }).shared;
    assert.deepEqual([mounted.isShared, mounted.staging], [true, { kind: "folder", path: "/srv/every node/staging" }]);
    const env = { LONGSHORE_SHARED_URL: "s3://longshore/some/folder/", LONGSHORE_CKANPACKAGER_STORE: "/srv/zips" };
    const { uploads, packages } = loadConfig(env).shared;
    assert.deepEqual(uploads, { kind: "s3", path: "longshore/some/folder/uploads" });
    assert.deepEqual(packages, { kind: "folder", path: "/srv/zips" });
  });

  test("no variable at all is enough to run on this machine alone", () => {
    const config = loadConfig({ HOME: "/root", PATH: "/bin" });
    assert.equal(config.host, "127.0.0.1");
    assert.equal(config.port, 7700);
    assert.equal(config.dataDir, resolve("data"));
    assert.deepEqual(config.archive, { kind: "folder", path: resolve("data/archive") });
    assert.equal(config.databaseUrl, undefined);
    assert.deepEqual(config.workers, { fast: 2, slow: 2, run: 8 });
    assert.deepEqual(config.doors, []);
    assert.deepEqual([config.crawlRoots, config.recordRoots], [[], [resolve("data/records")]]);
    assert.ok(Object.isFrozen(config));
  });

  test("a variable set to nothing counts as absent", () => {
    assert.equal(loadConfig({ LONGSHORE_PORT: "" }).port, 7700);
  });

  test("lists are read with or without blanks", () => {
    const config = loadConfig({
      LONGSHORE_DOORS: "pacifica-ingest:8066",
      LONGSHORE_MOVE_ROOTS: "/srv/a, /srv/b",
      LONGSHORE_TRUSTED_PROXIES: "127.0.0.1, 10.0.0.0/8,::1,fd00::/8",
      LONGSHORE_WORKERS: "slow:3",
      LONGSHORE_RATE_LIMIT: "15/900s, 10000/d",
      LONGSHORE_EVENTS_URL: "http://a.example/x,https://b.example/",
    });
    assert.deepEqual(config.doors, [{ name: "pacifica-ingest", port: 8066 }]);
    assert.deepEqual(config.moveRoots, ["/srv/a", "/srv/b"]);
    assert.deepEqual(config.trustedProxies, ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"]);
    assert.deepEqual(config.rateLimits, [
      { calls: 15, perMs: 900_000 },
      { calls: 10_000, perMs: 86_400_000 },
    ]);
    assert.deepEqual(config.workers, { fast: 2, slow: 3, run: 8 });
    assert.deepEqual(config.eventsUrls, ["http://a.example/x", "https://b.example/"]);
  });

  test("folders that may be crawled and written to are read as folders of this machine", () => {
    const config = loadConfig({
      LONGSHORE_CRAWL_ROOTS: "/srv/data,scans",
      LONGSHORE_RECORD_ROOTS: "/srv/records/",
      LONGSHORE_EXTRACTORS: "extractors",
      LONGSHORE_EXTRACT_SECONDS: "5",
    });
    assert.deepEqual(config.crawlRoots, ["/srv/data", resolve("scans")]);
    assert.deepEqual([config.recordRoots, config.extractorsDir], [["/srv/records"], resolve("extractors")]);
    assert.deepEqual([config.extractMs, config.extractMemoryBytes], [5_000, 2 ** 30]);
  });

  test("stores beyond this machine are named; with an endpoint, buckets are in the path unless it is said otherwise", () => {
    const config = loadConfig({
      LONGSHORE_CRAWL_BUCKETS: "scans, plates/2024/",
      LONGSHORE_OFFLOAD_STORES: "s3://shelf/records,globus://9d6d994a-6d04-11e5-ba46-22000b92c6ec/in",
      LONGSHORE_S3_ENDPOINT: "https://s3.example.org",
    });
    assert.deepEqual(config.crawlBuckets, ["scans", "plates/2024"]);
    assert.equal(config.offloadStores.length, 2);
    assert.deepEqual([config.s3.pathStyle, config.s3.region, config.s3.credentials], [true, "us-east-1", undefined]);
    assert.equal(loadConfig({}).s3.pathStyle, false);
    const { s3 } = loadConfig({
      LONGSHORE_S3_ENDPOINT: "https://s3.example.org",
      LONGSHORE_S3_PATH_STYLE: "false",
      LONGSHORE_S3_ACCESS_KEY_ID: "a",
      LONGSHORE_S3_SECRET_ACCESS_KEY: "b",
    });
    assert.deepEqual([s3.pathStyle, s3.credentials], [false, { accessKeyId: "a", secretAccessKey: "b" }]);
    for (const [name, value] of [
      ["LONGSHORE_CRAWL_BUCKETS", "s3://scans"],
      ["LONGSHORE_OFFLOAD_STORES", "/srv/shelf"],
      ["LONGSHORE_S3_PATH_STYLE", "yes"],
    ] as const)
      assert.equal(problemsOf({ [name]: value }).length, 1, name);
  });

  test("addresses lose the slash at their end, so that paths can be appended", () => {
    const config = loadConfig({ LONGSHORE_URL: "http://h:1/", LONGSHORE_PUBLIC_URL: "https://h/x/" });
    assert.equal(config.url, "http://h:1");
    assert.equal(config.publicUrl, "https://h/x");
  });

  test("everything wrong is reported together, with what was found", () => {
    const problems = problemsOf({
      LONGSHORE_PORT: "70000",
      LONGSHORE_DIGEST: "md5",
      LONGSHORE_DATABASE_URL: "mysql://u:hunter2@h/d",
      LONGSHORE_DATABSE_URL: "postgres://h/d",
      LONGSHORE_DOORS: "pacifica-carts:8081,pacifica-ingest",
    });
    assert.deepEqual(problems.toSorted(), [
      "LONGSHORE_DATABASE_URL: expected a URL that begins with postgres://.",
      "LONGSHORE_DATABSE_URL is not a setting. Did you mean LONGSHORE_DATABASE_URL?",
      'LONGSHORE_DIGEST: expected sha512 or sha256, found "md5".',
      'LONGSHORE_DOORS: expected name:port with a port from 0 to 65535, found "pacifica-carts:8081,pacifica-ingest".',
      `LONGSHORE_DOORS: there is no door "pacifica-carts"; expected ${DOOR_NAMES.join(", ")}, found "pacifica-carts:8081,pacifica-ingest".`,
      'LONGSHORE_PORT: expected a port from 0 to 65535, found "70000".',
    ]);
  });

  for (const [name, value] of [
    ["LONGSHORE_PORT", "1e3"],
    ["LONGSHORE_PORT", "-1"],
    ["LONGSHORE_URL", "localhost:7700"],
    ["LONGSHORE_POLICY_URL", "ftp://h/"],
    ["LONGSHORE_ARCHIVE_URL", "ftp://host/folder"],
    ["LONGSHORE_SHARED_URL", "s3://bucket/../other"],
    ["LONGSHORE_SHARED_URL", "s3://UPPER/folder"],
    ["LONGSHORE_WORKERS", "quick:2"],
    ["LONGSHORE_WORKERS", "fast:many"],
    ["LONGSHORE_UPLOAD_EXPIRY", "0"],
    ["LONGSHORE_UPLOAD_EXPIRY", "soon"],
    ["LONGSHORE_TRUSTED_PROXIES", "proxy.example"],
    ["LONGSHORE_TRUSTED_PROXIES", "10.0.0.0/33"],
    ["LONGSHORE_TRUSTED_PROXIES", "10.0.0.0/8/8"],
    ["LONGSHORE_AUTH_HEADER", "X User"],
    ["LONGSHORE_SECRET_KEY", "short"],
    ["LONGSHORE_LOG_LEVEL", "loud"],
    ["LONGSHORE_SMTP_ADDRESS", "smtp://h/"],
    ["LONGSHORE_SMTP_URL", "http://h/"],
    ["LONGSHORE_STAGING_SIZE", "much"],
    ["LONGSHORE_STAGING_PROTECT", "-1"],
    ["LONGSHORE_CART_EXPIRY", "0"],
    ["LONGSHORE_FETCH_ORIGINS", "https://a/path"],
    ["LONGSHORE_FETCH_RATE", "0"],
    ["LONGSHORE_RATE_LIMIT", "600/m,15"],
    ["LONGSHORE_WEBHOOK_SECRET", "short"],
    ["LONGSHORE_PACKAGE_CACHE_HOURS", "-1"],
    ["LONGSHORE_PACKAGE_KEEP_HOURS", "0"],
    ["LONGSHORE_PACKAGE_STORE_SIZE", "huge"],
    ["LONGSHORE_PACKAGE_SLOW_ROWS", "many"],
    ["LONGSHORE_PACKAGE_ANONYMIZE", "yes"],
    ["LONGSHORE_EXTRACT_PROCESSES", "0"],
    ["LONGSHORE_EXTRACT_SECONDS", "1.5"],
    ["LONGSHORE_EXTRACT_MEMORY", "plenty"],
  ] as const)
    test(`${name}=${value} is refused by name`, () => {
      const problems = problemsOf({ [name]: value });
      assert.equal(problems.length, 1);
      assert.ok(problems[0]?.startsWith(name), problems[0]);
    });

  test("a secret is never repeated, neither in a complaint nor among the effective settings", () => {
    const env = {
      LONGSHORE_SECRET_KEY: "hunter2",
      LONGSHORE_TOKEN: "lsh_hunter2",
      LONGSHORE_DATABASE_URL: "postgres://me:hunter2@db.example/longshore",
      LONGSHORE_OPENID_CLIENT_SECRET: "a:hunter2",
    };
    assert.doesNotMatch(JSON.stringify(problemsOf(env)), /hunter2/);
    assert.doesNotMatch(JSON.stringify(effectiveSettings(env)), /hunter2/);
    assert.match(JSON.stringify(effectiveSettings(env)), /me:\*+@db\.example/);
  });

  test("effective settings say where each value came from", () => {
    const settings = effectiveSettings({ LONGSHORE_PORT: "8080" });
    assert.deepEqual(
      settings.filter((setting) => /E_(PORT|HOST|TOKEN)$/.test(setting.name)),
      [
        { name: "LONGSHORE_HOST", value: "127.0.0.1", from: "default" },
        { name: "LONGSHORE_PORT", value: "8080", from: "environment" },
        { name: "LONGSHORE_TOKEN", value: null, from: "default" },
      ],
    );
  });

  test("every setting is described", () => {
    assert.deepEqual(
      SETTING_FACTS.filter(({ description }) => !/^[A-Z].*\.$/s.test(description)),
      [],
    );
  });
});
