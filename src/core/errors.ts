/** What went wrong, in the caller's terms. One row per kind: HTTP status, CLI exit code, worth retrying? */
export const KINDS = {
  invalid: { status: 400, exit: 2, retry: false },
  unauthorized: { status: 401, exit: 6, retry: false },
  forbidden: { status: 403, exit: 6, retry: false },
  not_found: { status: 404, exit: 3, retry: false },
  conflict: { status: 409, exit: 4, retry: false },
  gone: { status: 410, exit: 3, retry: false },
  too_large: { status: 413, exit: 2, retry: false },
  unsupported: { status: 415, exit: 2, retry: false },
  corrupt: { status: 422, exit: 5, retry: false },
  limited: { status: 429, exit: 75, retry: true },
  cancelled: { status: 409, exit: 8, retry: false },
  unavailable: { status: 503, exit: 75, retry: true },
  internal: { status: 500, exit: 70, retry: false },
} as const;
export type Kind = keyof typeof KINDS;

/** Every code the product can answer with. `docs/errors.md` is generated from this table. */
export const CODES = {
  // The bundle as it arrives
  bundle_not_tar: ["corrupt", "The body is not an uncompressed tar archive."],
  bundle_compressed: ["corrupt", "The body is compressed; a bundle is an uncompressed tar archive."],
  bundle_truncated: ["corrupt", "The tar archive ends before its end-of-archive blocks."],
  bundle_header_corrupt: ["corrupt", "A tar header does not match its own checksum or holds an impossible value."],
  bundle_header_too_large: ["too_large", "A tar extended header is larger than Longshore reads."],
  bundle_name_unsafe: ["invalid", "A tar member's name is absolute, climbs out of the bundle or is not usable."],
  bundle_name_encoding: ["invalid", "A tar member's name is not valid UTF-8."],
  bundle_member_type: ["invalid", "A tar member is not a regular file or a directory."],
  bundle_member_duplicate: ["invalid", "Two tar members have the same name."],
  bundle_empty: ["invalid", "The bundle lists no files."],
  bundle_refused: ["corrupt", "The bundle does not hold what its metadata declares."],
  upload_interrupted: ["invalid", "The upload ended before its last byte arrived."],
  upload_unknown: ["not_found", "No upload with this id is known."],
  upload_offset_mismatch: ["conflict", "The upload continues at another offset."],
  digest_mismatch: ["corrupt", "The bytes do not hash to the digest that was promised."],
  digest_unknown: ["invalid", "A digest algorithm is not known to Longshore."],
  // metadata.txt and what it declares
  metadata_missing: ["invalid", "The bundle has no metadata.txt at its top level."],
  metadata_duplicate: ["invalid", "The bundle has more than one metadata.txt."],
  metadata_not_json: ["invalid", "metadata.txt is not valid JSON."],
  metadata_invalid: ["invalid", "metadata.txt does not have the form Longshore reads."],
  file_duplicate: ["invalid", "metadata.txt lists the same file twice."],
  file_missing: ["corrupt", "A file that metadata.txt lists is not in the bundle."],
  file_size_mismatch: ["corrupt", "A file's size differs from the size its metadata declares."],
  file_digest_mismatch: ["corrupt", "A file's digest differs from the digest its metadata declares."],
  member_unlisted: ["invalid", "A member under data/ is not listed in metadata.txt."],
  policy_refused: ["forbidden", "The policy refuses this bundle."],
  policy_invalid: ["invalid", "The policy file is not valid."],
  source_outside_roots: ["forbidden", "The path is not under a folder that may be moved from."],
  source_changed: [
    "conflict",
    "The source file changed while it was being archived or copied; it is left where it is.",
  ],
  source_missing: ["not_found", "The source file does not exist on the server."],
  source_unsuitable: ["invalid", "The source is not a regular file that the server may read and remove."],
  // Archive
  object_missing: ["not_found", "The archive has no such object or file."],
  object_exists: ["conflict", "The archive already has this object."],
  object_corrupt: ["corrupt", "What the archive holds does not match its inventory."],
  stage_missing: ["not_found", "There is no staged tree with this name."],
  storage_full: ["unavailable", "The storage has no space left."],
  storage_unavailable: ["unavailable", "The storage does not answer or refuses to write."],
  archive_stray: ["corrupt", "Something lies in the archive that no inventory knows."],
  catalogue_mismatch: ["corrupt", "The database does not say what the archive holds."],
  stage_abandoned: ["conflict", "A deposit was begun that no unfinished job will complete."],
  verify_failed: ["corrupt", "The archive has discrepancies."],
  fixity_failed: ["corrupt", "Transactions of the archive are not what they were."],
  rebuild_incomplete: ["corrupt", "Parts of the archive could not be entered into the database."],
  // Jobs, transactions, files
  job_unknown: ["not_found", "No job with this id is known."],
  job_state_conflict: ["conflict", "The job's state does not allow this change."],
  job_cancelled: ["cancelled", "The job was cancelled."],
  job_attempts_exhausted: ["internal", "The job was taken over too often without finishing."],
  transaction_unknown: ["not_found", "No transaction with this id is known."],
  file_unknown: ["not_found", "No file with this id is known."],
  idempotency_conflict: ["conflict", "A request with this Idempotency-Key is still being received."],
  // Carts
  cart_unknown: ["not_found", "No cart with this id is known."],
  cart_refused: ["corrupt", "The cart cannot be made of what was chosen."],
  cart_not_ready: ["conflict", "The cart is not ready for download yet."],
  cart_failed: ["corrupt", "The cart cannot be downloaded, as files of it are missing or damaged."],
  cart_expired: ["gone", "The cart has expired."],
  cart_empty: ["invalid", "Nothing was chosen for the cart."],
  cart_path_unsafe: ["invalid", "A path in the cart is absolute, climbs out of the download or is not usable."],
  staging_full: ["unavailable", "The staging cache has no room for the file."],
  // Packages
  package_unknown: ["not_found", "No package with this id is known."],
  package_gone: ["gone", "The package has expired, or its link was revoked."],
  package_not_ready: ["conflict", "The package is not ready for download yet."],
  package_failed: ["corrupt", "The package could not be made."],
  package_short: ["corrupt", "The portal gave another number of rows than it declared."],
  portal_busy: ["unavailable", "The portal is busy, or down for the moment."],
  portal_refused: ["corrupt", "The portal refused the request or answered in an unexpected form."],
  format_limit: ["invalid", "The format cannot hold what was asked for."],
  dwca_record_id: ["corrupt", "A record has no id, or another record's: a Darwin Core Archive needs one for each."],
  dwca_invalid: ["invalid", "The Darwin Core settings are not valid."],
  link_invalid: ["not_found", "The link is not one this server has given out."],
  fetch_refused: ["forbidden", "Longshore is not set up to fetch from this address."],
  mail_refused: ["invalid", "The mail server does not take this mail."],
  notice_refused: ["invalid", "The receiver of a notice wants no more of them."],
  // Crawls and searches
  crawl_unknown: ["not_found", "No crawl with this id is known."],
  crawl_failed: ["corrupt", "None of the crawl's stores could be listed."],
  crawl_state_conflict: ["conflict", "The crawl's status does not allow this."],
  extraction_unknown: ["not_found", "No extraction with this id is known."],
  extractor_unknown: ["invalid", "No extractor with this name is known."],
  extractor_invalid: ["invalid", "The extractor cannot be registered."],
  record_unknown: ["not_found", "No record with this number is known."],
  endpoint_refused: ["forbidden", "Longshore is not set up to use this store."],
  endpoint_unreachable: ["unavailable", "The store does not answer or cannot be listed."],
  offload_incomplete: ["corrupt", "Not every file could be copied, or removed after it was copied."],
  offload_timeout: ["cancelled", "The offload was not over in the time given to it."],
  copy_mismatch: ["corrupt", "What was read back from the target is not what was copied."],
  target_occupied: ["conflict", "The target has something else at the file's place, or can have nothing there."],
  entry_unreadable: ["invalid", "Something in the store cannot be read."],
  content_malformed: ["corrupt", "The file is damaged, ends early or breaks the rules of its format."],
  content_encrypted: ["corrupt", "The file, or a part of it, can be read only with its password."],
  content_textless: ["corrupt", "The document holds no text: it is empty, or only pictures of pages."],
  extraction_failed: ["corrupt", "The extractor gave no record of the file."],
  query_invalid: ["invalid", "The search query cannot be understood."],
  search_unavailable: ["unavailable", "The search index does not answer."],
  search_refused: ["invalid", "The search engine does not take a document."],
  saved_query_unknown: ["not_found", "No saved query with this id is known."],
  saved_query_exists: ["conflict", "A saved query of this name exists already."],
  // Schedules
  crontab_invalid: ["invalid", "The crontab, or the times of a schedule, are not such as cron reads."],
  time_zone_unknown: ["invalid", "There is no time zone of this name."],
  schedule_unknown: ["not_found", "No schedule with this id is known."],
  schedule_exists: ["conflict", "A schedule of this name exists already."],
  schedule_invalid: ["invalid", "The schedule cannot be kept as it is."],
  schedule_state_conflict: ["conflict", "The schedule's state does not allow this."],
  user_refused: ["forbidden", "The server cannot run commands as this user."],
  run_unknown: ["not_found", "No run with this number is known."],
  run_output_gone: ["gone", "The output of this run is not kept, or not any more."],
  run_failed: ["corrupt", "What the schedule runs has failed."],
  run_timed_out: ["cancelled", "The run was not over in the time given to it, and was ended."],
  run_lost: ["corrupt", "The process that worked on the run ended before it; it is not run a second time."],
  // Environment
  environment_invalid: ["invalid", "The named value cannot be set."],
  environment_missing: ["invalid", "Variables that are needed are not set."],
  environment_unknown: ["not_found", "There is nothing set under this name."],
  secret_unreadable: ["invalid", "Secrets were sealed under another key than the server's: set them again."],
  // Registers
  register_unknown: ["not_found", "No register of this name is declared."],
  register_invalid: ["invalid", "The declaration of the register is not valid."],
  register_fixed: ["conflict", "The register is declared by a file of the server, and changes there."],
  register_contradicted: ["conflict", "Entries that are there contradict the declaration."],
  register_in_use: ["conflict", "The register has entries, and stays."],
  entry_unknown: ["not_found", "No entry with this id is in the register."],
  entry_invalid: ["corrupt", "The entry is not as its register declares."],
  entry_exists: ["conflict", "Another entry has the same values where no two may."],
  entry_conflict: ["conflict", "The entry is not as the change expects, or its status does not allow it."],
  entry_refused: ["forbidden", "The register does not allow this caller to do so."],
  action_failed: ["corrupt", "The action did not come to what it was meant to."],
  // Documents
  document_index_unknown: ["not_found", "There is no index of documents of this name."],
  document_index_exists: ["conflict", "There is an index of documents of this name already."],
  document_index_invalid: ["invalid", "An index of documents cannot have this name, or these fields."],
  document_index_read_only: ["forbidden", "The index shows what is kept elsewhere, and is not changed by documents."],
  document_unknown: ["not_found", "No document with this id is in the index."],
  document_conflict: ["conflict", "The document is there already, or has changed since it was read."],
  document_invalid: ["invalid", "The document does not fit the fields of its index."],
  document_query_invalid: ["invalid", "This cannot be asked of the documents."],
  // Requests
  request_invalid: ["invalid", "The request does not have the expected form."],
  route_unknown: ["not_found", "There is nothing at this address."],
  method_not_allowed: ["invalid", "This address does not answer to this method."],
  media_type_unsupported: ["unsupported", "The body's media type is not one this address reads."],
  body_too_large: ["too_large", "The body is larger than this address accepts."],
  precondition_failed: ["conflict", "The file is not the one the request's conditions name."],
  range_not_satisfiable: ["invalid", "The range asked for is outside the file."],
  rate_limited: ["limited", "These are too many requests in too short a time."],
  token_missing: ["unauthorized", "A bearer token is required."],
  token_invalid: ["unauthorized", "The bearer token is unknown, expired or revoked."],
  token_unknown: ["not_found", "No token with this id is known."],
  scope_missing: ["forbidden", "The token does not carry the scope this needs."],
  form_stale: ["forbidden", "This form is no longer valid: load the page again, then send it."],
  sign_in_stale: ["invalid", "This sign-in was begun elsewhere, or too long ago, or is over already."],
  sign_in_refused: ["forbidden", "Nobody is signed in by what the identity provider has answered."],
  origin_refused: ["forbidden", "A web page of another site may not use a server that is open without tokens."],
  // Drop folders
  drop_unknown: ["not_found", "No drop folder of this name is declared."],
  drop_invalid: ["invalid", "The declaration of the drop folder is not valid."],
  drop_fixed: ["conflict", "The drop folder is declared by a file of the server, and changes there."],
  drop_unreadable: ["unavailable", "The drop folder, or its quarantine, cannot be used."],
  delivery_unknown: ["not_found", "No delivery with this id is known."],
  delivery_state_conflict: ["conflict", "The delivery's state does not allow this."],
  delivery_incomplete: ["corrupt", "A file that the delivery lists is not there."],
  delivery_unlisted: ["corrupt", "A file of the delivery has no checksum, and must have one."],
  delivery_mismatch: ["corrupt", "A file of the delivery is not what its checksum says."],
  checksums_invalid: ["corrupt", "A list of checksums cannot be read."],
  bag_invalid: ["corrupt", "The bag is not such as BagIt (RFC 8493) describes."],
  removal_refused: ["forbidden", "Files stay where they lie: not everything says that they may be removed."],
  // Operation
  paused: ["unavailable", "This part of Longshore is paused for the moment."],
  config_invalid: ["invalid", "The configuration is not valid."],
  driver_missing: ["invalid", "A driver that this setting needs is not installed."],
  secret_key_differs: ["invalid", "This node has another secret key than those it shares a database with."],
  credentials_required: ["invalid", "A server that is reachable from other machines needs credentials."],
  database_unavailable: ["unavailable", "The database does not answer."],
  database_damaged: ["corrupt", "The database file is damaged, or is none."],
  database_in_use: ["conflict", "Another process has this database open."],
  database_newer: ["invalid", "The database was made by a newer Longshore; this one cannot read it."],
  database_older: [
    "conflict",
    "The database was made by an older Longshore: `longshore migrate` brings it up to date.",
  ],
  database_not_empty: ["conflict", "The database to copy into holds something already."],
  database_copy_differs: ["corrupt", "The copy of the database does not hold what the database holds."],
  remote_unavailable: ["unavailable", "A remote service does not answer."],
  remote_refused: ["corrupt", "A remote service refused or answered in an unexpected form."],
  remote_too_large: ["corrupt", "The answer of a remote service is larger than there is room for."],
  server_unavailable: ["unavailable", "The Longshore server does not answer."],
  local_file_unusable: ["invalid", "A file on this machine cannot be read, written or sent."],
  local_file_changed: ["conflict", "A file changed while it was being sent."],
  usage: ["invalid", "The command line is not one Longshore understands."],
  audit_broken: ["corrupt", "The audit log is not as it was written."],
  doctor_failed: ["invalid", "At least one check failed."],
  internal: ["internal", "Something failed inside Longshore; the log has the cause under this request id."],
} as const satisfies Record<string, readonly [Kind, string]>;
export type Code = keyof typeof CODES;

