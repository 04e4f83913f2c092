import { AppError } from "../errors.ts";

const MAX_LENGTH = 254; // RFC 5321 §4.5.3.1.3, with the erratum
/** Atoms of RFC 5322 §3.2.3 and of RFC 6532; a domain of labels, or an address literal. No quoted local parts, no comments. */
const ADDRESS =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+)*@(?:[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?)*|\[[0-9A-Fa-f:.]+\])$/u;

/** Whether a text is one mail address and nothing else: no list, no name, no line end, no header. */
export function isMailAddress(text: string): boolean {
  return text.length <= MAX_LENGTH && ADDRESS.test(text);
}

/** @throws AppError mail_refused. */
export function requireMailAddress(text: string): void {
  if (!isMailAddress(text)) throw new AppError("mail_refused", { expected: "one mail address" });
}
