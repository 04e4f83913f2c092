import { bodyOf, type Connection, jsonBody, query } from "./connection.ts";
import { type Content, type ContentOptions, contentAt, contentFacts } from "./content.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Cart, CartFile, CartStatus } from "./types.ts";
import { type WatchOptions, watch } from "./watch.ts";

/** An archived file by its id; `path` is the one it has in the download, `digest` is checked before the cart is ready. */
export type ChosenFile =
  | number
  | string
  | {
      readonly id: number | string;
      readonly path?: string;
      readonly digest?: { readonly algorithm: string; readonly value: string };
    };

/** A transaction, or those of its files whose archived path begins with `prefix` (`data/images/`). */
export type ChosenTransaction = number | { readonly id: number; readonly prefix?: string };

/** Every file that fits all that is given. */
export interface CatalogueQuery {
  readonly submitter?: string;
  readonly project?: string;
  readonly instrument?: string;
  /** Of the transaction, all of them. */
  readonly keyValues?: Readonly<Record<string, string>>;
  /** Beginning of the archived path. */
  readonly prefix?: string;
  /** `image/png`, or `image/*`. */
  readonly mediaType?: string;
  /** ISO 8601: archived from this time on. */
  readonly from?: string;
  /** ISO 8601: archived before this time. */
  readonly until?: string;
}

/** All of it together; at least one file has to be chosen. */
export interface NewCart {
  /** Top folder and file name of its downloads. */
  readonly name?: string;
  readonly files?: readonly ChosenFile[];
  readonly transactions?: readonly ChosenTransaction[];
  readonly query?: CatalogueQuery;
  /** What a search finds: files, the files of transactions, and archived files that records are about. */
  readonly search?: string;
  /** Seconds from now, or an ISO 8601 time; some time after its last use when left out. */
  readonly expires?: number | string;
}

export interface CartFilter extends PageOptions {
  readonly status?: CartStatus;
}

/** Which of a cart's downloads. */
export interface DownloadForm {
  readonly format: "tar" | "zip";
  /** With everything that makes it a bag (RFC 8493). */
  readonly bag?: boolean;
}

export type CartWaitOptions = WatchOptions<Cart>;

/** A choice of archived files that is downloaded as one tar or ZIP. */
export interface CartsApi {
  /** @throws LongshoreError cart_refused, whose `details.problems` name each file that cannot be had. */
  create(cart: NewCart, signal?: AbortSignal): Promise<Cart>;
  get(id: string, signal?: AbortSignal): Promise<Cart>;
  /** Newest first. */
  list(filter?: CartFilter): Listing<Cart>;
  /** Waits until nothing has to be brought online any more, however that ends: look at `status`. */
  wait(id: string, options?: CartWaitOptions): Promise<Cart>;
  remove(id: string): Promise<void>;
  /** In the order of the download. */
  files(id: string, options?: PageOptions): Listing<CartFile>;
  /** `manifest-<algorithm>.txt` as it lies in the download. */
  manifest(id: string, signal?: AbortSignal): AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** What `download` would send, without the bytes. */
  stat(id: string, form: DownloadForm, signal?: AbortSignal): Promise<Pick<Content, "sizeBytes" | "etag">>;
  /** The archive, or a part of it. @throws LongshoreError cart_not_ready, cart_failed, cart_expired. */
  download(id: string, options: DownloadForm & ContentOptions): Promise<Content>;
}

export function cartsApi(connection: Connection): CartsApi {
  const pathOf = (id: string) => `/carts/${encodeURIComponent(id)}`;
  const downloadPath = (id: string, { format, bag }: DownloadForm) =>
    `${pathOf(id)}/download.${format}${query({ bag: bag ? "true" : undefined })}`;
  const get = (id: string, signal?: AbortSignal) => connection.json<Cart>(pathOf(id), { signal });

  return {
    create: (cart, signal) => connection.json<Cart>("/carts", jsonBody("POST", cart, signal)),
    get,
    list: ({ signal, ...filter } = {}) => listing<Cart>(connection, "/carts", filter, signal),
    wait: (id, options = {}) =>
      watch(
        () => get(id, options.signal),
        ({ status }) => status !== "waiting" && status !== "staging",
        options,
      ),
    async remove(id) {
      await connection.send(pathOf(id), { method: "DELETE" });
    },
    files: (id, { signal, ...page } = {}) => listing<CartFile>(connection, `${pathOf(id)}/files`, page, signal),
    async *manifest(id, signal) {
      yield* bodyOf(await connection.send(`${pathOf(id)}/manifest`, { signal }), signal);
    },
    stat: (id, form, signal) => contentFacts(connection, downloadPath(id, form), signal),
    download: (id, { format, bag, ...options }) =>
      contentAt(connection, downloadPath(id, { format, ...(bag === undefined ? {} : { bag }) }), options),
  };
}
