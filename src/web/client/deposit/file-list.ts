import { sizeText } from "../../amounts.ts";
import type { ChosenFile } from "./chosen-file.ts";
import type { Words } from "./words.ts";

/** Thousands of rows would make every browser slow; more is of no use to anybody. */
const SHOWN = 100;
/** Of those that were sent, how many stay in sight above the one that is being sent. */
const BEFORE = 5;

/** How far the files have come. */
export interface FileProgress {
  readonly sentFiles: number;
  /** Of the file after them. */
  readonly currentBytes: number;
}

/** A table of the files, or of that part of them which is being sent. */
export interface FileList {
  show(files: readonly ChosenFile[], progress: FileProgress | undefined): void;
}

/** @param remove leaves a file out; offered while nothing is sent. */
export function fileList(
  { rows, more }: { readonly rows: HTMLTableSectionElement; readonly more: HTMLElement },
  { say, files: filesText }: Words,
  remove: (path: string) => void,
): FileList {
  function row({ path, file }: ChosenFile, state: string | HTMLElement): HTMLTableRowElement {
    const made = document.createElement("tr");
    const name = document.createElement("bdi"); // a name may turn the direction of what follows it
    name.className = "path";
    name.textContent = path;
    const size = made.appendChild(document.createElement("td"));
    made.prepend(document.createElement("td"));
    made.firstElementChild?.append(name);
    size.className = "number";
    size.textContent = sizeText(file.size);
    made.appendChild(document.createElement("td")).append(state);
    return made;
  }

  function removeButton(path: string): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = say("remove");
    button.setAttribute("aria-label", say("removeFile", { path }));
    button.addEventListener("click", () => remove(path));
    return button;
  }

  function stateOf(at: number, { file }: ChosenFile, { sentFiles, currentBytes }: FileProgress): string {
    if (at < sentFiles) return say("fileSent");
    if (at > sentFiles) return say("fileWaits");
    return `${file.size === 0 ? 0 : Math.floor((currentBytes / file.size) * 100)} %`;
  }

  return {
    show(files, progress) {
      const from = Math.max(0, Math.min((progress?.sentFiles ?? 0) - BEFORE, files.length - SHOWN));
      const shown = files.slice(from, from + SHOWN);
      rows.replaceChildren(
        ...shown.map((chosen, nth) =>
          row(chosen, progress ? stateOf(from + nth, chosen, progress) : removeButton(chosen.path)),
        ),
      );
      const others = files.length - shown.length;
      more.textContent = others > 0 ? say("more", { files: filesText(others) }) : "";
    },
  };
}
