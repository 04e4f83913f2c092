import type { ObjectStorage } from "../../archive/object-storage.ts";
import type { Clock } from "../../clock.ts";
import { factsOfStream, type StreamFacts } from "../../digest.ts";
import { AppError, type Details, type DetailValue } from "../../errors.ts";
import { type CartId, cartId } from "../../ids.ts";
import type { Job } from "../../jobs/job.ts";
import { type JobContext, type JobHandler, PutOff } from "../../jobs/worker.ts";
import { eachAtOnce } from "../../streams.ts";
import type { Cart, CartEntry } from "../cart.ts";
import type { CartStore } from "../cart-store.ts";
import { planLayouts } from "../layout/planning.ts";
import { problemsError } from "../problem-list.ts";
import { type Amounts, bringingOnline } from "./bring-online.ts";
import type { RemoteArchive } from "./remote-archive.ts";
import type { Staging } from "./staging.ts";
import { type StagingRun, stagingRun } from "./staging-run.ts";

/** Archived files that are read and checked at a time. */
const CHECKS_AT_ONCE = 4;
const PAGE = 500;

export interface StageParts {
  readonly carts: CartStore;
  readonly staging: Staging;
  /** Where archived files lie. */
  readonly archive: ObjectStorage;
  /** Where files come from that are not in the archive. */
  readonly remote?: RemoteArchive | undefined;
  readonly clock: Clock;
}

/**
 * The `stage` job: brings every file of a cart to where it can be read, learns what is not known of it, checks what is to
 * be checked, and lays the downloads out. The cart is ready then, or in error with what is wrong, file by file.
 *
 * What has been dealt with is noted on the cart's entries, so whoever takes the job over goes on with the rest; the
 * checkpoint says only how long it has been waiting. While there is nothing but waiting to do, it is put off. Retried, it
 * stages a cart in error again. Its input: `{ cart }`.
 */
