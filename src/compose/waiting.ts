import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Config } from "../settings/config.ts";

/** What a start waits for. */
export interface Awaited {
  readonly what: string;
  /** Its address, without a password. */
  readonly where: string;
  readonly why: string;
  /** This many of how many tries have failed. */
  readonly tries: number;
  readonly ofTries: number;
}

export interface WaitingParts {
  readonly config: Config;
  readonly clock: Clock;
  /** Aborts when nobody wants to wait any more. */
  readonly signal: AbortSignal;
  /** Told of each try that failed, if another one follows. */
  onWait(awaited: Awaited): void;
}

/**
 * Opens what the process stands on; a service that does not answer yet is tried again, as settings say. In a fleet that is
 * started all at once nobody need say what comes first.
 *
 * Waiting heals what is not there yet: a server that starts, a database or bucket that is about to be made. It does not heal
 * credentials that are refused, a newer schema, or anything of this machine's own: these end the start at once.
 * @throws what the last try threw.
 */
export async function waitingFor<T>(open: () => Promise<T>, parts: WaitingParts): Promise<T> {
  const { config, clock, signal, onWait } = parts;
  for (let tries = 1; ; tries++) {
    try {
      return await open();
    } catch (error) {
      const awaited = awaitedIn(error, config);
      if (!awaited || tries >= config.startAttempts || signal.aborted) throw error;
      onWait({ ...awaited, tries, ofTries: config.startAttempts });
      await clock.sleep(config.startWaitMs, signal);
      if (signal.aborted) throw error;
    }
  }
}

/** @returns what is missed, if it may come by waiting. */
function awaitedIn(error: unknown, { databaseUrl, s3 }: Config): Pick<Awaited, "what" | "where" | "why"> | undefined {
  if (!(error instanceof AppError)) return undefined;
  const { code, message: why, details } = error;
  if (code === "database_unavailable" && databaseUrl !== undefined && !isLoginRefused(details.reason))
    return { what: "PostgreSQL", where: withoutPassword(databaseUrl), why };
  const isOfS3 = details.bucket !== undefined || typeof details.reason === "string";
  if (code === "storage_unavailable" && isOfS3 && details.status !== 401 && details.status !== 403)
    return { what: "S3", where: s3.endpoint ?? `Amazon S3 in ${s3.region}`, why };
  return undefined;
}

/** Class 28 of PostgreSQL's error codes: "Invalid Authorization Specification". */
function isLoginRefused(reason: unknown): boolean {
  return String(reason).startsWith("28");
}

function withoutPassword(address: string): string {
  const url = new URL(address);
  url.password = "";
  return url.href;
}
