import type { FastifyRequest } from "fastify";
import type { PageContext } from "./page-context.ts";

/** One of our paths as an address for other programs and people: the one that is configured, else where this reader is. */
export function wholeAddress(
  { link, options }: Pick<PageContext, "link" | "options">,
  { protocol, host }: FastifyRequest,
  path: string,
): string {
  const { origin } = new URL(options.publicUrl ?? `${protocol}://${host}`);
  return `${origin}${link(path)}`;
}
