import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { JobId } from "../ids.ts";
import type { NewJob } from "../jobs/job-store.ts";
import { isMailAddress } from "../notify/address.ts";
import { MAIL_CHANNEL } from "../notify/notices.ts";
import { type Declaration, statusOf } from "./declaration.ts";
import type { Entry } from "./entry.ts";
import { filledText } from "./places.ts";

/** What jobs of registers are: their input is `{ register, status, entry }`. */
export const REGISTER_JOB = "register-action";

/** Whose doing it is when nobody has asked for it. */
export const ITSELF = "longshore";

/** What comes with being in a status: its action's job, its end, and what is told. */
export interface Arrival {
  readonly job: NewJob | null;
  readonly dueAt: number | null;
  tell(entry: Entry): readonly OutboxMessage[];
}

export interface ArrivalParts {
  readonly mailFrom: string;
  readonly nextJobId: () => Promise<JobId>;
}

/** @param about who the job belongs to, and the entry's id as far as it has one. */
export async function arrivalAt(
  parts: ArrivalParts,
  declaration: Declaration,
  name: string,
  about: { readonly owner: string; readonly entry?: number },
  now: number,
): Promise<Arrival> {
  const status = statusOf(declaration, name);
  const { owner, entry } = about;
  return {
    job: status?.action
      ? {
          id: await parts.nextJobId(),
          kind: REGISTER_JOB,
          lane: "slow",
          owner,
          input: { register: declaration.name, status: name, ...(entry !== undefined && { entry }) },
          idempotencyKey: null,
          fedUntil: null,
          now,
        }
      : null,
    dueAt: dueAt(declaration, name, now),
    tell: (arrived) => mails(declaration, name, arrived, parts.mailFrom),
  };
}

/** When an entry that comes to a status now leaves it by itself, or is removed. */
export function dueAt(declaration: Declaration, name: string, now: number): number | null {
  const { expires, keep } = statusOf(declaration, name) ?? {};
  const after = expires?.after ?? keep;
  return after === undefined ? null : now + after;
}

/** An address that is none is told nothing: the status shows what the mail would have said. */
export function mails(declaration: Declaration, name: string, entry: Entry, from: string): readonly OutboxMessage[] {
  const mail = statusOf(declaration, name)?.mail;
  if (!mail) return [];
  const to = filledText(mail.to, entry);
  if (!isMailAddress(to)) return [];
  return [
    {
      key: `${MAIL_CHANNEL}:register:${entry.register}:${entry.id}:${entry.version}`,
      channel: MAIL_CHANNEL,
      target: to,
      payload: { from, subject: filledText(mail.subject, entry), text: filledText(mail.text, entry) },
    },
  ];
}
