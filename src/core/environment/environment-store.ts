import type { Scope } from "./scope.ts";

/** One named value as it is kept. */
export interface KeptVariable {
  readonly scope: Scope;
  readonly name: string;
  readonly secret: boolean;
  /** The value; of a secret, sealed by the key ring. */
  readonly content: string;
  readonly setAt: number;
  readonly setBy: string;
}

/**
 * Named values by scope: a name stands for one value in each, secret or not.
 *
 * Adapters: `adapters/db/environment-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/environment-store.ts`.
 */
export interface EnvironmentStore {
  /** Takes the place of what the scope has under this name. */
  put(variable: KeptVariable): Promise<void>;
  /** By scope and name. @param scopes all, when left out. */
  list(scopes?: readonly Scope[]): Promise<readonly KeptVariable[]>;
  /** @returns whether there was one of this kind. */
  remove(scope: Scope, name: string, secret: boolean): Promise<boolean>;
  /** @returns how many there were. */
  removeScope(scope: Scope): Promise<number>;
}
