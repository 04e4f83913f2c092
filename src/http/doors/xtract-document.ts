import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { parseToken } from "../../core/access/tokens.ts";
import { AppError } from "../../core/errors.ts";
import { requestBody } from "../upload/request-body.ts";

/** Thousands of folders may be named. */
const DOCUMENT_LIMIT_BYTES = 8 * 1024 ** 2;

export type SentDocument = Readonly<Record<string, unknown>>;

/** What clients send, as far as it is looked at. Other members are nothing to us. */
export const DOCUMENTS = {
  crawl: z.object({
    endpoints: z
      .array(
        z.object({
          repo_type: z.string(),
          eid: z.string().max(255),
          dir_paths: z.array(z.string().min(1).max(4096)).min(1).max(1_000),
          grouper: z.string().max(64).nullish(),
        }),
      )
      .min(1)
      .max(1_000),
  }),
  /** The count is what it was called by the generations of clients. */
  flush: z.object({
    n: z.int().positive().nullish(),
    first_n_files: z.int().positive().nullish(),
    next_n_files: z.int().positive().nullish(),
  }),
  /** The folder likewise. */
  extract: z.object({
    local_mdata_path: z.string().max(4096).nullish(),
    metadata_directory: z.string().max(4096).nullish(),
  }),
  offload: z.object({
    crawl_ids: z.array(z.string()).min(1).max(1_000),
    dest_ep_id: z.string().max(255),
    dest_path: z.string().max(4096).default(""),
    timeout: z.number().positive().max(31_536_000).default(600),
    delete_source: z.boolean().default(false),
  }),
} as const;

/** @throws AppError request_invalid. */
export function understood<T extends z.ZodType>(form: T, document: SentDocument): z.output<T> {
  const parsed = form.safeParse(document);
  if (parsed.success) return parsed.data;
  throw new AppError("request_invalid", { reason: z.prettifyError(parsed.error) });
}

/**
 * The JSON object in a request's body, whatever its method: the clients send one with GET as well, which Fastify does not
 * read. Nothing at all is an empty one.
 * @throws AppError request_invalid, body_too_large, upload_interrupted.
 */
export async function sentDocument(request: FastifyRequest): Promise<SentDocument> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of requestBody(request, (count) => (sizeBytes += count))) {
    if (sizeBytes > DOCUMENT_LIMIT_BYTES) throw new AppError("body_too_large", { limitBytes: DOCUMENT_LIMIT_BYTES });
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const document = text.trim() === "" ? {} : parsed(text);
  if (typeof document === "object" && document !== null && !Array.isArray(document)) return document as SentDocument;
  throw new AppError("request_invalid", { expected: "a JSON object" });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("request_invalid", { expected: "a JSON object" }, { cause });
  }
}

/**
 * Clients send several tokens in their documents, by names of Globus's services and with or without `Bearer`. The first
 * that has the form of Longshore's is it; the others were given out by somebody else.
 * @returns as an `Authorization` field.
 */
export function tokenIn({ tokens, headers }: SentDocument): string | undefined {
  const given = [tokens, headers].flatMap((names) =>
    typeof names === "object" && names !== null ? Object.values(names) : [],
  );
  const texts = given.filter((value) => typeof value === "string").map((value) => value.replace(/^bearer +/i, ""));
  const own = texts.find((text) => parseToken(text) !== undefined);
  return own === undefined ? undefined : `Bearer ${own}`;
}
