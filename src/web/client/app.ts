/*
 * What the pages gain by script. Each of them says everything without it: times are in UTC then, and what goes on is seen
 * when the page is loaded again.
 */

const ZONED = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Times in the reader's zone; UTC when they are pointed at. */
export function localTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.dateTime;
    time.textContent = ZONED.format(at);
  }
}

/**
 * Fetches the page anew as long as somebody looks at it, and takes the part over. A reader who has something of it in focus
 * or selected is not disturbed; a server that does not answer is asked again, more and more seldom.
 */
function keepUpToDate(part: HTMLElement): void {
  const everyMs = Number(part.dataset.live) * 1_000;
  let failures = 0;

  async function refresh(): Promise<void> {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (!fresh) location.reload(); // nothing of it changes any more
    if (!fresh || isInUse(part)) return;
    localTimes(fresh);
    if (fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }

  async function turn(): Promise<void> {
    if (document.visibilityState === "visible")
      await refresh().then(
        () => {
          failures = 0;
        },
        () => {
          failures = Math.min(failures + 1, 5);
        },
      );
    setTimeout(turn, everyMs * 2 ** failures);
  }
  setTimeout(turn, everyMs);
}

function isInUse(part: HTMLElement): boolean {
  const selection = getSelection();
  const isSelected = selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
  return isSelected || part.contains(document.activeElement);
}

localTimes(document);
for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) keepUpToDate(part);
