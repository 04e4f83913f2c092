/** A page, as it is shown after all redirections. */
export interface Shown {
  readonly url: string;
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** What a browser does without script: it keeps cookies, follows redirections and sends forms. */
export interface HttpBrowser {
  readonly cookies: readonly BrowserCookie[];
  /** @param before an address that contains this is not gone to: the answer that leads there is what is shown. */
  go(url: string, before?: string): Promise<Shown>;
  /** Sends the first form of a page with what it holds and what is typed. @param action of a form, else the first one's. */
  send(shown: Shown, typed: Readonly<Record<string, string>>, action?: string): Promise<Shown>;
  /** As a request's header. */
  cookieFor(url: string): string;
  /** Another with the same cookies, from now on its own. */
  copy(): HttpBrowser;
}

/** Cookies do not tell ports apart (RFC 6265 §8.5). */
interface BrowserCookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

const MAX_REDIRECTIONS = 20;

export function httpBrowser(known: readonly BrowserCookie[] = []): HttpBrowser {
  let cookies = known;

  const cookieFor = (url: string) => {
    const { pathname } = new URL(url);
    const fitting = cookies.filter(({ path }) => `${pathname}/`.startsWith(path.endsWith("/") ? path : `${path}/`));
    return fitting.map(({ name, value }) => `${name}=${value}`).join("; ");
  };

  function keep(field: string): void {
    const [pair = "", ...attributes] = field.split(/; */);
    const cut = pair.indexOf("=");
    const attribute = (name: string) =>
      attributes.find((one) => one.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
    const [name, value, path] = [pair.slice(0, cut), pair.slice(cut + 1), attribute("path") ?? "/"];
    const isOver = attribute("max-age") === "0" || Date.parse(attribute("expires") ?? "") <= Date.now();
    cookies = cookies.filter((one) => one.name !== name || one.path !== path);
    if (!isOver) cookies = [...cookies, { name, value, path }];
  }

  async function load(first: string, init: RequestInit, before: string | undefined): Promise<Shown> {
    let [url, sent] = [first, init];
    for (let nth = 0; nth < MAX_REDIRECTIONS; nth++) {
      const answer = await fetch(url, { ...sent, headers: { cookie: cookieFor(url) }, redirect: "manual" });
      for (const field of answer.headers.getSetCookie()) keep(field);
      const { status, headers } = answer;
      const text = await answer.text();
      const location = status >= 300 && status < 400 ? headers.get("location") : null;
      if (location === null || (before !== undefined && location.includes(before)))
        return { url, status, text, headers };
      [url, sent] = [new URL(location, url).href, {}];
    }
    throw new Error(`more than ${MAX_REDIRECTIONS} redirections from ${first}`);
  }

  return {
    get cookies() {
      return cookies;
    },
    cookieFor,
    go: (url, before) => load(url, {}, before),
    copy: () => httpBrowser(cookies),
    async send({ url, text }, typed, action) {
      const forms = [...text.matchAll(/<form[^>]*action="([^"]*)"[\s\S]*?<\/form>/g)];
      const [form = "", found = ""] = forms.find(([, to]) => action === undefined || to === action) ?? [];
      if (found === "") throw new Error(`there is no such form on ${url}`);
      const held = [...form.matchAll(/<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"/g)];
      const fields = Object.fromEntries(held.map(([, name = "", value = ""]) => [name, value]));
      const to = new URL(found.replaceAll("&amp;", "&"), url).href;
      return load(to, { method: "POST", body: new URLSearchParams({ ...fields, ...typed }) }, undefined);
    },
  };
}
