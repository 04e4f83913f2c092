import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { SCOPES } from "../../../core/access/access-stores.ts";
import type { TokenInfo } from "../../../core/access/tokens.ts";
import { isoTime } from "../../../core/clock.ts";
import { tokenId } from "../../../core/ids.ts";
import { NewTokenBody } from "../../../http/api/tokens.ts";
import { type Control, type FormField, formRow, type Typed } from "../../form-field.ts";
import { timeOf } from "../../formats.ts";
import { type Html, html, type Part } from "../../html.ts";
import { badge, facts, formField, type Reader, table } from "../../layout.ts";
import type { PageContext } from "../../page-context.ts";
import { FormBody, formOf, problemsIn } from "../form-body.ts";
import { showPart } from "./frame.ts";

const PAGE = 100;
const DAY_MS = 86_400_000;
const LASTS_DAYS = [1, 7, 30, 90, 365];

/** What a new token begins with. */
const NEW: Typed = { days: "90" };

/** What is wrong with the form, by the names of the API's body. */
type TokenProblems = Readonly<Partial<Record<keyof z.output<typeof NewTokenBody>, string>>>;

interface TokensPage {
  readonly from?: number;
  readonly typed?: Typed;
  readonly problems?: TokenProblems;
}

const ListQuery = z.object({ from: z.coerce.number().int().nonnegative().default(0) });
const TokenParams = z.object({ id: z.string().max(64).transform(tokenId) });

/** Who may do what by which token. */
export const tokenPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, clock, link, readerOf, tokens } = context;
    const back = link("/operations/tokens");

    app.get(
      "/operations/tokens",
      { config: { scope: "admin" }, schema: { querystring: ListQuery } },
      async (request, reply) => showTokens(request, reply, { from: request.query.from }),
    );

    /** The tokens, and below them the form to make one. */
    async function showTokens(
      request: FastifyRequest,
      reply: FastifyReply,
      { from = 0, typed = NEW, problems = {} }: TokensPage,
    ): Promise<FastifyReply> {
      const reader = readerOf(request);
      const { say } = reader;
      const now = clock.now();
      // Those that are valid first, as the list has them otherwise.
      const found = (await tokens.list()).toSorted((a, b) => Number(hasEnded(a, now)) - Number(hasEnded(b, now)));
      const rows = found.slice(from, from + PAGE).map((token) => tokenRow(reader, token, now));
      const list = rows.length === 0 ? html`<p class="soft">${say("tokens.none")}</p>` : tokenTable(reader, rows);
      const isRefused = Object.keys(problems).length > 0;
      const body = html`${isRefused && html`<p class="notice" role="alert">${say("tokens.refused")}</p>`}
${request.principal.via === "local" && html`<p class="notice">${say("tokens.closes")}</p>`}
${list}
<p class="actions">${from > 0 && html`<a href="${back}">${say("operations.first")}</a>`}
${found.length > from + PAGE && html`<a href="${back}?from=${from + PAGE}">${say("operations.more")}</a>`}</p>
${newForm(reader, typed, problems)}`;
      return showPart(context, request, reply, "/operations/tokens", body);
    }

    const tokenForm = formOf(NewTokenBody, ({ owner, days, rateLimit, ...sent }) => ({
      owner,
      scopes: SCOPES.filter((scope) => sent[`scope-${scope}`] === "on"),
      ...(days !== undefined && { expiresAt: expiryOf(Number(days)) }),
      ...(rateLimit !== undefined && { rateLimit }),
    }));
    const expiryOf = (days: number) => (LASTS_DAYS.includes(days) ? isoTime(clock.now() + days * DAY_MS) : "");

    // Answered with the token itself and not by leading on to it: no address may hold it.
    app.post(
      "/operations/tokens",
      { config: { scope: "admin", isForm: true }, schema: { body: FormBody } },
      async (request, reply) => {
        const { principal, body: typed } = request;
        const { say } = readerOf(request);
        const { data: body, error } = tokenForm.safeParse(typed);
        if (error) {
          const sentences = {
            owner: say("tokens.wrongOwner"),
            scopes: say("tokens.wrongScopes"),
            expiresAt: say("tokens.wrongDays"),
            rateLimit: say("tokens.wrongRateLimit"),
          };
          return showTokens(request, reply.code(400), { typed, problems: problemsIn(error, sentences) });
        }
        const expiresAt = body.expiresAt === null ? null : Date.parse(body.expiresAt);
        const { token, text } = await tokens.create({ ...body, expiresAt });
        const { id, owner, scopes, rateLimit } = token;
        await audit.record(principal.name, "token.create", `token/${id}`, {
          owner,
          scopes,
          expiresAt: body.expiresAt,
          rateLimit,
        });
        const shown = html`<p>${say("tokens.keep", { owner })}</p>
<div class="copyable"><pre tabindex="0" data-copy="${say("copy.copy")}" data-copied="${say("copy.copied")}">${text}</pre></div>
${facts([
  [say("tokens.owner"), owner],
  [say("tokens.scopes"), scopes.join(", ")],
  [say("tokens.expires"), expiresAt === null ? say("tokens.expiresNever") : timeOf(expiresAt)],
  [say("tokens.rateLimit"), rateLimit],
])}
<p><a href="${back}">${say("tokens.back")}</a></p>`;
        return showPart(context, request, reply, "/operations/tokens", shown, {
          title: say("tokens.made"),
          scripts: ["copy.js"],
        });
      },
    );

    app.post(
      "/operations/tokens/:id/revoke",
      { config: { scope: "admin", isForm: true }, schema: { params: TokenParams } },
      async ({ principal, params: { id } }, reply) => {
        await tokens.revoke(id);
        await audit.record(principal.name, "token.revoke", `token/${id}`);
        return reply.redirect(back, 303);
      },
    );
  };

