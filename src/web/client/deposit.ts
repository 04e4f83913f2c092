/* The deposit page: choosing files, and sending them by a worker that can be ended and begun anew at any time. */
import { LongshoreError } from "../../sdk/errors.ts";
import { rateMeter } from "../../sdk/rate-meter.ts";
import { countText, durationText, sizeText } from "../amounts.ts";
import { type ChosenFile, droppedFiles, filesOf } from "./deposit/chosen-file.ts";
import { fileList } from "./deposit/file-list.ts";
import { addKeyValue, descriptionIn, fillIn } from "./deposit/form.ts";
import { openJournal, type UnfinishedDeposit } from "./deposit/journal.ts";
import type { DepositNews, DepositOrder } from "./deposit/sending.ts";
import { unfinishedItem } from "./deposit/unfinished.ts";
import { uploadsOf } from "./deposit/uploads.ts";
import { wordsOf } from "./deposit/words.ts";

const part = <T extends Element = HTMLElement>(name: string): T => {
  const found = document.querySelector<T>(`[data-part="${name}"]`);
  if (!found) throw new Error(`the page has no part ${name}`);
  return found;
};
const meta = (name: string) => document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? "";

const form = part<HTMLFormElement>("form");
const { words: sentences = "{}", owner = "", receipts = "" } = form.dataset;
const server = new URL(meta("api"), location.href).href.replace(/\/api\/v1$/, "");
const formToken = meta("form-token");
const words = wordsOf(sentences);
const { say } = words;
const journal = await openJournal();

/** By path. */
let chosen = new Map<string, ChosenFile>();
let worker: Worker | undefined;
let sizeBytes = 0;
let sent: Extract<DepositNews, { readonly type: "progress" }> | undefined;
let rate = rateMeter(() => performance.now());

const list = fileList({ rows: part<HTMLTableSectionElement>("rows"), more: part("more") }, words, (path) => {
  chosen.delete(path);
  showChosen();
});

