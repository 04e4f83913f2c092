import { AppError, type Code } from "../../core/errors.ts";
import { statusOf } from "../problem.ts";

/** Elasticsearch's names for what went wrong, and its status where it is another than ours. */
const TYPES: Readonly<Partial<Record<Code, readonly [type: string, status?: number]>>> = {
  document_index_unknown: ["index_not_found_exception"],
  document_index_exists: ["resource_already_exists_exception", 400],
  document_index_invalid: ["illegal_argument_exception"],
  document_index_read_only: ["cluster_block_exception"],
  document_unknown: ["document_missing_exception"],
  document_conflict: ["version_conflict_engine_exception"],
  document_invalid: ["document_parsing_exception"],
  document_query_invalid: ["query_shard_exception"],
  register_unknown: ["index_not_found_exception"],
  entry_unknown: ["document_missing_exception"],
  entry_conflict: ["version_conflict_engine_exception"],
  entry_exists: ["version_conflict_engine_exception"],
  entry_invalid: ["document_parsing_exception"],
  entry_refused: ["security_exception"],
  request_invalid: ["illegal_argument_exception"],
  body_too_large: ["content_too_long_exception"],
  media_type_unsupported: ["media_type_header_exception", 406],
  token_missing: ["security_exception"],
  token_invalid: ["security_exception"],
  scope_missing: ["security_exception"],
  origin_refused: ["security_exception"],
  rate_limited: ["circuit_breaking_exception"],
};

export interface Cause {
  readonly type: string;
  readonly reason: string;
  readonly index?: string;
}

/** What was sent is refused in Elasticsearch's own words. */
export function refusal(type: string, reason: string): AppError {
  return new AppError("request_invalid", { type, reason });
}

export function elasticStatus(error: AppError): number {
  return TYPES[error.code]?.[1] ?? statusOf(error);
}

/** An error as it stands beside a single document of many, and inside of the answer for one. */
export function causeOf({ code, details, message }: AppError): Cause {
  const { index, type = TYPES[code]?.[0] ?? "exception", reason = reasonOf(code, index) ?? message } = details;
  return { type: String(type), reason: String(reason), ...(index !== undefined && { index: String(index) }) };
}

function reasonOf(code: Code, index: unknown): string | undefined {
  if (code === "document_index_unknown" || code === "register_unknown") return `no such index [${index}]`;
  if (code === "document_index_exists") return `index [${index}] already exists`;
  if (code === "document_index_read_only") return `index [${index}] blocked by: [FORBIDDEN/8/index write (api)];`;
  return undefined;
}

/** The body of an answer that is an error. */
export function errorDocument(error: AppError): object {
  const cause = causeOf(error);
  const status = elasticStatus(error);
  if (error.code !== "document_query_invalid") return { error: { root_cause: [cause], ...cause }, status };
  // What only those find who look into the documents.
  return {
    error: {
      root_cause: [cause],
      type: "search_phase_execution_exception",
      reason: "all shards failed",
      phase: "query",
      grouped: true,
      failed_shards: [{ shard: 0, node: "longshore", reason: cause }],
      caused_by: cause,
    },
    status,
  };
}
