import { hasScope, maySee, type Principal } from "../access/access.ts";
import type { ArchivedFile, CatalogueStore, Transaction } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import { fileId, transactionId } from "../ids.ts";
import type { Document, DocumentIndex, IndexSource } from "./document.ts";
import type { Mapping } from "./mapping.ts";

export const FILE_INDEX = "files";
const PAGE = 500;

const keyword = { type: "keyword" };
const MAPPING: Mapping = {
  dynamic: "strict",
  properties: {
    path: keyword,
    name: { type: "text", fields: { keyword } },
    sizeBytes: { type: "long" },
    mediaType: keyword,
    modifiedAt: { type: "date", ignore_malformed: true },
    transaction: { type: "long" },
    submitter: keyword,
    project: keyword,
    instrument: keyword,
    createdAt: { type: "date" },
    digests: { properties: { md5: keyword, sha1: keyword, sha256: keyword, sha512: keyword } },
  },
};

/** The archive's files as documents that nobody changes: an operator sees all, others those of their own transactions. */
export function fileIndex(catalogue: CatalogueStore): IndexSource {
  const owned = (principal: Principal) => (hasScope(principal, "operate") ? {} : { owner: principal.name });

  /** In order of their ids; among `named`, if these are given. */
  async function* transactions(
    principal: Principal,
    named: readonly string[] | undefined,
  ): AsyncGenerator<Transaction> {
    if (named) {
      for (const id of new Set(named.flatMap(numberIn))) {
        const found = await catalogue.transaction(transactionId(id));
        if (found && maySee(principal, found.owner)) yield found;
      }
      return;
    }
    for (let page = { ...owned(principal), limit: PAGE }; ; ) {
      const found = await catalogue.findTransactions(page);
      yield* found;
      const last = found.at(-1);
      if (!last || found.length < PAGE) return;
      page = { ...page, ...{ afterId: last.id } };
    }
  }

  const index: DocumentIndex = {
    name: FILE_INDEX,
    mapping: MAPPING,
    createdAt: null,
    async documents(principal, ids) {
      const found = await catalogue.files(ids.flatMap(numberIn).map(fileId));
      const visible = found.filter(({ owner }) => maySee(principal, owner));
      const byTransaction = new Map<number, Transaction>();
      for (const id of new Set(visible.map((file) => file.transactionId))) {
        const transaction = await catalogue.transaction(id);
        if (transaction) byTransaction.set(id, transaction);
      }
      return visible.flatMap((file) => {
        const transaction = byTransaction.get(file.transactionId);
        return transaction ? [documentOf(file, transaction)] : [];
      });
    },
    async *scan(principal, narrowing) {
      for await (const transaction of transactions(principal, narrowing.get("transaction")))
        for (let page = { limit: PAGE }; ; ) {
          const files = await catalogue.listFiles(transaction.id, page);
          yield files.map((file) => documentOf(file, transaction));
          const last = files.at(-1);
          if (!last || files.length < PAGE) break;
          page = { ...page, ...{ afterId: last.id } };
        }
    },
    async count(principal) {
      if (hasScope(principal, "operate")) return (await catalogue.totals()).files;
      let count = 0;
      for await (const { fileCount } of transactions(principal, undefined)) count += fileCount;
      return count;
    },
  };
  return { find: async (name) => (name === FILE_INDEX ? index : undefined), list: async () => [index] };
}

/** Ids are positive whole numbers: anything else is nobody's. */
function numberIn(text: string): number[] {
  return /^[1-9]\d{0,14}$/.test(text) ? [Number(text)] : [];
}

function documentOf(file: ArchivedFile, { submitter, project, instrument, createdAt }: Transaction): Document {
  const { id, path, sizeBytes, mediaType, modifiedAt, digests } = file;
  const source = {
    path,
    name: path.slice(path.lastIndexOf("/") + 1),
    sizeBytes,
    mediaType,
    modifiedAt,
    transaction: file.transactionId,
    submitter,
    project,
    instrument,
    createdAt: isoTime(createdAt),
    digests,
  };
  return { id: String(id), source: JSON.stringify(source), version: 1, seqNo: id, number: id };
}
