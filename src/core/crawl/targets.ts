import type { Principal } from "../access/access.ts";
import type { Conveyance } from "./offload/conveyance.ts";
import type { Target } from "./target.ts";

/** What of a store an offload needs: that files may be written to it, or removed from it. */
export type TargetUse = "write" | "remove";

export interface DirectWay {
  readonly label: string;
  /** Files are removed at the source. */
  readonly isMove: boolean;
}

/**
 * The stores that files may be put into or removed from, by the URLs that endpoints have.
 *
 * Adapter: `adapters/source/open-target.ts`.
 */
export interface Targets {
  /**
   * Whether the caller may use the store so. What it says holds for the settings as they are; `open` judges anew.
   * @returns the URL as it is kept.
   * @throws AppError request_invalid, endpoint_refused.
   */
  check(url: string, use: TargetUse, principal: Principal): Promise<string>;
  /** @returns the store, for the caller to close. @throws AppError endpoint_refused, endpoint_unreachable. */
  open(url: string, use: TargetUse): Promise<Target>;
  /** Whether neither of two stores lies in the other. */
  areApart(one: string, other: string): Promise<boolean>;
  /**
   * Stores that bring files to each other without their passing through this machine.
   * @param way `label` tells this offload's doings from others', for whoever takes over after this process died.
   * @returns `undefined` where there is no such way. For the caller to close.
   * @throws AppError endpoint_refused when the settings do not open both for it.
   */
  between(source: string, target: string, way: DirectWay): Promise<Conveyance | undefined>;
}
