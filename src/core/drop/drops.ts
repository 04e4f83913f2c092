import type { Principal } from "../access/access.ts";
import type { Audit } from "../access/audit.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Job } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import type { JobHandler } from "../jobs/worker.ts";
import { isWithin } from "../switches/switch.ts";
import type { Switches } from "../switches/switches.ts";
import { DropForm, dropOf, readDrops, requireApart } from "./declaration.ts";
import type { Delivery, DeliveryFilter, Drop, DropFiles, DropStore, Look } from "./drop.ts";
import { type LookParts, look } from "./look.ts";

export const DROP_LOOK_JOB = "drop-look";

/** A drop folder, where its declaration comes from, and how it was last looked at. */
export interface KnownDrop extends Drop {
  readonly declaredBy: "file" | "api";
  readonly lastLook: Look | null;
}

/** Drop folders and their deliveries; for operators. */
export interface Drops {
  list(): Promise<readonly KnownDrop[]>;
  /** @throws AppError drop_unknown. */
  get(name: string): Promise<KnownDrop>;
  /**
   * Declares a drop folder, or replaces its declaration. @returns whether it is new.
   * @throws AppError drop_invalid; drop_fixed for one that a file declares.
   */
  declare(principal: Principal, form: unknown): Promise<{ readonly drop: KnownDrop; readonly isNew: boolean }>;
  /** Forgets the declaration; nothing in the folder is touched. @throws AppError drop_unknown, drop_fixed. */
  remove(name: string): Promise<void>;
  /** Newest first. @throws AppError drop_unknown. */
  deliveries(filter: DeliveryFilter): Promise<readonly Delivery[]>;
  /**
   * Permits that the files of an archived delivery be removed from the drop folder, by a job that looks at everything again.
   * @throws AppError delivery_unknown; delivery_state_conflict; removal_refused where the declaration permits no removal.
   */
  permitRemoval(principal: Principal, drop: string, id: number): Promise<Delivery>;
  /** Looks at the folder now, as a job. @throws AppError drop_unknown. */
  look(principal: Principal, name: string): Promise<Job>;
  /** Looks at every folder whose time has come. */
  lookAround(signal: AbortSignal, onTrouble: (error: unknown, during: string) => void): Promise<void>;
}

export interface DropParts {
  readonly store: DropStore;
  readonly files: DropFiles;
  /** What the settings declare. */
  readonly declared: readonly Drop[];
  /** Folders below which drop folders may be declared through the API. */
  readonly roots: readonly string[];
  readonly audit: Pick<Audit, "record">;
  readonly switches: Pick<Switches, "mayRun">;
  readonly clock: Clock;
  readonly alerts: LookParts["alerts"];
}

/** The declarations that are in force, from the file and from the API. */
export function declaredDrops({ store, declared }: Pick<DropParts, "store" | "declared">) {
  async function all(): Promise<readonly (readonly [Drop, KnownDrop["declaredBy"]])[]> {
    const sent = [...(await store.declarations())].flatMap(([name, text]) => readDrops(text, name, name));
    const fixed = new Set(declared.map(({ name }) => name));
    return [
      ...declared.map((drop) => [drop, "file"] as const),
      ...sent.filter(({ name }) => !fixed.has(name)).map((drop) => [drop, "api"] as const),
    ];
  }
  return {
    all,
    /** @throws AppError drop_unknown. */
    async get(name: string): Promise<Drop> {
      const [drop] = (await all()).find(([one]) => one.name === name) ?? [];
      if (!drop) throw new AppError("drop_unknown", { drop: name });
      return drop;
    },
  };
}

/** Looks at one drop folder, and notes how that went. */
async function lookAt(drop: Drop, parts: DropParts & { readonly jobs: Jobs }, signal: AbortSignal) {
  const { store } = parts;
  try {
    const summary = await look(drop, parts, signal);
    await store.endLook(drop.name, null);
    return summary;
  } catch (error) {
    const trouble = error instanceof AppError ? error.message : "Something failed; the log has the cause.";
    await store.endLook(drop.name, trouble);
    throw error;
  }
}

