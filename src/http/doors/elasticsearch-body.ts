import type { FastifyRequest } from "fastify";
import { isObject, type JsonObject } from "../../core/documents/field-values.ts";
import { AppError } from "../../core/errors.ts";
import { requestBody } from "../upload/request-body.ts";
import { refusal } from "./elasticsearch-error.ts";

/** One document, or one request. */
const DOCUMENT_LIMIT_BYTES = 8 * 1024 ** 2;
/** Elasticsearch's own limit. */
const MAX_DEPTH = 1_000;
/** Many documents in one request, which is understood before the first of them is written. */
export const BULK_LIMIT_BYTES = 64 * 1024 ** 2;

/** `application/json` and `application/x-ndjson`, and what clients since 8 call them. */
const MEDIA_TYPE = /^application\/(json|x-ndjson|vnd\.elasticsearch\+(json|x-ndjson))$/i;

/**
 * The body as text, whatever the method.
 * @throws AppError body_too_large, media_type_unsupported, upload_interrupted, request_invalid for what is not UTF-8.
 */
export async function sentText(request: FastifyRequest, limitBytes = DOCUMENT_LIMIT_BYTES): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of requestBody(request, (count) => (sizeBytes += count))) {
    if (sizeBytes > limitBytes) throw new AppError("body_too_large", { limitBytes });
    chunks.push(chunk);
  }
  if (sizeBytes > 0) requireJson(request);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new AppError("request_invalid", { reason: "the body is not UTF-8" }, { cause });
  }
}

function requireJson({ headers }: FastifyRequest): void {
  const { "content-type": type = "", "content-encoding": encoding = "identity" } = headers;
  if (!MEDIA_TYPE.test(type.split(";")[0]?.trim() ?? ""))
    throw new AppError("media_type_unsupported", { reason: `Content-Type header [${type}] is not supported` });
  if (encoding !== "identity")
    throw new AppError("media_type_unsupported", { reason: `Content-Encoding [${encoding}] is not supported` });
}

/** A document as it was sent, without white space around it. @throws AppError request_invalid when it is no JSON object. */
export async function sentSource(request: FastifyRequest): Promise<string> {
  const text = (await sentText(request)).trim();
  if (text === "") throw refusal("action_request_validation_exception", "Validation Failed: 1: source is missing;");
  objectIn(text);
  return text;
}

/** The body's JSON object; nothing at all is an empty one. @throws AppError request_invalid. */
export async function sentObject(request: FastifyRequest): Promise<JsonObject> {
  const text = await sentText(request);
  return text.trim() === "" ? {} : objectIn(text);
}

/** @throws AppError request_invalid. */
export function objectIn(text: string): JsonObject {
  if (depthOf(text) > MAX_DEPTH)
    throw refusal("x_content_parse_exception", `Document nesting depth exceeds the maximum allowed (${MAX_DEPTH})`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : "not JSON";
    throw new AppError("request_invalid", { type: "x_content_parse_exception", reason }, { cause });
  }
  if (isObject(value)) return value;
  throw refusal("parsing_exception", "Expected [START_OBJECT]: a JSON object");
}

/** How deep objects and arrays lie in each other; of what is no JSON, anything. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inString && char === "\\") at++;
    else if (char === '"') inString = !inString;
    else if (inString) continue;
    else if (char === "{" || char === "[") deepest = Math.max(deepest, ++depth);
    else if (char === "}" || char === "]") depth--;
  }
  return deepest;
}
