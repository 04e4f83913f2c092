import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fsDropFiles } from "../../src/adapters/drop/fs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import { SCOPES } from "../../src/core/access/access-stores.ts";
import type { DropForm } from "../../src/core/drop/declaration.ts";
import type { Delivery, DeliveryState } from "../../src/core/drop/drop.ts";
import { dropAlerts } from "../../src/core/drop/drop-alerts.ts";
import { type LookParts, type LookSummary, look } from "../../src/core/drop/look.ts";
import { type IngestFixture, openIngest } from "./ingest.ts";
import { until } from "./until.ts";

export const OPERATOR: Principal = { name: "ada", scopes: SCOPES, via: "local" };
export const DROP = "scans";

export interface DropFixture extends IngestFixture {
  /** The folder that is watched; its parent may be moved from. */
  readonly folder: string;
  /** What a look works with. */
  readonly parts: LookParts;
  place(path: string, content: string | Uint8Array): Promise<void>;
  /** One look, by this process. */
  looked(parts?: Partial<LookParts>): Promise<LookSummary>;
  /** All deliveries, oldest first. */
  deliveries(): Promise<readonly Delivery[]>;
  /** Looks until every delivery is in one of these states. @returns them by name. */
  settled(...states: readonly DeliveryState[]): Promise<Readonly<Record<string, Delivery>>>;
  /** Files below a folder, by path. */
  lying(folder?: string): Promise<readonly string[]>;
}

/** A drop folder beside a whole composition; nothing looks at it but the test. */
export async function openDrop(t: TestContext, declared: Partial<DropForm> = {}): Promise<DropFixture> {
  const root = await mkdtemp(join(tmpdir(), "drop-"));
  t.after(() => rm(root, { recursive: true }));
  const folder = join(root, "in");
  await mkdir(folder);
  const fixture = await openIngest(t, { settings: { LONGSHORE_MOVE_ROOTS: root } });
  await fixture.drops.declare(OPERATOR, { name: DROP, folder, quietSeconds: 0, ...declared });
  const { stores, jobs, switches } = fixture;
  const alerts = dropAlerts({ from: "archive@example.org", to: ["olga@example.org"] });
  const parts = { store: stores.drops, files: fsDropFiles(), jobs, switches, clock: systemClock, alerts };
  const deliveries = async () => (await stores.drops.list({ drop: DROP, limit: 100_000 })).toReversed();

  const looked = async (changed: Partial<LookParts> = {}) =>
    look(await fixture.drops.get(DROP), { ...parts, ...changed }, new AbortController().signal);

  return {
    ...fixture,
    folder,
    parts,
    looked,
    deliveries,
    async place(path, content) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    },
    async settled(...states) {
      await until(`every delivery is ${states.join(" or ")}`, async () => {
        await looked();
        const found = await deliveries();
        return found.length > 0 && found.every(({ state }) => states.includes(state));
      }).catch(async (error) => {
        t.diagnostic(JSON.stringify(await deliveries()));
        throw error;
      });
      return Object.fromEntries((await deliveries()).map((delivery) => [delivery.name, delivery]));
    },
    async lying(below = folder) {
      const found = await readdir(below, { recursive: true, withFileTypes: true });
      return found
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(below.length + 1))
        .sort();
    },
  };
}