export function stageJob(parts: StageParts): JobHandler {
  const { carts, staging, clock } = parts;

  /** @throws AppError cart_unknown, cart_expired. */
  async function begun(id: CartId, job: Job): Promise<Cart> {
    const change = { status: "staging", stageJob: job.id, problems: [], problemCount: 0 } as const;
    const cart =
      (await carts.update(id, ["waiting", "staging", "error"], change, clock.now())) ?? (await carts.get(id));
    if (!cart) throw new AppError("cart_unknown", { id });
    if (cart.status === "expired") throw new AppError("cart_expired", { id });
    return cart;
  }

  async function stage(cart: Cart, { job, tasks, signal, checkpoint }: JobContext): Promise<Cart> {
    const known = await knownBytes(cart.id);
    const left = await leftOver(cart.id);
    const progress = { stagedFiles: cart.fileCount - left.files, stagedBytes: known - left.bytes };
    const run = stagingRun(carts, clock, cart, { tasks, signal }, progress);
    await run
      .showing(() => dealWith(run, left.files, known, job.checkpoint.lookMs))
      .catch(async (error: unknown) => {
        // Whoever begins again has waited that long already.
        if (error instanceof PutOff) await checkpoint({ lookMs: 2 * error.pauseMs });
        throw error;
      });
    const { count, kept } = run.problems;
    if (count > 0) {
      const error = { status: "error", readyAt: null, problems: kept, problemCount: count } as const;
      await carts.update(cart.id, ["staging"], error, clock.now());
      throw problemsError("cart_failed", count, kept);
    }
    return layOut(run);
  }

  /** Every file that is left is staged then, or has failed. */
  async function dealWith(run: StagingRun, files: number, knownBytes: number, lookMs?: DetailValue): Promise<void> {
    const { tasks, cart } = run;
    const online = bringingOnline({ remote: undefined, ...parts }, run);
    await tasks.begin("stage", { files });
    const bytes = await online.request();
    await run.show({ sizeBytes: knownBytes + bytes });
    const capacityBytes = await staging.capacityBytes();
    if (bytes > capacityBytes) await online.refuse(bytes, capacityBytes);
    await tasks.begin("stage", { files, bytes });
    const unchecked = await online.bring(typeof lookMs === "number" ? lookMs : undefined);

    await tasks.begin("check", unchecked);
    await check(run);
    for (const entry of await staging.protect(cart.id))
      run.failed(entry, new AppError("object_missing", { hint: "its copy was dropped meanwhile; make the cart anew" }));
  }

  async function layOut({ cart, tasks, signal }: StagingRun): Promise<Cart> {
    await tasks.begin("lay out", { files: cart.fileCount });
    const layouts = await planLayouts(carts, cart, undefined, (files) => {
      signal.throwIfAborted();
      tasks.advance({ files });
    });
    const bytes = layouts[0]?.payloadBytes ?? cart.sizeBytes;
    const all = { sizeBytes: bytes, stagedFiles: cart.fileCount, stagedBytes: bytes, readyAt: null };
    const ready = await carts.update(cart.id, ["staging"], { status: "ready", ...all }, clock.now());
    if (!ready) throw new AppError("cart_unknown", { id: cart.id });
    return ready;
  }

  /** Of the files whose size is known, which it is of all that are not on a remote archive. */
  async function knownBytes(id: CartId): Promise<number> {
    let bytes = 0;
    for (let seq = 0; ; ) {
      const page = await carts.entries(id, seq, PAGE);
      for (const { location, sizeBytes } of page) if (location.at !== "remote") bytes += sizeBytes;
      if (page.length < PAGE) return bytes;
      seq += page.length;
    }
  }

  async function leftOver(id: CartId): Promise<Amounts> {
    let files = 0;
    let bytes = 0;
    for (let seq = 0; ; ) {
      const page = await carts.unstaged(id, seq, PAGE);
      files += page.length;
      for (const { location, sizeBytes } of page) if (location.at !== "remote") bytes += sizeBytes;
      const last = page.at(-1);
      if (!last || page.length < PAGE) return { files, bytes };
      seq = last.seq + 1;
    }
  }

  /** Reads what is left: archived files of which not everything is known, or that are to be checked. */
  function check(run: StagingRun): Promise<void> {
    return eachAtOnce(
      run.left(),
      () => CHECKS_AT_ONCE,
      async (entry, stop) => {
        try {
          const facts = await read(run, entry, AbortSignal.any([run.signal, stop]));
          const { sizeBytes, crc32 } = facts;
          const digest = facts.digests[run.cart.algorithm] ?? null;
          const { modifiedAt, location } = entry;
          requireMatch(entry, facts, digest);
          await run.staged(entry, { sizeBytes, modifiedAt, crc32, digest, location });
          run.tasks.advance({ files: 1 });
        } catch (error) {
          stop.throwIfAborted();
          run.failed(entry, error);
        }
      },
    );
  }

  async function read({ cart, tasks }: StagingRun, entry: CartEntry, signal: AbortSignal): Promise<StreamFacts> {
    const { storage, path } = await staging.read(entry.location);
    const algorithms = [...new Set([cart.algorithm, ...(entry.expected ? [entry.expected.algorithm] : [])])];
    const onRead = (bytes: number) => tasks.advance({ bytes });
    if (storage.facts) return storage.facts(path, algorithms, { signal, onRead });
    const facts = await factsOfStream(await storage.open(path), algorithms, signal);
    onRead(facts.sizeBytes);
    return facts;
  }

  return {
    async run(context) {
      const { job } = context;
      const cart = await begun(cartOf(job), job);
      return resultOf(cart.status === "ready" ? cart : await stage(cart, context));
    },

    /** A cart whose job did not come to its end has nobody to make it ready. */
    async cleanUp(job) {
      const { code, message } = job.error ?? new AppError("job_cancelled");
      const change = { status: "error", readyAt: null, problems: [{ code, message }], problemCount: 1 } as const;
      await carts.update(cartOf(job), ["waiting", "staging"], change, clock.now());
    },

    async retryable(job) {
      const cart = await carts.get(cartOf(job));
      return cart?.status === "error" || cart?.status === "staging";
    },

    committed: async (job) => (await carts.get(cartOf(job)))?.status === "ready",
  };
}

const cartOf = ({ input }: Job): CartId => cartId(String(input.cart));

const resultOf = ({ id, fileCount, sizeBytes }: Cart): Details => ({ cart: id, files: fileCount, bytes: sizeBytes });

/** @throws AppError object_corrupt when the archive does not hold what it says; digest_mismatch when the cart does not. */
function requireMatch({ sizeBytes, crc32, digest, expected }: CartEntry, found: StreamFacts, is: string | null): void {
  for (const [known, read] of [
    [sizeBytes, found.sizeBytes],
    [crc32, found.crc32],
    [digest, is],
  ])
    if (known !== null && known !== undefined && known !== read)
      throw new AppError("object_corrupt", { expected: known, found: read ?? null });
  const value = expected && found.digests[expected.algorithm];
  if (expected && value !== expected.value)
    throw new AppError("digest_mismatch", { expected: expected.value, found: value ?? null });
}
