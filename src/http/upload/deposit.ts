import type { FastifyRequest } from "fastify";
import { AppError } from "../../core/errors.ts";
import type { BundleRequest } from "../../core/ingest/ingest.ts";
import type { Job } from "../../core/jobs/job.ts";
import { promisedDigests } from "../download/digest-fields.ts";
import type { ServerContext } from "../server-deps.ts";
import { requestBody } from "./request-body.ts";

/** A metadata array lists every file of a move: with a million files it has some hundred MB. */
export const DOCUMENT_LIMIT_BYTES = 256 * 1024 ** 2;

/** Takes the request's body for a bundle, whichever door it came through. @returns the job, which may have failed. */
export async function depositBundle(context: ServerContext, request: FastifyRequest, owner: string): Promise<Job> {
  const { "content-digest": content, "repr-digest": repr } = request.headers;
  const expected = promisedDigests({ "content-digest": content, "repr-digest": repr });
  const described = bundleRequest(request, owner);
  const length = request.headers["content-length"];
  const job = await context.finish(
    context.ingest.receive(requestBody(request, context.metrics.received), {
      ...described,
      expected,
      ...(length === undefined ? {} : { sizeBytes: Number(length) }),
    }),
  );
  await noteDeposit(context, request, "bundle.deposit", owner, `job/${job.id}`);
  return job;
}

/** Takes a metadata array whose files lie on the server. @throws AppError metadata_not_json, metadata_invalid. */
export async function depositMove(
  context: ServerContext,
  request: FastifyRequest,
  document: Uint8Array,
  owner: string,
): Promise<Job> {
  requireArray(document);
  const job = await context.ingest.move(document, bundleRequest(request, owner));
  await noteDeposit(context, request, "bundle.move", owner, `job/${job.id}`);
  return job;
}

/**
 * Enters the deposit into the audit log. By now it is made: a failure here, such as a disk that has just become full, must
 * not be the answer, or the sender would repeat what is accepted. The server's log then has what the audit log lacks.
 */
export async function noteDeposit(
  context: ServerContext,
  request: FastifyRequest,
  action: string,
  owner: string,
  target: string,
): Promise<void> {
  const via = request.routeOptions.url ?? "";
  try {
    await context.audit.record(owner, action, target, { via });
  } catch (err) {
    request.log.error({ err, target, action, owner, via }, "a deposit is missing from the audit log");
  }
}

/** @throws AppError request_invalid for an `Idempotency-Key` that is empty, long or not plain text. */
function bundleRequest(request: FastifyRequest, owner: string): BundleRequest {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return { owner };
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw new AppError("request_invalid", { header: "idempotency-key", expected: "1 to 255 printable characters" });
  return { owner, idempotencyKey: key };
}

function requireArray(document: Uint8Array): void {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(document));
  } catch (cause) {
    throw new AppError("metadata_not_json", { reason: cause instanceof Error ? cause.message : "" }, { cause });
  }
  if (!Array.isArray(parsed)) throw new AppError("metadata_invalid", { expected: "an array of objects" });
}
