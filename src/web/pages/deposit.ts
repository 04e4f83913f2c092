import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Transaction } from "../../core/catalogue/catalogue-store.ts";
import type { DescribedField, PolicyAsks } from "../../core/ingest/policy/policy.ts";
import { wholeAddress } from "../addresses.ts";
import { type Html, html } from "../html.ts";
import type { Reader } from "../layout.ts";
import { DEPOSIT } from "../messages/deposit.ts";
import type { MessageName } from "../messages.ts";
import type { PageContext } from "../page-context.ts";

/** The browser's script computes this one. */
const DIGEST = "sha256";
/** Of so many of their last transactions, people are offered the values again. */
const RECENT = 50;
const FIELDS = ["submitter", "project", "instrument"] as const satisfies readonly DescribedField[];
const NOTHING: PolicyAsks = { fields: [], keys: [], choices: {} };

/** The form for depositing files from a browser, and how to do it from a terminal. */
export const depositRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { catalogue, policy, show, readerOf } = context;

    app.get("/deposit", { config: { scope: "deposit" } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal } = request;
      const asks = policy.asks ?? NOTHING;
      const recent = await catalogue.listTransactions({ owner: principal.name, limit: RECENT });
      const canHash = asks.digests?.includes(DIGEST) ?? true;
      const server = wholeAddress(context, request, "");
      return show(request, reply, {
        title: say("deposit.title"),
        path: "/deposit",
        scripts: canHash ? ["deposit.js"] : [],
        body: html`<noscript><p class="notice">${say("deposit.noScript")}</p></noscript>
${canHash ? form(reader, principal.name, asks, recent) : html`<p class="notice">${say("deposit.digestRefused")}</p>`}
<section><h2>${say("deposit.terminal")}</h2>
<pre tabindex="0">LONGSHORE_URL=${server} longshore put run-17/${FIELDS.map((field) => asks.fields.includes(field) && ` --${field} ID`)}${asks.keys.map((key) => ` --kv '${key}=…'`)}</pre>
<p class="hint">${say("deposit.cliHint")}</p>
<p>${say("deposit.curlHint")}</p>
<pre tabindex="0">curl ${principal.via !== "local" && '-H "Authorization: Bearer $LONGSHORE_TOKEN" '}-H 'Content-Type: application/x-tar' -T bundle.tar -X POST ${server}/api/v1/bundles</pre></section>`,
      });
    });
  };

/** Its script shows it: without, nothing could be sent. */
function form(reader: Reader, owner: string, asks: PolicyAsks, recent: readonly Transaction[]): Html {
  const { say, link } = reader;
  return html`<section data-part="unfinished" hidden><h2>${say("deposit.unfinished")}</h2><ul class="hits" data-part="unfinishedItems"></ul></section>
<form data-part="form" data-owner="${owner}" data-receipts="${link("/deposits/")}" data-words="${scriptWords(reader)}" hidden>
<fieldset><legend>${say("deposit.description")}</legend>
<div class="described">${FIELDS.map((field) => describedField(reader, field, asks, recent))}</div></fieldset>
<fieldset><legend>${say("deposit.keyValues")}</legend>
${asks.keys.map(
  (key) =>
    html`<div class="described" data-key="${key}"><label>${key}<input name="value" required autocomplete="off"></label></div>`,
)}
<div class="described" data-key=""><label>${say("deposit.key")}<input name="key" autocomplete="off"></label>
<label>${say("deposit.value")}<input name="value" autocomplete="off"></label></div>
<button type="button" class="quiet" data-part="addKeyValue">${say("deposit.addKeyValue")}</button></fieldset>
<fieldset><legend>${say("deposit.files")}</legend>
<div class="described"><label>${say("deposit.chooseFiles")}<input type="file" multiple data-part="files"></label>
<label>${say("deposit.chooseFolder")}<input type="file" webkitdirectory data-part="folder"></label></div>
<p class="hint">${say("deposit.drop")}</p>
<p><strong data-part="chosen" role="status"></strong> <button type="button" class="quiet" data-part="clear" hidden>${say("deposit.clear")}</button></p></fieldset>
<div data-part="progress" hidden><progress class="long" max="1" value="0" data-part="bar" aria-label="${say("deposit.progress")}"></progress>
<p data-part="amounts"></p></div>
<p data-part="status" role="status"></p>
<p class="notice" data-part="problem" role="alert" hidden></p>
<div class="actions"><button data-part="send">${say("deposit.send")}</button>
<button type="button" class="quiet" data-part="pause" hidden>${say("deposit.pause")}</button></div>
<div data-part="list" hidden><div class="scroll tall" role="region" aria-label="${say("deposit.list")}" tabindex="0"><table>
<thead><tr><th scope="col">${say("deposit.path")}</th><th scope="col" class="number">${say("deposit.size")}</th><th scope="col">${say("deposit.state")}</th></tr></thead>
<tbody data-part="rows"></tbody></table></div>
<p class="soft" data-part="more"></p></div>
</form>`;
}

/** A choice where the policy has one; else what was said of earlier deposits is offered. */
function describedField(
  { say }: Reader,
  field: DescribedField,
  { fields, choices }: PolicyAsks,
  recent: readonly Transaction[],
): Html {
  const required = fields.includes(field) && html` required`;
  const given = choices[field];
  if (given)
    return html`<label>${say(`archive.${field}`)}<select name="${field}"${required}><option value="">${say("deposit.any")}</option>
${given.map((value) => html`<option>${value}</option>`)}</select></label>`;
  const earlier = new Set(recent.flatMap((transaction) => transaction[field] ?? []));
  const id = `earlier-${field}`;
  return html`<label>${say(`archive.${field}`)}<input name="${field}" list="${id}"${required} autocomplete="off">
<datalist id="${id}">${[...earlier].map((value) => html`<option value="${value}"></option>`)}</datalist></label>`;
}

const SCRIPT_WORDS = "depositing.";

function scriptWords({ say }: Reader): string {
  const names = (Object.keys(DEPOSIT) as MessageName[]).filter((name) => name.startsWith(SCRIPT_WORDS));
  return JSON.stringify(Object.fromEntries(names.map((name) => [name.slice(SCRIPT_WORDS.length), say(name)])));
}
