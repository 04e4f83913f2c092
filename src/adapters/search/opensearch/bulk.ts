import type { Clock } from "../../../core/clock.ts";
import { AppError } from "../../../core/errors.ts";
import { type Engine, failureOf, isBlock, isRecord, type Json } from "./engine.ts";
import { idOf } from "./stored-document.ts";

/** What is done to a document, through an alias of its index. */
export interface Change {
  /** `create` leaves a document alone that is there already. */
  readonly action: "index" | "create" | "delete";
  readonly alias: string;
  readonly key: string;
  /** As JSON on one line; for all but `delete`. */
  readonly document?: string;
}

const MAX_REQUEST_BYTES = 8 * 1024 ** 2;
/** For what the engine has no room for at the moment, which is less and less each time. */
const TRIES = 7;
const FIRST_PAUSE_MS = 100;
const TOO_LARGE = 413;
const TOO_MANY = 429;
/** For a shard that is not there to come back. */
const SHARD_TIMEOUT = "5s";

/** An alias is not there any more: the index has been replaced or abandoned. What came before it may be done. */
export class AliasGone extends Error {
  override readonly name = "AliasGone";
}

/**
 * Makes all these changes, those of one key in their order. What the engine is too busy for is sent again, in smaller requests
 * and later. A change may be made twice; of changes that fail, some may be made.
 * @param isSeen whether searches see them when this returns.
 * @throws AliasGone; AppError search_unavailable, search_refused with the first key that the engine does not take.
 */
export async function bulk(engine: Engine, clock: Clock, changes: readonly Change[], isSeen: boolean): Promise<void> {
  let waiting = changes;
  let atOnce = changes.length;
  for (let tries = 1; waiting.length > 0; tries++) {
    const again: Change[] = [];
    for (const part of partsOf(waiting, atOnce)) again.push(...(await sent(engine, part, isSeen)));
    waiting = again;
    atOnce = Math.max(1, Math.ceil(atOnce / 2));
    if (waiting.length === 0) return;
    if (tries === TRIES)
      throw new AppError("search_unavailable", { reason: "the engine takes no more", documents: waiting.length });
    await clock.sleep(FIRST_PAUSE_MS * 2 ** (tries - 1));
  }
}

/** @returns what the engine is too busy for, or what is too much for one request. */
async function sent(engine: Engine, changes: readonly Change[], isSeen: boolean): Promise<readonly Change[]> {
  const { status, document } = await engine.ask({
    method: "POST",
    path: `/_bulk?require_alias=true&refresh=${isSeen}&timeout=${SHARD_TIMEOUT}&filter_path=error,items.*.status,items.*.error`,
    body: changes.flatMap(linesOf),
    answers: [TOO_LARGE, TOO_MANY],
  });
  const [only, ...others] = changes;
  if (status === TOO_LARGE && only && others.length === 0) throw refused(only, "too large for one request");
  if (status === TOO_LARGE || status === TOO_MANY) return changes;
  const items = Array.isArray(document.items) ? document.items : [];
  const again: Change[] = [];
  for (const [i, change] of changes.entries()) {
    const item: unknown = items[i];
    const outcome = isRecord(item) ? item[change.action] : undefined;
    if (!isRecord(outcome)) throw new AppError("search_unavailable", { reason: "an answer that is not whole" });
    if (isBusy(change, outcome)) again.push(change);
  }
  return again;
}

/** @throws for what will not pass. */
function isBusy(change: Change, { status, error }: Json): boolean {
  if (error === undefined || (change.action === "create" && status === 409)) return false;
  const { type, reason } = failureOf(error);
  if (isBlock(type)) throw new AppError("search_unavailable", { reason, status: Number(status) });
  if (status === TOO_MANY) return true;
  if (status === 404) throw new AliasGone(`There is no ${change.alias}.`);
  if (Number(status) >= 500) throw new AppError("search_unavailable", { reason, status: Number(status) });
  throw refused(change, `${type}: ${reason}`);
}

function refused({ key }: Change, reason: string): AppError {
  return new AppError("search_refused", { document: key.slice(0, 200).toWellFormed(), reason });
}

function linesOf({ action, alias, key, document }: Change): readonly string[] {
  const head = JSON.stringify({ [action]: { _index: alias, _id: idOf(key) } });
  return document === undefined ? [head] : [head, document];
}

/** At most so many changes each, and bytes, unless there is only one. */
function* partsOf(changes: readonly Change[], atOnce: number): Generator<readonly Change[]> {
  let part: Change[] = [];
  let sizeBytes = 0;
  for (const change of changes) {
    const ownBytes = Buffer.byteLength(change.document ?? "");
    if (part.length === atOnce || (part.length > 0 && sizeBytes + ownBytes > MAX_REQUEST_BYTES)) {
      yield part;
      part = [];
      sizeBytes = 0;
    }
    part.push(change);
    sizeBytes += ownBytes;
  }
  if (part.length > 0) yield part;
}