const hasExpired = ({ expiresAt }: TokenInfo, now: number) => expiresAt !== null && expiresAt <= now;
const hasEnded = (token: TokenInfo, now: number) => token.revokedAt !== null || hasExpired(token, now);

function tokenTable({ say }: Reader, rows: readonly (readonly Part[])[]): Html {
  const heads = [
    say("tokens.owner"),
    say("tokens.scopes"),
    say("tokens.state"),
    say("tokens.created"),
    say("tokens.expires"),
    say("tokens.used"),
    say("tokens.rateLimit"),
    say("tokens.revoke"),
  ];
  return table(say("operations.tokens"), heads, rows);
}

function tokenRow(reader: Reader, token: TokenInfo, now: number): readonly Part[] {
  const { say, link, formToken } = reader;
  const { id, owner, scopes, createdAt, expiresAt, revokedAt, lastUsedAt, rateLimit } = token;
  const state =
    revokedAt !== null
      ? html`${badge("plain", say("tokens.revoked"))} ${timeOf(revokedAt)}`
      : hasExpired(token, now)
        ? badge("plain", say("tokens.expired"))
        : badge("good", say("tokens.valid"));
  const revoke = html`<form method="post" action="${link(`/operations/tokens/${id}/revoke`)}">${formField(formToken)}
<button class="danger" aria-label="${say("tokens.revokeOf", { id, owner })}">${say("tokens.revoke")}</button></form>`;
  return [
    html`${owner}<div class="soft"><code>${id}</code></div>`,
    scopes.join(", "),
    state,
    timeOf(createdAt),
    expiresAt === null ? say("tokens.expiresNever") : timeOf(expiresAt),
    lastUsedAt !== null && timeOf(lastUsedAt),
    rateLimit,
    !hasEnded(token, now) && revoke,
  ];
}

function newForm(reader: Reader, typed: Typed, problems: TokenProblems): Html {
  const { say, link, formToken } = reader;
  const days = LASTS_DAYS.map((count) => [String(count), say("tokens.days", { count })] as const);
  const lasts: Control = { kind: "choice", choices: [...days, ["", say("tokens.forEver")]] };
  const owner: FormField = {
    name: "owner",
    label: say("tokens.owner"),
    isRequired: true,
    control: { kind: "input", maxLength: 255 },
  };
  const rateLimit: FormField = {
    name: "rateLimit",
    label: say("tokens.rateLimit"),
    hint: say("tokens.rateLimitHint"),
    control: { kind: "input", maxLength: 200, isCode: true },
  };
  return html`<h2>${say("tokens.new")}</h2>
<form class="fields" method="post" action="${link("/operations/tokens")}" autocomplete="off">${formField(formToken)}
<fieldset class="choices"${problems.scopes !== undefined && html` aria-describedby="scopes-problem"`}><legend>${say("tokens.scopes")}</legend>${SCOPES.map(
    (scope) =>
      html`<label><input type="checkbox" name="scope-${scope}" value="on"${typed[`scope-${scope}`] === "on" && html` checked`}> <span>${say(`scope.${scope}`)}</span></label>`,
  )}${problems.scopes !== undefined && html`<p class="problem" id="scopes-problem">${problems.scopes}</p>`}</fieldset>
${formRow(reader, owner, typed, problems.owner)}
${formRow(reader, { name: "days", label: say("tokens.lasts"), control: lasts }, typed, problems.expiresAt)}
${formRow(reader, rateLimit, typed, problems.rateLimit)}
<p class="actions"><button>${say("tokens.make")}</button></p>
</form>`;
}