export type DetailValue =
  | string
  | number
  | boolean
  | null
  | readonly DetailValue[]
  | { readonly [key: string]: DetailValue };
export type Details = Readonly<Record<string, DetailValue>>;

/** One thing wrong with a file inside a bundle, crawl or verification: a record, not an exception. */
export interface Problem {
  readonly code: Code;
  /** The member, file or archive path it is about. */
  readonly path?: string;
  readonly expected?: string | number;
  readonly found?: string | number;
  readonly message: string;
}

/** The sentence of a problem: the code's own, then what it is about. */
export function problem(
  code: Code,
  about: Omit<Problem, "code" | "message"> & { readonly hint?: string } = {},
): Problem {
  const { hint, ...facts } = about;
  return { code, ...facts, message: sentence(code, { ...facts, ...(hint === undefined ? {} : { hint }) }) };
}

/** The only error class that crosses a port. Anything else that is thrown is a defect and becomes `internal`. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: Code;
  /** JSON-safe; never holds secrets or paths outside the data folder. */
  readonly details: Details;

  constructor(code: Code, details: Details = {}, options?: ErrorOptions) {
    super(sentence(code, details), options);
    this.code = code;
    this.details = details;
  }
  get kind(): Kind {
    return CODES[this.code][0];
  }
  get retryable(): boolean {
    return KINDS[this.kind].retry;
  }
}

/** An error as it is kept on a job and sent over the wire. */
export interface ErrorRecord {
  readonly code: Code;
  readonly message: string;
  readonly details: Details;
}

/** The record of any thrown value: an `AppError` as it is, everything else as `internal` without its text. */
export function errorRecord(error: unknown): ErrorRecord {
  const known = error instanceof AppError ? error : new AppError("internal", {}, { cause: error });
  return { code: known.code, message: known.message, details: known.details };
}

/** "Sentence. expected: a; found: b; path: c." Lists are left to the details: a sentence stays readable. */
function sentence(code: Code, details: Details): string {
  const facts = Object.entries(details)
    .filter(([, value]) => value !== undefined && value !== null && typeof value !== "object")
    .map(([key, value]) => `${key}: ${String(value)}`);
  return facts.length === 0 ? CODES[code][1] : `${CODES[code][1]} (${facts.join("; ")})`;
}
