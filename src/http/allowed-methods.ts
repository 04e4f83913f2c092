import type { FastifyInstance } from "fastify";

/** Which methods an address answers to: what Fastify's router knows but does not tell (RFC 9110 §10.2.1 "Allow"). */
export interface AllowedMethods {
  /** In alphabetical order; empty when there is nothing at this path. */
  of(path: string): readonly string[];
}

/** Collects the routes that are added to `app`, and to what is registered in it, from now on. */
export function allowedMethods(app: FastifyInstance): AllowedMethods {
  const routes: { readonly parts: readonly string[]; readonly methods: readonly string[] }[] = [];
  app.addHook("onRoute", ({ url, method }) => {
    routes.push({ parts: partsOf(url), methods: [method].flat() });
  });
  return {
    of(path) {
      const asked = partsOf(path);
      const found = routes.filter(({ parts }) => matches(parts, asked)).flatMap(({ methods }) => methods);
      return [...new Set(found)].sort();
    },
  };
}

/** A prefix answers with and without a slash at its end. */
const partsOf = (path: string) => path.replace(/\/$/, "").split("/");

/** Our routes know two kinds of parts: text, and `:name` for one whole segment. */
function matches(parts: readonly string[], asked: readonly string[]): boolean {
  return (
    parts.length === asked.length && parts.every((part, i) => part === asked[i] || (part.startsWith(":") && asked[i]))
  );
}
