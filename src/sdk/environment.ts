import { type Connection, jsonBody } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";

/** `global`, `register:NAME` or `schedule:NAME`: of a name that is set for several, the narrower wins. */
export type EnvironmentScope = "global" | `register:${string}` | `schedule:${string}`;

/** A variable for what registers and schedules run. */
export interface NamedValue {
  readonly scope: EnvironmentScope;
  readonly name: string;
  readonly value: string;
  readonly setAt: string;
  readonly setBy: string;
}

/** A variable whose value nobody is shown. */
export interface Secret extends Omit<NamedValue, "value"> {
  /** `false`: sealed under another key than the server's. It has to be set again. */
  readonly readable: boolean;
}

export interface VariableListOptions extends Pick<PageOptions, "signal"> {
  /** Only what is set for this one. */
  readonly scope?: EnvironmentScope;
}

/** For administrators; values are listed for operators too. */
export interface VariablesApi<T> {
  /** Takes the place of what is set under this name, be it a value or a secret. */
  set(scope: EnvironmentScope, name: string, value: string): Promise<T>;
  /** By scope and name. */
  list(options?: VariableListOptions): Listing<T>;
  remove(scope: EnvironmentScope, name: string): Promise<void>;
}

export function variablesApi<T>(connection: Connection, path: "/environment" | "/secrets"): VariablesApi<T> {
  const pathOf = (scope: EnvironmentScope, name: string) =>
    `${path}/${encodeURIComponent(scope)}/${encodeURIComponent(name)}`;
  return {
    set: (scope, name, value) => connection.json<T>(pathOf(scope, name), jsonBody("PUT", { value })),
    list: ({ signal, ...filter } = {}) => listing<T>(connection, path, filter, signal),
    async remove(scope, name) {
      await connection.send(pathOf(scope, name), { method: "DELETE" });
    },
  };
}
