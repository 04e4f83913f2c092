import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, maySee, type Principal } from "../../core/access/access.ts";
import type { Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import { fileId, type TransactionId, transactionId } from "../../core/ids.ts";
import type { ServerDeps } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import {
  DownloadsSchema,
  downloadsOnWire,
  FileSchema,
  fileOnWire,
  keyValueOnWire,
  NoQuery,
  problems,
  TransactionDetailSchema,
  TransactionParams,
  TransactionSchema,
  transactionOnWire,
} from "./schemas.ts";

const PageQuery = z.strictObject(PAGE_PARAMS);

export const transactionRoutes =
  (deps: ServerDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/transactions",
      {
        config: { scope: "read" },
        schema: {
          tags: ["transactions"],
          summary: "Transactions, newest first",
          querystring: PageQuery,
          response: { 200: pageOf(TransactionSchema), ...problems },
        },
      },
      async ({ principal, query }) => {
        const found = await deps.catalogue.listTransactions({
          limit: query.limit + 1,
          ...(hasScope(principal, "operate") ? {} : { owner: principal.name }),
          ...(query.cursor === undefined ? {} : { beforeId: transactionId(query.cursor) }),
        });
        return cutPage(found, query.limit, ({ id }) => id, transactionOnWire);
      },
    );

    app.get(
      "/transactions/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["transactions"],
          summary: "One transaction with its key-values",
          params: TransactionParams,
          querystring: NoQuery,
          response: { 200: TransactionDetailSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const transaction = await visibleTransaction(deps, principal, params.id);
        const keyValues = await deps.catalogue.keyValues(params.id);
        return { ...transactionOnWire(transaction), keyValues: keyValues.map(keyValueOnWire) };
      },
    );

    app.get(
      "/transactions/:id/files",
      {
        config: { scope: "read" },
        schema: {
          tags: ["transactions"],
          summary: "The files of a transaction, in the order of their ids",
          params: TransactionParams,
          querystring: PageQuery,
          response: { 200: pageOf(FileSchema), ...problems },
        },
      },
      async ({ principal, params, query }) => {
        await visibleTransaction(deps, principal, params.id);
        const found = await deps.catalogue.listFiles(params.id, {
          limit: query.limit + 1,
          ...(query.cursor === undefined ? {} : { afterId: fileId(query.cursor) }),
        });
        return cutPage(found, query.limit, ({ id }) => id, fileOnWire);
      },
    );

    app.get(
      "/transactions/:id/statistics",
      {
        config: { scope: "read" },
        schema: {
          tags: ["transactions"],
          summary: "How often files of a transaction were downloaded",
          description: "A cart counts once, however many of the files are in it.",
          params: TransactionParams,
          querystring: NoQuery,
          response: { 200: DownloadsSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const { id } = await visibleTransaction(deps, principal, params.id);
        return downloadsOnWire(await deps.carts.transactionDownloads(id));
      },
    );
  };

/** @throws AppError transaction_unknown, also for one that this caller may not see. */
export async function visibleTransaction(
  { catalogue }: Pick<ServerDeps, "catalogue">,
  principal: Principal,
  id: TransactionId,
): Promise<Transaction> {
  const transaction = await catalogue.transaction(id);
  if (!transaction || !maySee(principal, transaction.owner)) throw new AppError("transaction_unknown", { id });
  return transaction;
}
