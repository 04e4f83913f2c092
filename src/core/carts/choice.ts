import { hasScope, maySee, type Principal } from "../access/access.ts";
import type { CatalogueStore, FilePage, PlacedFile, Transaction } from "../catalogue/catalogue-store.ts";
import type { Search } from "../catalogue/search.ts";
import type { SearchHit } from "../catalogue/search-index.ts";
import { digestName } from "../digest.ts";
import { type Problem, problem } from "../errors.ts";
import { type FileId, fileId, type TransactionId, transactionId } from "../ids.ts";
import type { CartEntry } from "./cart.ts";
import { explicitPath } from "./cart-names.ts";
import type { CartRequest, CatalogueQuery, ChosenFile, ChosenTransaction } from "./carts.ts";

/** Files that are looked up at a time. */
const PAGE = 1_000;

/** One chosen file: ours or a remote archive's, with the path that is wanted for it; or what is wrong with the choice. */
export type Choice =
  | { readonly file: PlacedFile; readonly path: string; readonly digest?: ChosenDigest }
  | { readonly remote: string; readonly path: string; readonly digest?: ChosenDigest }
  | { readonly refused: Problem };

type ChosenDigest = NonNullable<CartEntry["expected"]>;

export interface ChoiceParts {
  readonly catalogue: CatalogueStore;
  readonly search: Pick<Search, "search">;
  /** Ids that the catalogue does not know may be a remote archive's. */
  readonly hasRemote: boolean;
}

/**
 * Resolves what a request asks for, in pages: first the files, then the transactions, then what the query finds, then what
 * the search does, each transaction's files in id order. What the caller may not see does not exist. Memory: one page.
 */
