import type { FastifyReply, FastifyRequest } from "fastify";
import type { ServerContext } from "../http/server-deps.ts";
import type { NavigationItem, Page, Reader } from "./layout.ts";

/** What routes of pages are given. */
export interface PageContext extends ServerContext {
  readerOf(request: FastifyRequest): Reader;
  /** Sends a page, for the one who reads it. */
  show(request: FastifyRequest, reply: FastifyReply, page: Page): Promise<FastifyReply>;
  readonly navigation: readonly NavigationItem[];
}
