import { AppError, type Details, type DetailValue } from "../errors.ts";
import { type TransactionId, transactionId } from "../ids.ts";
import type { JobHandler } from "../jobs/worker.ts";
import {
  NOTHING_VERIFIED,
  resumePoint,
  type VerifyParts,
  type VerifyTotals,
  verifyArchive,
  withChecked,
} from "./verify.ts";

const CHECKPOINT_EVERY_MS = 5_000;
/** Problems kept on the job, one by one; all of them are counted. */
const KEPT_PROBLEMS = 1_000;

/** What a `verify` job is asked for: its `input`. Everything when empty. */
export interface VerifyRequest {
  readonly transactions?: readonly TransactionId[];
  readonly quick?: boolean;
  readonly parallel?: number;
  readonly bytesPerSecond?: number;
}

/**
 * The `verify` job. Its result is what was checked; discrepancies are its warnings, and fail it with `verify_failed`
 * when it is through. It continues behind the last object of its checkpoint.
 */
export function verifyJob(parts: VerifyParts): JobHandler {
  const { catalogue, clock } = parts;
  return {
    async run({ job, tasks, signal, checkpoint }) {
      const request = readRequest(job.input);
      const everything = await catalogue.totals();
      let after = typeof job.checkpoint.after === "string" ? job.checkpoint.after : undefined;
      /** What the walk has found: what is looked at before and after it is looked at anew each time. */
      let walked = readTotals(job.checkpoint.totals);
      let totals = walked;
      let savedAt = clock.now();
      await tasks.begin("verify", {
        ...(request.transactions ? {} : { files: everything.files }),
        ...(request.transactions || request.quick ? {} : { bytes: everything.bytes }),
      });
      tasks.advance({ files: totals.files, bytes: totals.bytes });

      const onRead = (bytes: number) => tasks.advance({ bytes });
      for await (const checked of verifyArchive(parts, { ...request, after, signal, onRead })) {
        const room = Math.max(0, KEPT_PROBLEMS - totals.problems);
        for (const found of checked.problems.slice(0, room)) tasks.warn(found);
        for (const found of checked.notes.slice(0, room)) tasks.warn(found);
        totals = withChecked(totals, checked);
        tasks.advance({ files: checked.files });
        const reached = resumePoint(checked);
        if (reached === undefined) continue;
        after = reached;
        walked = withChecked(walked, checked);
        if (clock.now() - savedAt < CHECKPOINT_EVERY_MS) continue;
        savedAt = clock.now();
        await checkpoint({ after, totals: { ...walked } });
      }
      if (totals.problems === 0) return { ...totals };
      await checkpoint({}); // retried, it looks at everything again
      throw new AppError("verify_failed", { ...totals });
    },
  };
}

function readRequest({ transactions, quick, parallel, bytesPerSecond }: Details): VerifyRequest {
  return {
    ...(Array.isArray(transactions) ? { transactions: transactions.map((id) => transactionId(Number(id))) } : {}),
    ...(typeof quick === "boolean" ? { quick } : {}),
    ...(typeof parallel === "number" ? { parallel } : {}),
    ...(typeof bytesPerSecond === "number" ? { bytesPerSecond } : {}),
  };
}

function readTotals(saved: DetailValue | undefined): VerifyTotals {
  return typeof saved === "object" && saved !== null && !Array.isArray(saved)
    ? { ...NOTHING_VERIFIED, ...saved }
    : NOTHING_VERIFIED;
}