/** In an order of their own, so that the same files make the same bundle however they were chosen. */
function choose(files: readonly ChosenFile[]): void {
  const all = [...chosen, ...files.map((one) => [one.path, one] as const)];
  chosen = new Map(
    new Map(all)
      .entries()
      .toArray()
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
  problem("");
  showChosen();
}

function showChosen(): void {
  const files = [...chosen.values()];
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  part("chosen").textContent =
    files.length === 0 ? say("noneChosen") : say("chosen", { files: words.files(files.length), size: sizeText(bytes) });
  part("list").hidden = files.length === 0;
  part("clear").hidden = files.length === 0;
  list.show(files, worker && sent);
}

/** A sentence about what is going on; it is read out, so it changes seldom. */
function status(text: string): void {
  part("status").textContent = text;
}

function problem(text: string): void {
  part("problem").textContent = text;
  part("problem").hidden = text === "";
}

function showProgress(): void {
  const { sentBytes = 0, sentFiles = 0 } = sent ?? {};
  const perSecond = worker && rate.measure(sentBytes);
  const share = sizeBytes === 0 ? 0 : sentBytes / sizeBytes;
  const amounts = [
    say("amounts", {
      done: countText(sentFiles),
      files: words.files(chosen.size),
      sent: sizeText(sentBytes),
      size: sizeText(sizeBytes),
      percent: Math.floor(share * 100),
    }),
    ...(perSecond ? [`${sizeText(perSecond)}/s`] : []),
    ...(perSecond ? [say("left", { time: durationText(((sizeBytes - sentBytes) / perSecond) * 1_000) })] : []),
  ];
  part<HTMLProgressElement>("bar").value = share;
  part("amounts").textContent = amounts.join(", ");
}

/** Fields and files stay as they are while they are sent. */
function setSending(isSending: boolean): void {
  for (const fields of form.querySelectorAll("fieldset")) fields.disabled = isSending;
  part("send").hidden = isSending;
  part("pause").hidden = !isSending;
  if (isSending) part("progress").hidden = false;
  part("unfinished").hidden = isSending || part("unfinishedItems").childElementCount === 0;
}

function start(): void {
  const order: DepositOrder = {
    server,
    formToken,
    owner,
    description: descriptionIn(form),
    files: [...chosen.values()],
  };
  rate = rateMeter(() => performance.now());
  worker = new Worker(new URL("./deposit/worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<DepositNews>) => hear(data));
  worker.addEventListener("error", ({ message }) => void stop(message));
  worker.postMessage(order);
  setSending(true);
}

/** Whatever was sent stays sent. @param trouble why, unless somebody wanted it. */
async function stop(trouble = ""): Promise<void> {
  worker?.terminate();
  worker = undefined;
  problem(trouble);
  part("send").textContent = say("continue");
  setSending(false);
  showChosen();
  showProgress();
  await showUnfinished();
}

function hear(news: DepositNews): void {
  switch (news.type) {
    case "begun":
      sizeBytes = news.sizeBytes;
      status(say(news.isContinued ? "continued" : "begun"));
      break;
    case "progress":
      sent = news;
      problem("");
      showProgress();
      list.show([...chosen.values()], news);
      break;
    case "waiting":
      problem(say("waiting", { message: news.message, time: durationText(news.pauseMs) }));
      break;
    case "elsewhere":
      void stop(say("elsewhere"));
      break;
    case "failed":
      status("");
      void stop(needsSignIn(news.code) ? say("signIn") : `${news.message} (${news.code})`);
      break;
    case "sent":
      worker?.terminate();
      worker = undefined;
      location.assign(`${receipts}${news.jobId}`);
  }
}

const needsSignIn = (code: string) => ["token_missing", "token_invalid", "form_stale"].includes(code);

async function showUnfinished(): Promise<void> {
  const unfinished = await journal.list(owner);
  const items = unfinished.map((deposit) =>
    unfinishedItem(deposit, words, {
      fillIn({ description }) {
        fillIn(form, description);
        status(say("chooseAgain", { files: words.files(deposit.fileCount), first: deposit.firstPath }));
        part("files").focus();
      },
      discard: (given) => void discard(given).catch((error: unknown) => problem(String(error))),
    }),
  );
  part("unfinishedItems").replaceChildren(...items);
  part("unfinished").hidden = items.length === 0 || worker !== undefined;
}

async function discard({ key, url }: UnfinishedDeposit): Promise<void> {
  await uploadsOf(server, formToken)
    .abort(url)
    .catch((error: unknown) => {
      if (!(error instanceof LongshoreError) || (error.status !== 404 && error.status !== 410)) throw error;
    });
  await journal.remove(key);
  part("send").textContent = say("deposit");
  part("progress").hidden = true;
  status("");
  await showUnfinished();
}

for (const name of ["files", "folder"]) {
  const input = part<HTMLInputElement>(name);
  const take = () => {
    choose(filesOf(input));
    input.value = ""; // so that the same can be chosen again
  };
  input.addEventListener("change", take);
  if (input.value !== "") take(); // chosen before this script was there
}
part("clear").addEventListener("click", () => {
  chosen = new Map();
  showChosen();
});
part("addKeyValue").addEventListener("click", () => addKeyValue(form).querySelector("input")?.focus());
part("pause").addEventListener("click", () => {
  status(say("paused"));
  void stop();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (worker) return;
  problem("");
  if (chosen.size === 0) problem(say("noneChosen"));
  else start();
});
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (worker || !event.dataTransfer) return;
  droppedFiles(event.dataTransfer).then(choose, (error: unknown) =>
    problem(say("unreadable", { reason: String(error) })),
  );
});
// Rather than at the end of a long pause.
addEventListener("online", () => {
  if (!worker) return;
  worker.terminate();
  start();
});
addEventListener("beforeunload", (event) => {
  if (worker) event.preventDefault();
});

form.hidden = false;
showChosen();
await showUnfinished();
