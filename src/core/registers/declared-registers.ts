import type { Clock } from "../clock.ts";
import { AppError, type Details } from "../errors.ts";
import { type Declaration, fieldProblems, readDeclaration } from "./declaration.ts";
import type { Entry } from "./entry.ts";
import { keysOf } from "./entry-fields.ts";
import type { EntryKey, Judge, KeptDeclaration, RegisterStore } from "./register-store.ts";

const CONTRADICTIONS_TOLD = 50;

/** A declaration as it is in force. */
export interface DeclaredRegister {
  readonly declaration: Declaration;
  readonly source: KeptDeclaration["source"];
  readonly revision: number;
  /** As it was given. */
  readonly text: string;
}

/** The declarations that are in force, in whichever process they were made. */
export interface DeclaredRegisters {
  /** By name. */
  list(): Promise<readonly DeclaredRegister[]>;
  /** @throws AppError register_unknown. */
  get(name: string): Promise<DeclaredRegister>;
  /**
   * Keeps a declaration, new or in place of an earlier one, if it is another.
   * @param file names it in messages.
   * @throws AppError register_invalid; register_fixed; register_contradicted, with `details.problems`.
   */
  declare(text: string, source: KeptDeclaration["source"], file: string): Promise<DeclaredRegister>;
  /** What `declare` would say, as things stand. @returns how many entries agree. */
  check(text: string, file: string): Promise<{ readonly name: string; readonly entries: number }>;
}

const PAGE = 1_000;

export function declaredRegisters({
  store,
  clock,
}: {
  readonly store: RegisterStore;
  readonly clock: Clock;
}): DeclaredRegisters {
  /** Compiling takes milliseconds; what a declaration says depends on its text alone. */
  const compiled = new Map<string, { readonly text: string; readonly declaration: Declaration }>();

  function inForce({ name, text, source, revision }: KeptDeclaration): DeclaredRegister {
    let known = compiled.get(name);
    if (known?.text !== text) {
      known = { text, declaration: readDeclaration(text, name) };
      compiled.set(name, known);
    }
    return { declaration: known.declaration, source, revision, text };
  }

  return {
    list: async () => (await store.declarations()).map(inForce),

    async get(name) {
      const kept = await store.declaration(name);
      if (!kept) throw new AppError("register_unknown", { name });
      return inForce(kept);
    },

    async declare(text, source, file) {
      const declaration = readDeclaration(text, file);
      const { name, view } = declaration;
      const kept = await store.declaration(name);
      if (kept?.source === "file" && source === "api") throw new AppError("register_fixed", { name });
      if (kept?.text === text && kept.source === source) return inForce(kept);
      return inForce(await store.declare({ name, text, source, view }, judgeBy(declaration, file), clock.now()));
    },

    async check(text, file) {
      const declaration = readDeclaration(text, file);
      const { name } = declaration;
      const judge = judgeBy(declaration, file);
      let entries = 0;
      for (let afterId = 0, more = true; more; ) {
        const page = await store.list({ register: name, afterId, limit: PAGE });
        judge.keysOf(page);
        entries += page.length;
        afterId = page.at(-1)?.id ?? afterId;
        more = page.length === PAGE;
      }
      judge.end();
      return { name, entries };
    },
  };
}

/** Memory: the keys of unique fields. */
function judgeBy(declaration: Declaration, file: string): Judge {
  const contradictions: Details[] = [];
  const holders = new Map<string, number>();
  let count = 0;
  const contradicts = (entry: number, message: string, field = "") => {
    count++;
    if (contradictions.length < CONTRADICTIONS_TOLD) contradictions.push({ entry, field, message });
  };

  function judge({ id, status, fields }: Entry): readonly EntryKey[] {
    if (!Object.hasOwn(declaration.statuses, status)) contradicts(id, `its status "${status}" is not declared`);
    // Defaults are for new entries: those that are there stay as they are.
    if (!declaration.validate(structuredClone(fields)))
      for (const { field, message } of fieldProblems(declaration.validate.errors))
        contradicts(id, String(message), String(field));
    const keys = keysOf(declaration, fields).map((key) => ({ entry: id, key }));
    for (const { key } of keys) {
      const other = holders.get(key);
      if (other !== undefined) contradicts(id, `it has the same as entry ${other} where no two may`);
      holders.set(key, id);
    }
    return keys;
  }

  return {
    keysOf: (entries) => entries.flatMap(judge),
    end() {
      if (count === 0) return;
      const { entry, message } = contradictions[0] ?? {};
      throw new AppError("register_contradicted", {
        register: declaration.name,
        file,
        contradictions: count,
        entry: entry ?? 0,
        reason: message ?? "",
        problems: contradictions,
      });
    },
  };
}
