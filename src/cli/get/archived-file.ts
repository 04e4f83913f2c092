import { basename } from "node:path";
import { type ArchivedFile, LongshoreError } from "../../sdk/index.ts";
import { bytesText } from "../amounts.ts";
import type { CliContext } from "../command.ts";
import { type RemoteFile, receiveFile, type SaveOptions, targetOf } from "./whole-file.ts";

/** Saves one archived file, or prints it, and checks its digest. */
export async function getFile(context: CliContext, fileId: number, options: SaveOptions): Promise<void> {
  const { terminal } = context;
  const { files } = context.server().client;
  const file = await files.get(fileId);
  const digest = checkable(file);
  const target = targetOf(basename(file.path), options);
  const remote: RemoteFile = {
    name: file.path,
    sizeBytes: file.sizeBytes,
    digest,
    stat: (signal) => files.stat(fileId, signal),
    content: (part) => files.content(fileId, part),
  };
  await receiveFile(context, remote, target);
  if (target === "-") return;
  terminal.note(`${target}: ${bytesText(file.sizeBytes)}, ${digest.algorithm} as archived`);
  if (options.json) terminal.printJson({ ...file, savedAs: target });
  else terminal.print(target);
}

/** The strongest digest that can be computed here; the archive's own is always among them. */
function checkable(file: ArchivedFile): RemoteFile["digest"] {
  for (const algorithm of ["sha512", "sha256", "sha1", "md5"]) {
    const value = file.digests[algorithm];
    if (value !== undefined) return { algorithm, value };
  }
  throw new LongshoreError("digest_unknown", `File ${file.id} has no digest that can be checked here.`);
}
