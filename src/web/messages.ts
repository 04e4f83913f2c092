import { CARTS } from "./messages/carts.ts";
import { CRAWLS } from "./messages/crawls.ts";
import { DEPOSIT } from "./messages/deposit.ts";
import { MAP } from "./messages/map.ts";
import { OPERATIONS } from "./messages/operations.ts";
import { PACKAGES } from "./messages/packages.ts";
import { RECORDS } from "./messages/records.ts";
import { REGISTERS } from "./messages/registers.ts";
import { SAVED_QUERIES } from "./messages/saved-queries.ts";
import { SCHEDULES } from "./messages/schedules.ts";
import { SIGN_IN } from "./messages/sign-in.ts";
import { STRUCTURE } from "./messages/structure.ts";
import { TIMELINE } from "./messages/timeline.ts";

/**
 * Every sentence of the pages, by name. Another language is another object of this type, and a choice in `messagesFor`.
 * What is between braces is filled in.
 */
export const ENGLISH = {
  "site.name": "Longshore",
  "site.skip": "Skip to content",
  "site.navigation": "Main",
  "site.signedInAs": "Signed in as {name}",
  "site.openServer": "Open to this machine",
  "site.signIn": "Sign in",
  "site.signOut": "Sign out",
  "site.version": "Longshore {version}",
  "site.api": "API",
  "nav.home": "Home",
  "nav.jobs": "Jobs",
  "nav.archive": "Archive",
  "nav.search": "Search",

  ...SIGN_IN,

  "home.title": "Home",
  "home.attention": "Needs attention",
  "home.allWell": "Nothing needs attention.",
  "home.running": "Running and waiting",
  "home.idle": "Nothing is running.",
  "home.recent": "Recent deposits",
  "home.none": "Nothing has been deposited yet.",
  "home.holdings": "Holdings",
  "home.transactions": "Transactions",
  "home.files": "Files",
  "home.bytes": "Size",
  "home.failedJobs": "Jobs that failed in the last week: {count}.",
  "home.fixity": "{count} transactions were not as they should be when they were last checked.",
  "home.silent": "The schedule {name} has not run for longer than it may.",
  "home.lastRunFailed": "The last run of the schedule {name} has failed.",
  "home.disk": "Only {size} are free where work is kept.",

  "jobs.title": "Jobs",
  "jobs.filter": "Show",
  "jobs.state": "State",
  "jobs.kind": "Kind",
  "jobs.owner": "Owner",
  "jobs.any": "any",
  "jobs.none": "There is no such job.",
  "jobs.id": "Job",
  "jobs.progress": "Progress",
  "jobs.created": "Begun",
  "jobs.duration": "Took",
  "jobs.newer": "Newest",
  "jobs.older": "Older",
  "job.title": "Job {id}",
  "job.tasks": "Tasks",
  "job.task": "Task",
  "job.done": "Done",
  "job.history": "History",
  "job.result": "Result",
  "job.warnings": "Warnings",
  "job.error": "What went wrong",
  "job.cancel": "Cancel",
  "job.retry": "Retry",
  "job.cancelling": "It was asked to stop.",
  "job.attempts": "Attempts",
  "job.transaction": "The transaction it made",
  "state.queued": "queued",
  "state.running": "running",
  "state.succeeded": "succeeded",
  "state.failed": "failed",
  "state.cancelled": "cancelled",

  "archive.title": "Archive",
  "archive.none": "There are no transactions yet.",
  "archive.transaction": "Transaction",
  "archive.project": "Project",
  "archive.submitter": "Submitter",
  "archive.instrument": "Instrument",
  "archive.files": "Files",
  "archive.size": "Size",
  "archive.deposited": "Deposited",
  "transaction.title": "Transaction {id}",
  "transaction.metadata": "Metadata",
  "transaction.folder": "Folder",
  "transaction.name": "Name",
  "transaction.more": "More files",
  "transaction.inventory": "Digest of the inventory",
  "transaction.job": "Ingested by job",
  "transaction.noKeyValues": "It has no further metadata.",
  "file.preview": "Preview",
  "file.noPreview": "There is no preview of this kind of file.",
  "file.notDescribed":
    "What scientific data, tables and workbooks are made of is shown when a crawl of the archive has described them.",
  "file.openAlone": "Open it alone",
  "file.tooLarge": "The preview shows the first {size}.",
  "file.download": "Download",
  "file.facts": "Facts",
  "file.path": "Path",
  "file.size": "Size",
  "file.modified": "Modified",
  "file.mediaType": "Media type",

  "search.title": "Search",
  "search.query": "What to look for",
  "search.hint":
    'Words, "a phrase", begin*; extension:csv project:1234a type:image width:>1000 created:2026-01..2026-06; OR, -not',
  "search.submit": "Search",
  "search.found": "{count} found",
  "search.foundAtLeast": "At least {count} found",
  "search.none": "Nothing was found.",
  "search.more": "More",
  "search.narrow": "Narrow down",

  ...DEPOSIT,

  ...OPERATIONS,

  ...RECORDS,

  ...MAP,

  ...STRUCTURE,

  ...TIMELINE,

  ...SAVED_QUERIES,

  ...REGISTERS,

  ...SCHEDULES,

  ...CARTS,

  ...CRAWLS,

  ...PACKAGES,

  "form.required": "required",
  "form.sure": "Yes, remove it",
  "problem.title": "That did not work",
  "problem.code": "Code",
  "problem.request": "Request",
  "problem.home": "Go to the beginning",
} as const;

export type MessageName = keyof typeof ENGLISH;
export type Messages = Readonly<Record<MessageName, string>>;

/** A sentence of the reader's language. */
export type Say = (name: MessageName, values?: Readonly<Record<string, string | number>>) => string;

/** @param languages as a browser prefers them: the `Accept-Language` field. There is English so far. */
export function messagesFor(_languages: string | undefined): { readonly language: string; readonly say: Say } {
  return { language: "en", say: sayer(ENGLISH) };
}

export function sayer(messages: Messages): Say {
  return (name, values = {}) =>
    messages[name].replaceAll(/\{(\w+)\}/g, (place, key: string) => String(values[key] ?? place));
}