export async function* choices(
  parts: ChoiceParts,
  principal: Principal,
  { files = [], transactions = [], query, search }: CartRequest,
): AsyncGenerator<readonly Choice[]> {
  // Without folders of their own, files of several transactions would often bear the same names.
  const isApart = query !== undefined || search !== undefined || new Set(transactions.map(({ id }) => id)).size > 1;
  const pathOf = ({ path, transactionId }: PlacedFile) => {
    const own = path.replace(/^data\//, "");
    return isApart ? `${transactionId}/${own}` : own;
  };
  const choosing: Choosing = { ...parts, principal, pathOf };
  for await (const page of pages(files, PAGE)) yield await chosenFiles(choosing, page);
  for (const transaction of transactions) yield* chosenTransaction(choosing, transaction);
  if (query !== undefined) yield* foundFiles(choosing, query);
  if (search !== undefined) yield* searchedFiles(choosing, search);
}

interface Choosing extends ChoiceParts {
  readonly principal: Principal;
  /** In the download, when nothing else is asked for. */
  pathOf(file: PlacedFile): string;
}

async function chosenFiles(choosing: Choosing, page: readonly ChosenFile[]): Promise<readonly Choice[]> {
  const ids = new Set(page.flatMap(({ id }) => ownId(id) ?? []));
  const known = new Map((await choosing.catalogue.files([...ids])).map((file) => [file.id, file]));
  return page.map((chosen) => {
    const own = ownId(chosen.id);
    return chosenFile(choosing, chosen, own === undefined ? undefined : known.get(own));
  });
}

function chosenFile(
  { principal, hasRemote, pathOf }: Choosing,
  { id, path, digest }: ChosenFile,
  file: PlacedFile | undefined,
): Choice {
  const name = String(id);
  const isRemote = file === undefined && hasRemote && name !== "" && isText(name);
  if (!isRemote && !(file && maySee(principal, file.owner)))
    return { refused: problem("file_unknown", { path: name }) };
  const explicit = path === undefined ? undefined : explicitPath(path);
  if (path !== undefined && explicit === undefined) return { refused: problem("cart_path_unsafe", { path }) };
  const algorithm = digest && digestName(digest.algorithm);
  if (digest && !algorithm)
    return { refused: problem("digest_unknown", { path: path ?? name, found: digest.algorithm }) };
  const declared = digest && algorithm && { digest: { algorithm, value: digest.value.toLowerCase() } };
  return file
    ? { file, path: explicit ?? pathOf(file), ...declared }
    : { remote: name, path: explicit ?? name, ...declared };
}

async function* chosenTransaction(
  choosing: Choosing,
  { id, prefix }: ChosenTransaction,
): AsyncGenerator<readonly Choice[]> {
  const transaction = await choosing.catalogue.transaction(id);
  if (!transaction || !maySee(choosing.principal, transaction.owner)) {
    yield [{ refused: problem("transaction_unknown", { path: String(id) }) }];
    return;
  }
  let isEmpty = true;
  for await (const page of filesOf(choosing, transaction, prefix === undefined ? {} : { prefix })) {
    isEmpty = false;
    yield page;
  }
  if (isEmpty && prefix !== undefined)
    yield [{ refused: problem("file_unknown", { path: prefix, hint: `transaction ${id} has no file below it` }) }];
}

async function* foundFiles(
  choosing: Choosing,
  { prefix, mediaType, ...asked }: CatalogueQuery,
): AsyncGenerator<readonly Choice[]> {
  const { submitter, project, instrument, keyValues = {} } = asked;
  const texts = [submitter, project, instrument, ...Object.entries(keyValues).flat()];
  if (!texts.every((text) => text === undefined || isText(text))) return;
  const ofFiles = { ...(prefix !== undefined && { prefix }), ...(mediaType !== undefined && { mediaType }) };
  const { principal, catalogue } = choosing;
  const visible = hasScope(principal, "operate") ? asked : { ...asked, owner: principal.name };
  for (let after: { readonly afterId?: TransactionId } = {}; ; ) {
    const page = await catalogue.findTransactions({ ...visible, ...after, limit: PAGE });
    for (const transaction of page) yield* filesOf(choosing, transaction, ofFiles);
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = { afterId: last.id };
  }
}

/** Files that are hits, those of transactions that are, and archived ones that records are about; the newest first. */
async function* searchedFiles(choosing: Choosing, text: string): AsyncGenerator<readonly Choice[]> {
  const { principal, catalogue, search, pathOf } = choosing;
  for (let after: { readonly cursor?: string } = {}; ; ) {
    const { hits, next } = await search.search(principal, { query: text, order: "newest", limit: PAGE, ...after });
    for await (const ids of pages(new Set(hits.flatMap(filesOfHit)), PAGE)) {
      // Hits may be of a moment ago; what is there, and whose it is, is known here.
      const known = new Map((await catalogue.files(ids)).map((file) => [file.id, file]));
      const files = ids.flatMap((id) => known.get(id) ?? []).filter(({ owner }) => maySee(principal, owner));
      if (files.length > 0) yield files.map((file) => ({ file, path: pathOf(file) }));
    }
    for (const { key, type } of hits) {
      const id = type === "transaction" ? Number(key.slice("transaction:".length)) : undefined;
      const transaction = id === undefined ? undefined : await catalogue.transaction(transactionId(id));
      if (transaction && maySee(principal, transaction.owner)) yield* filesOf(choosing, transaction, {});
    }
    if (next === null) return;
    after = { cursor: next };
  }
}

function filesOfHit({ key, type, fields }: SearchHit): readonly FileId[] {
  if (type === "file") return [ownId(key.slice("file:".length)) ?? []].flat();
  return type === "record" ? (fields.file ?? []).flatMap((id) => ownId(id) ?? []) : [];
}

async function* filesOf(
  { catalogue, pathOf }: Choosing,
  { id, owner, objectPath }: Transaction,
  filter: Pick<FilePage, "prefix" | "mediaType">,
): AsyncGenerator<readonly Choice[]> {
  if (!isText(`${filter.prefix}${filter.mediaType}`)) return;
  for (let after: { readonly afterId?: FileId } = {}; ; ) {
    const page = await catalogue.listFiles(id, { ...filter, ...after, limit: PAGE });
    if (page.length > 0)
      yield page.map((archived) => {
        const file = { ...archived, owner, objectPath };
        return { file, path: pathOf(file) };
      });
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = { afterId: last.id };
  }
}

/** An id that may be one of ours, as a number or in digits. */
function ownId(id: string | number): FileId | undefined {
  const number = typeof id === "number" || /^[1-9]\d{0,15}$/.test(id) ? Number(id) : Number.NaN;
  return Number.isSafeInteger(number) && number > 0 ? fileId(number) : undefined;
}

/** Text that a database can hold: PostgreSQL knows no NUL, so nothing there has one. */
function isText(text: string): boolean {
  return !text.includes("\0");
}

async function* pages<T>(items: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let page: T[] = [];
  for await (const item of items) {
    page.push(item);
    if (page.length < size) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
