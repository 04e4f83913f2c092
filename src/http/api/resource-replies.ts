import type { FastifyReply } from "fastify";
import { AppError, type DetailValue } from "../../core/errors.ts";
import { NOT_GIVEN } from "../../core/registers/declaration.ts";
import type { Legacy } from "../../core/registers/declaration-form.ts";

/** What the older API answered to, in the order in which it said so. */
export const LEGACY_METHODS = "HEAD, POST, GET, OPTIONS, DELETE";

/** JSON as Flask writes it for people: keys in order, two spaces, ASCII alone, and a line end. */
export function sortedJson(value: DetailValue): string {
  return `${asciiOnly(JSON.stringify(sorted(value), null, 2))}\n`;
}

/** The same of a list, an item at a time. */
export async function* sortedJsonList(items: AsyncIterable<DetailValue>): AsyncGenerator<string> {
  let isFirst = true;
  for await (const item of items) {
    const text = asciiOnly(JSON.stringify(sorted(item), null, 2)).replaceAll("\n", "\n  ");
    yield `${isFirst ? "[" : ","}\n  ${text}`;
    isFirst = false;
  }
  yield isFirst ? "[]\n" : "\n]\n";
}

function sorted(value: DetailValue): DetailValue {
  if (typeof value !== "object" || value === null) return value;
  if (isList(value)) return value.map(sorted);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]));
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(value: DetailValue): value is readonly DetailValue[] {
  return Array.isArray(value);
}

function asciiOnly(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const PAGES = {
  400: ["Bad Request", "The browser (or proxy) sent a request that this server could not understand."],
  405: ["Method Not Allowed", "The method is not allowed for the requested URL."],
} as const;

export function legacyPage(status: 400 | 404 | 405): string {
  if (status === 404) return "<h1>404</h1><p>The resource could not be found.</p>";
  const [title, sentence] = PAGES[status];
  return `<!doctype html>\n<html lang=en>\n<title>${status} ${title}</title>\n<h1>${title}</h1>\n<p>${sentence}</p>\n`;
}

/** The answer of the older API to what went wrong; `undefined` for what it did not know. */
export function legacyFault(reply: FastifyReply, legacy: Legacy, error: unknown): FastifyReply | undefined {
  if (!(error instanceof AppError)) return undefined;
  const { code, details, message } = error;
  const json = (status: number, body: DetailValue) =>
    reply
      .code(status)
      .type("application/json")
      .send(Buffer.from(sortedJson(body)));
  if (code === "entry_unknown") return json(404, { message: legacy.unmatched });
  if (code === "request_invalid" && details.expected === "JSON")
    return reply.code(400).type("text/html; charset=utf-8").send(legacyPage(400));
  if (code === "request_invalid") return json(400, { error: String(details.expected) });
  if (code === "entry_invalid") return json(400, { error: isMissing(details.problems) ? legacy.missing : message });
  return undefined;
}

/** Without problems, there were no fields at all. */
function isMissing(problems: DetailValue | undefined): boolean {
  return !Array.isArray(problems) || problems.some(({ message }) => message === NOT_GIVEN);
}
