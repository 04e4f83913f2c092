import type { KeyRing } from "../access/key-ring.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { EnvironmentStore, KeptVariable } from "./environment-store.ts";
import { byWidth, type Scope } from "./scope.ts";

/** A named value, as it may be shown. */
export interface Variable {
  readonly scope: Scope;
  readonly name: string;
  readonly setAt: number;
  /** The principal. */
  readonly setBy: string;
  readonly secret: boolean;
  /** `null`: of a secret nobody is shown it. */
  readonly value: string | null;
  /** `false`: sealed under another key than the server's. It has to be set again. */
  readonly readable: boolean;
}

export interface NewVariable {
  readonly scope: Scope;
  readonly name: string;
  readonly value: string;
  readonly secret: boolean;
}

/** What {@link Environment.resolve} gives: name → value, secrets in clear. Not for logs, nor for anything that is kept. */
export type Resolved = Readonly<Record<string, string>>;

/** Named values and secrets for the commands that registers and schedules run. */
export interface Environment {
  /**
   * Takes the place of what the scope has under this name, secret or not.
   * @throws AppError environment_invalid.
   */
  set(by: string, variable: NewVariable): Promise<Variable>;
  /** By scope and name. @param scope all, when left out. */
  list(kind: "values" | "secrets", scope?: Scope): Promise<readonly Variable[]>;
  /** @throws AppError environment_unknown. */
  remove(kind: "values" | "secrets", scope: Scope, name: string): Promise<void>;
  /**
   * The variables of a child process, beside those that whoever starts it gives to all: what is set for everything, then
   * for the register, then for the schedule, the narrower in place of the wider.
   * @param scopes in any order; `global` need not be named.
   * @param required names without which the child cannot do its work; empty text counts as a value.
   * @throws AppError environment_missing, secret_unreadable: both name them all, in `details.names`.
   */
  resolve(scopes: readonly Scope[], required?: readonly string[]): Promise<Resolved>;
  /** For whoever removes a register or a schedule: the next one of that name must not get its secrets. */
  forget(scope: Scope): Promise<void>;
}

/** POSIX.1-2024, 8.1: names for the standard's own utilities; lower case is allowed there, and mistaken for a shell's. */
const NAME = /^[A-Z_][A-Z0-9_]{0,254}$/;
/**
 * All of a child's variables fit into what Linux gives to a new process: 64 × 8 KiB in each of three scopes are 1.5 MiB,
 * of a quarter of the stack's 8 MiB (execve(2), "Limits on size of arguments and environment").
 */
const MAX_VALUE_BYTES = 8 * 1024;
const MAX_NAMES = 64;

export function environmentService({
  store,
  keys,
  clock,
}: {
  readonly store: EnvironmentStore;
  readonly keys: KeyRing;
  readonly clock: Clock;
}): Environment {
  /** With its place: put into another row of the database, a sealed secret is none. */
  const seal = ({ scope, name, value }: NewVariable) => keys.seal(`${scope}\n${name}\n${value}`);
  const unseal = ({ scope, name, content }: KeptVariable) => {
    const place = `${scope}\n${name}\n`;
    const opened = keys.unseal(content);
    return opened?.startsWith(place) ? opened.slice(place.length) : undefined;
  };
  const shown = (kept: KeptVariable): Variable => {
    const { content, ...facts } = kept;
    return kept.secret
      ? { ...facts, value: null, readable: unseal(kept) !== undefined }
      : { ...facts, value: content, readable: true };
  };

  return {
    async set(by, variable) {
      requireFit(variable);
      const { scope, name, value, secret } = variable;
      const others = (await store.list([scope])).filter((kept) => kept.name !== name);
      if (others.length >= MAX_NAMES)
        throw new AppError("environment_invalid", { scope, expected: `at most ${MAX_NAMES} names in a scope` });
      const kept = {
        scope,
        name,
        secret,
        content: secret ? seal(variable) : value,
        setAt: clock.now(),
        setBy: by,
      };
      await store.put(kept);
      return shown(kept);
    },

    async list(kind, scope) {
      const kept = await store.list(scope && [scope]);
      return kept.filter(({ secret }) => secret === (kind === "secrets")).map(shown);
    },

    async remove(kind, scope, name) {
      if (!(await store.remove(scope, name, kind === "secrets")))
        throw new AppError("environment_unknown", { scope, name });
    },

    async resolve(scopes, required = []) {
      const kept = await store.list([...new Set<Scope>(["global", ...scopes])]);
      const winning = new Map(kept.toSorted((a, b) => byWidth(a.scope, b.scope)).map((one) => [one.name, one]));
      const missing = required.filter((name) => !winning.has(name));
      if (missing.length > 0) throw naming("environment_missing", missing);
      const values = [...winning.values()].map((one) => [one, one.secret ? unseal(one) : one.content] as const);
      const unreadable = values
        .filter(([, value]) => value === undefined)
        .map(([{ scope, name }]) => `${name} (${scope})`);
      if (unreadable.length > 0) throw naming("secret_unreadable", unreadable);
      return Object.fromEntries(values.map(([{ name }, value]) => [name, value ?? ""]));
    },

    async forget(scope) {
      await store.removeScope(scope);
    },
  };
}

/** @throws AppError environment_invalid; it never holds the value. */
function requireFit({ name, value }: NewVariable): void {
  if (!NAME.test(name))
    throw new AppError("environment_invalid", {
      name: name.slice(0, 255),
      expected: "capital letters, digits and underscores, the first no digit, 255 at most",
    });
  const sizeBytes = Buffer.byteLength(value);
  if (sizeBytes > MAX_VALUE_BYTES)
    throw new AppError("environment_invalid", { name, expected: `at most ${MAX_VALUE_BYTES} bytes`, found: sizeBytes });
  if (value.includes("\0") || !value.isWellFormed())
    throw new AppError("environment_invalid", { name, expected: "a value of Unicode text without NUL" });
}

/** A sentence leaves lists out, and here the names are what it is about. */
function naming(code: "environment_missing" | "secret_unreadable", names: readonly string[]): AppError {
  return new AppError(code, { variables: names.join(", "), names });
}
