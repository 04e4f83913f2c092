import { z } from "zod";
import { SCOPES } from "../access/access-stores.ts";
import { duration } from "./durations.ts";

/** The shape of a declaration: docs/formats/register.md says what it means. What depends on other parts of it: `declaration.ts`. */

/** `owner`: who made the entry. `anyone`: whoever may call at all. Nobody in a list: Longshore itself alone. */
const WHO = [...SCOPES, "owner", "anyone"] as const;
export type Who = (typeof WHO)[number];
const Who = z.enum(WHO);

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const name = z.string().regex(NAME, "expected letters, digits and _, at most 63, not beginning with a digit");
const line = z
  .string()
  .min(1)
  .max(200)
  .regex(/^\P{C}*$/u, "expected one line of text");
const text = z.string().min(1).max(10_000);
/** Text with places, such as `{fname}`. */
const template = z.string().min(1).max(4_096);

const Field = z.looseObject({
  label: line.exactOptional(),
  /** Of a date: how old it may be when the entry is made. */
  age: z.strictObject({ least: duration.exactOptional(), most: duration.exactOptional() }).exactOptional(),
});

/** What every action has. */
const ACTION = {
  /** The status while it is being done; the status that it is the action of, when left out. */
  during: line.exactOptional(),
  success: line,
  failure: line,
  cancelled: line.exactOptional(),
  attempts: z.int().min(1).max(100).default(3),
  backOff: duration.prefault("1m"),
  /** Not begun before this long after the date that a field has. */
  notBefore: z.strictObject({ field: name, plus: duration }).exactOptional(),
  /** Done only when each of these fields has one of these values; else the entry goes on to `otherwise` at once. */
  when: z.record(name, z.array(z.unknown()).min(1)).exactOptional(),
  otherwise: line.exactOptional(),
};

const Cart = z.strictObject({
  ...ACTION,
  do: z.literal("cart"),
  /** Id of an archived file, or its name: the end of its path. */
  file: template,
  /** Whose files: those the owner may see, or all. */
  reach: z.enum(["own", "everything"]).default("own"),
  deliver: z.union([z.strictObject({ folder: template }), z.strictObject({ mail: template })]),
});
const Ingest = z.strictObject({
  ...ACTION,
  do: z.literal("ingest"),
  folder: template,
  /** No file may have changed for this long. */
  quiet: duration.prefault("10m"),
  submitter: template.exactOptional(),
  project: template.exactOptional(),
  instrument: template.exactOptional(),
  keys: z.record(z.string().min(1), template).default({}),
});
const Command = z.strictObject({
  ...ACTION,
  do: z.literal("command"),
  /** Program and arguments: no shell sees them. */
  command: z.array(template).min(1).max(200),
  folder: template,
  /** Below `folder`: what the command reads, and what it must have made. */
  input: template.exactOptional(),
  output: template.exactOptional(),
  /** Run afterwards; says by its exit code whether the output is good. */
  check: z.array(template).min(1).max(200).exactOptional(),
  removeInput: z.boolean().default(false),
  /** Where the entry goes when the program is not on this machine; a failure when left out. */
  missing: line.exactOptional(),
  timeLimit: duration.prefault("1h"),
  /** Variables of the environment that it is given. */
  environment: z.array(z.string().regex(/^[A-Z_][A-Z0-9_]*$/)).default([]),
});
const Webhook = z.strictObject({ ...ACTION, do: z.literal("webhook"), url: z.url() });

const Action = z.discriminatedUnion("do", [Cart, Ingest, Command, Webhook]);
export type Action = z.output<typeof Action>;

const Status = z.strictObject({
  /** By the next status: who may say so. */
  next: z.record(line, z.array(Who)).default({}),
  action: Action.exactOptional(),
  expires: z.strictObject({ after: duration, to: line }).exactOptional(),
  /** The entry is removed this long after it came to this status. */
  keep: duration.exactOptional(),
  mail: z.strictObject({ to: template, subject: template, text }).exactOptional(),
});
export type Status = z.output<typeof Status>;

/** What the address `/api/v1/resources/<name>` says where it must be word for word what an older API said. */
const Legacy = z.strictObject({
  /** HTML of the address with a slash at its end. */
  home: z.string(),
  added: line,
  missing: line,
  deleted: line,
  unmatched: line,
  undeletable: line,
  /** Sets of fields that a request to delete may name. */
  deleteBy: z.array(z.array(name).min(1)).min(1),
});
export type Legacy = z.output<typeof Legacy>;

export const DECLARATION = z.strictObject({
  $comment: z.string().exactOptional(),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "expected small letters, digits and -, at most 63"),
  title: line,
  /** JSON Schema of each field. */
  fields: z.record(name, Field),
  required: z.array(name).default([]),
  /** Other names of fields. */
  aliases: z.record(name, name).default({}),
  /** Fields of which no two entries have all the same values. */
  unique: z.array(z.array(name).min(1)).default([]),
  statuses: z.record(line, Status),
  initial: line,
  permissions: z
    .strictObject({
      create: z.array(Who).default(["deposit"]),
      read: z.array(Who).default(["owner", "operate"]),
      change: z.array(Who).default(["owner", "operate"]),
      remove: z.array(Who).default(["operate"]),
    })
    .prefault({}),
  sqliteView: z.union([name, z.strictObject({ name, columns: z.array(name).min(1) })]).exactOptional(),
  legacy: Legacy.exactOptional(),
});
export type DeclarationForm = z.output<typeof DECLARATION>;
