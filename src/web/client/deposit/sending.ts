import type { BundleDescription } from "../../../sdk/bundle-metadata.ts";
import type { ChosenFile } from "./chosen-file.ts";

/** What the page has its worker send. */
export interface DepositOrder {
  /** Without `/api/v1`. */
  readonly server: string;
  readonly formToken: string;
  readonly owner: string;
  readonly description: BundleDescription;
  readonly files: readonly ChosenFile[];
}

/** What the worker tells its page. Sizes are of the bundle; files are numbered in the order's sequence. */
export type DepositNews =
  | { readonly type: "begun"; readonly sizeBytes: number; readonly isContinued: boolean }
  | {
      readonly type: "progress";
      /** What the server has, durable. */
      readonly sentBytes: number;
      readonly sentFiles: number;
      /** Of the file that comes next. */
      readonly currentBytes: number;
    }
  | { readonly type: "waiting"; readonly message: string; readonly pauseMs: number }
  | { readonly type: "elsewhere" }
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  | { readonly type: "sent"; readonly jobId: number };