/** The `drop-look` job: one look, when somebody or a schedule asks for it. */
export function dropLookJob(parts: DropParts, jobs: () => Jobs): JobHandler {
  return {
    async run({ job, tasks, signal }) {
      const drop = await declaredDrops(parts).get(String(job.input.drop));
      await tasks.begin("look");
      await parts.store.beginLook(drop.name, parts.clock.now(), 0);
      return { ...(await lookAt(drop, { ...parts, jobs: jobs() }, signal)) };
    },
  };
}

export function dropService(parts: DropParts & { readonly jobs: Jobs }): Drops {
  const { store, files, declared, roots, switches, audit, jobs, clock } = parts;
  const { all, get: declaration } = declaredDrops(parts);

  const withLook = async (drop: Drop, declaredBy: KnownDrop["declaredBy"]): Promise<KnownDrop> => ({
    ...drop,
    declaredBy,
    lastLook: (await store.lastLook(drop.name)) ?? null,
  });

  async function get(name: string): Promise<KnownDrop> {
    const drop = await declaration(name);
    return withLook(drop, declared.includes(drop) ? "file" : "api");
  }

  function requireFree(name: string): void {
    if (declared.some((drop) => drop.name === name)) throw new AppError("drop_fixed", { drop: name });
  }

  /** Whoever may declare through the API may not thereby read whatever the server can. */
  function requireOpened({ name, folder, quarantine }: Drop): void {
    for (const path of [folder, quarantine])
      if (!roots.some((root) => isWithin(root, path)))
        throw new AppError("drop_invalid", {
          drop: name,
          expected: "a folder below one of LONGSHORE_MOVE_ROOTS",
          found: path,
        });
  }

  return {
    get,
    list: async () => Promise.all((await all()).map(([drop, declaredBy]) => withLook(drop, declaredBy))),

    async declare(principal, sent) {
      const form = DropForm.parse(sent);
      const drop = dropOf(form, principal.name);
      requireFree(drop.name);
      requireOpened(drop);
      const others = (await all()).map(([one]) => one);
      requireApart([...others.filter(({ name }) => name !== drop.name), drop]);
      await files.check(drop);
      const isNew = !others.some(({ name }) => name === drop.name);
      await store.putDeclaration(drop.name, JSON.stringify({ ...form, owner: drop.owner }));
      const about = { folder: drop.folder, removal: drop.removal };
      await audit.record(principal.name, isNew ? "drop.declare" : "drop.change", `drop/${drop.name}`, about);
      return { drop: await get(drop.name), isNew };
    },

    async remove(name) {
      requireFree(name);
      if (!(await store.removeDeclaration(name))) throw new AppError("drop_unknown", { drop: name });
    },

    async deliveries(filter) {
      await declaration(filter.drop);
      return store.list(filter);
    },

    async permitRemoval(principal, name, id) {
      const drop = await declaration(name);
      const delivery = await store.get(id);
      if (!delivery || delivery.drop !== name) throw new AppError("delivery_unknown", { drop: name, id });
      if (drop.removal === "never") throw new AppError("removal_refused", { drop: name, found: drop.removal });
      const permission = { permittedBy: principal.name, note: null };
      const isArchived = delivery.state === "archived";
      const changed = isArchived ? await store.change(delivery, permission, clock.now()) : undefined;
      if (!changed) throw new AppError("delivery_state_conflict", { id, expected: "archived", found: delivery.state });
      await audit.record(principal.name, "drop.permit-removal", `delivery/${id}`, { drop: name });
      return changed;
    },

    async look(principal, name) {
      const drop = await declaration(name);
      return jobs.submit({ kind: DROP_LOOK_JOB, lane: "fast", owner: principal.name, input: { drop: drop.name } });
    },

    async lookAround(signal, onTrouble) {
      for (const [drop] of await all()) {
        if (signal.aborted) return;
        if (!(await switches.mayRun("drops", drop.folder))) continue;
        if (!(await store.beginLook(drop.name, clock.now(), drop.everyMs))) continue;
        await lookAt(drop, parts, signal).catch((error: unknown) => {
          if (!signal.aborted) onTrouble(error, `the look at drop folder ${drop.name}`);
        });
      }
    },
  };
}
