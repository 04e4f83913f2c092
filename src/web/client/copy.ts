/*
 * A button beside each line that is meant for a terminal or a mail. Browsers have no clipboard for pages that came without
 * encryption from another machine: there the text is selected by hand.
 */

function addButton(text: HTMLElement): void {
  const { copy = "", copied = "" } = text.dataset;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = copy;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent ?? "");
      button.textContent = copied;
    } catch {
      getSelection()?.selectAllChildren(text); // the reader has forbidden it: one key is left to press
    }
  });
  text.after(button);
}

// What is undefined where it may not be used, its type calls always there.
if ("clipboard" in navigator) for (const text of document.querySelectorAll<HTMLElement>("[data-copy]")) addButton(text);
