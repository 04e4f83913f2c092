import type { CartEntry } from "../../src/core/carts/cart.ts";
import type { CartStore } from "../../src/core/carts/cart-store.ts";
import type { Layout } from "../../src/core/carts/layout/layout.ts";
import type { CatalogueStore } from "../../src/core/catalogue/catalogue-store.ts";
import { cartId, fileId, transactionId } from "../../src/core/ids.ts";

export interface OpenedCarts {
  readonly carts: CartStore;
  readonly catalogue: CatalogueStore;
  close(): Promise<void>;
}

/** Makes what the suites of the CartStore work on. */
export function cartRows(opened: () => OpenedCarts) {
  let carts = 0;
  const newCart = (given: Partial<Parameters<CartStore["create"]>[0]> = {}, now = 1_000) =>
    opened().carts.create(
      {
        id: cartId(`cart-${++carts}`),
        uid: null,
        name: "data",
        owner: "ada",
        algorithm: "sha512",
        expiresAt: null,
        ...given,
      },
      now,
    );

  let lastFile = 0;
  /** A transaction with this many files in the catalogue. */
  const archived = async (count: number) => {
    const files = Array.from({ length: count }, () => ++lastFile);
    const id = transactionId(files[0] ?? ++lastFile);
    await opened().catalogue.add(
      {
        id,
        submitter: null,
        project: null,
        instrument: null,
        owner: "ada",
        fileCount: count,
        sizeBytes: count,
        objectPath: `aa/${id}`,
        inventoryDigest: "",
        createdAt: 1,
      },
      (async function* () {
        for (const n of files)
          yield {
            id: fileId(n),
            transactionId: id,
            path: `data/${n}`,
            contentPath: `v1/content/data/${n}`,
            sizeBytes: 10 + n,
            modifiedAt: n % 2 === 0 ? "2020-09-13T12:26:40.000Z" : "about noon",
            changedAt: null,
            mediaType: "text/plain",
            digests: { sha512: `5${n}`, md5: `d${n}` },
            crc32: 0xffff_0000 + n,
            declared: { algorithm: "md5", value: `d${n}` },
          };
      })(),
      [],
      [],
      1,
    );
    return { id, files: files.map(fileId) };
  };

  return { newCart, archived };
}

/** What the catalogue knows of such a file, as an entry. `date -ud @1600000000` is the time above. */
export const archivedEntry = (
  seq: number,
  n: number,
  transaction: number,
  given: Partial<CartEntry> = {},
): CartEntry => ({
  seq,
  path: `p/${n}`,
  sizeBytes: 10 + n,
  modifiedAt: n % 2 === 0 ? 1_600_000_000_000 : null,
  crc32: 0xffff_0000 + n,
  digest: `5${n}`,
  fileId: fileId(n),
  transactionId: transactionId(transaction),
  location: { at: "archive", path: `aa/${transaction}/v1/content/data/${n}` },
  expected: null,
  ...given,
});

export const remoteEntry = (seq: number, id: string): CartEntry => ({
  seq,
  path: `remote/${id}`,
  sizeBytes: 0,
  modifiedAt: null,
  crc32: null,
  digest: null,
  fileId: null,
  transactionId: null,
  location: { at: "remote", id },
  expected: { algorithm: "sha1", value: "ab" },
});

export const layout = (contentDigest: string): Layout => ({
  sizeBytes: 2 ** 45,
  contentDigest,
  fileCount: 3_000,
  payloadBytes: 7,
  regions: { members: 2 ** 44, directory: 5, manifest: 6 },
  facts: { manifestCrc32: 0xffff_ffff, manifestDigest: "ü" },
});

/** Until there is nothing more to do. */
export async function all(step: () => Promise<boolean>): Promise<void> {
  while (await step());
}
