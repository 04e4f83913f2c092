/*
 * Answers while somebody types. The page that answers the form's own question is fetched, and its part is taken over: what is
 * wrong with what was typed is found by the server alone, and said in its words.
 */
import { localTimes } from "./app.ts";

/** A pause in typing. */
const PAUSE_MS = 250;

function checkAsTyped(part: HTMLElement): void {
  const names = (part.dataset.fields ?? "").split(" ");
  const controls = document.querySelectorAll<HTMLInputElement>(
    names.map((name) => `form.fields [name="${name}"]`).join(", "),
  );
  let asked = new AbortController();
  let timer = 0;

  async function check(): Promise<void> {
    asked.abort();
    asked = new AbortController();
    const fields = new URLSearchParams();
    for (const { name, value, type, checked } of controls) if (type !== "checkbox" || checked) fields.set(name, value);
    const isPost = part.dataset.method === "post";
    const answer = await fetch(`${part.dataset.check}${isPost ? "" : `?${fields}`}`, {
      headers: { accept: "text/html" },
      redirect: "error",
      signal: asked.signal,
      ...(isPost && { method: "POST", body: fields }),
    });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (!fresh) return;
    localTimes(fresh);
    part.replaceChildren(...fresh.childNodes);
  }

  /** Without an answer, or with the next one asked for already, the last one stays; sending the form checks again. */
  function checkOnce(): void {
    check().catch((error: unknown) => {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    });
  }

  for (const control of controls)
    control.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(checkOnce, PAUSE_MS);
    });
  // Typed before this script was there, or kept by the browser when the page was loaded again.
  if (Array.from(controls).some(({ value, defaultValue }) => defaultValue !== undefined && value !== defaultValue))
    checkOnce();
}

for (const part of document.querySelectorAll<HTMLElement>("[data-check]")) checkAsTyped(part);
