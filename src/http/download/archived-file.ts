import { maySee, type Principal } from "../../core/access/access.ts";
import type { ObjectStorage } from "../../core/archive/object-storage.ts";
import type { ArchivedFile, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import type { FileId } from "../../core/ids.ts";
import type { ServerDeps } from "../server-deps.ts";
import { exactly } from "./exact-bytes.ts";
import type { Representation } from "./representation.ts";

export interface VisibleFile {
  readonly file: ArchivedFile;
  readonly transaction: Transaction;
}

/** @throws AppError file_unknown, also for one that this caller may not see. */
export async function visibleFile(
  { catalogue }: Pick<ServerDeps, "catalogue">,
  principal: Principal,
  id: FileId,
): Promise<VisibleFile> {
  const file = await catalogue.file(id);
  const transaction = file && (await catalogue.transaction(file.transactionId));
  if (!transaction || !maySee(principal, transaction.owner)) throw new AppError("file_unknown", { id });
  return { file, transaction };
}

export const pathInStorage = ({ transaction, file }: VisibleFile) => `${transaction.objectPath}/${file.contentPath}`;

export function fileRepresentation(storage: ObjectStorage, found: VisibleFile): Representation {
  const { file } = found;
  const time = Date.parse(file.modifiedAt ?? "");
  return {
    sizeBytes: file.sizeBytes,
    etag: `"${file.digests.sha512 ?? file.digests.sha256 ?? file.declared.value}"`,
    modifiedAt: Number.isNaN(time) ? null : time,
    mediaType: mediaTypeOr(file.mediaType, "application/octet-stream"),
    fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
    digests: file.digests,
    async *read(range) {
      const bytes = await storage.open(pathInStorage(found), range);
      yield* exactly(bytes, range ? range.end - range.start + 1 : file.sizeBytes);
    },
  };
}

/** A media type as RFC 9110 §8.3.1 spells it, so that nothing else can get into the head. */
function mediaTypeOr(text: string, otherwise: string): string {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  return new RegExp(`^${token}/${token}(?:[ ]*;[ ]*${token}=(?:${token}|"[^"\\\\\\x00-\\x1f\\x7f-\\uffff]*"))*$`).test(
    text,
  )
    ? text
    : otherwise;
}
