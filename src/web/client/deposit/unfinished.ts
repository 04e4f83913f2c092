import { sizeText } from "../../amounts.ts";
import type { UnfinishedDeposit } from "./journal.ts";
import type { Words } from "./words.ts";

export interface UnfinishedChoices {
  fillIn(deposit: UnfinishedDeposit): void;
  discard(deposit: UnfinishedDeposit): void;
}

/** One list item for a deposit that can be gone on with. */
export function unfinishedItem(deposit: UnfinishedDeposit, { say, files }: Words, choices: UnfinishedChoices): Element {
  const { firstPath, fileCount, sizeBytes, sentBytes, begunAt } = deposit;
  const item = document.createElement("li");
  const name = item.appendChild(document.createElement("bdi"));
  name.className = "path";
  name.textContent = firstPath;
  const facts = say("unfinished", {
    files: files(fileCount),
    size: sizeText(sizeBytes),
    percent: Math.floor((sentBytes / sizeBytes) * 100),
    begun: new Date(begunAt).toLocaleString(),
  });
  item.append(" ", facts);
  const actions = item.appendChild(document.createElement("div"));
  actions.className = "actions";
  const button = (label: string, look: string, click: () => void) => {
    const made = actions.appendChild(document.createElement("button"));
    made.type = "button";
    made.className = look;
    made.textContent = label;
    made.addEventListener("click", click);
  };
  button(say("goOn"), "quiet", () => choices.fillIn(deposit));
  button(say("discard"), "danger", () => choices.discard(deposit));
  return item;
}
