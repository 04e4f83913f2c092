/** A page without script or style of its own: it reads well in anything. @param body HTML. */
export function htmlPage(title: string, body: string): string {
  const escaped = escapeHtml(title);
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped}</title>`;
  return `<!doctype html><html lang="en"><head>${head}</head><body><h1>${escaped}</h1>${body}</body></html>`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
