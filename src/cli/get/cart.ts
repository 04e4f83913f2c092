import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Cart, type DownloadForm, type Longshore, LongshoreError } from "../../sdk/index.ts";
import { bytesText, countText } from "../amounts.ts";
import { archiveBytes } from "../archive/archive-bytes.ts";
import { badFiles, checkArchive } from "../archive/check-archive.ts";
import { copyOf, type Member } from "../archive/member.ts";
import { isSafePart } from "../archive/member-path.ts";
import { tarMembers } from "../archive/tar-members.ts";
import { zipMembers } from "../archive/zip-members.ts";
import { readyCart } from "../cart-display.ts";
import type { CliContext, JsonOption } from "../command.ts";
import { Interrupted } from "../failure.ts";
import type { Terminal } from "../terminal.ts";
import { receiveArchive } from "./cart-archive.ts";
import { type CartDownload, cartDownload, DownloadChanged } from "./cart-download.ts";
import { unpackCart } from "./cart-unpack.ts";

/** A ready cart never changes, so a download that keeps changing has another reason. */
const MAX_CHANGES = 3;

export interface CartGetOptions extends JsonOption {
  readonly output?: string;
  readonly force?: true;
  readonly format?: "tar" | "zip";
  readonly unpack?: true;
  readonly bag?: true;
  readonly connections: number;
}

interface Getting {
  readonly client: Longshore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly cart: Cart;
  readonly options: CartGetOptions;
}

/** Saves a cart as an archive or as files, or prints its archive, and checks every file of it. */
export async function getCart(context: CliContext, id: string, options: CartGetOptions): Promise<void> {
  const { terminal } = context;
  requireOneForm(options);
  const { client } = context.server();
  const signal = context.interruptible();
  const cart = await readyCart({ client, terminal, signal }, id);
  const getting = { client, terminal, signal, cart, options };
  if (options.output === "-") return printArchive(getting);
  const savedAs = isUnpacking(options) ? await unpack(getting) : await saveArchive(getting);
  if (options.json) terminal.printJson({ ...cart, savedAs });
  else terminal.print(savedAs);
}

/** @throws LongshoreError usage. */
function requireOneForm({ output, unpack, format, bag, json }: CartGetOptions): void {
  const wrong = [
    unpack && format !== undefined && "--unpack and --format exclude each other.",
    unpack && output === "-" && "--unpack writes files; it does not go together with -o -.",
    (unpack || (isFolder(output) && format === undefined)) && bag && "--bag is for archives: give a --format.",
    json && output === "-" && "-o - prints the archive itself; it does not go together with --json.",
  ].find((sentence) => typeof sentence === "string");
  if (wrong) throw new LongshoreError("usage", wrong);
}

function isFolder(output: string | undefined): output is string {
  if (output === undefined || output === "-") return false;
  return output.endsWith("/") || statSync(output, { throwIfNoEntry: false })?.isDirectory() === true;
}

const isUnpacking = ({ unpack, format, output }: CartGetOptions) =>
  unpack === true || (isFolder(output) && format === undefined);

async function unpack(getting: Getting): Promise<string> {
  const { cart, options, terminal } = getting;
  const folder = options.output ?? ".";
  const path = await withDownload(getting, { format: "tar" }, (download) =>
    unpackCart({ ...getting, download, folder, force: options.force === true }),
  );
  terminal.note(`${path}: ${countText(cart.files, "file")}, ${bytesText(cart.bytes)}, each as archived`);
  return path;
}

async function saveArchive(getting: Getting): Promise<string> {
  const { options } = getting;
  const form = formOf(options);
  const target = targetOf(getting, form.format);
  await withDownload(getting, form, (download) =>
    receiveArchive({ ...getting, download, target, check: checkOf(form), connections: options.connections }),
  );
  return target;
}

const formOf = ({ format = "tar", bag }: CartGetOptions) => ({ format, bag: bag === true });
const checkOf = ({ format, bag }: ReturnType<typeof formOf>) => ({
  members: format === "tar" ? tarMembers : zipMembers,
  bag,
});

/** @throws LongshoreError usage. */
function targetOf({ cart, options: { output, force } }: Getting, format: string): string {
  const name = `${cart.name}.${format}`;
  if ((output === undefined || isFolder(output)) && !isSafePart(name))
    throw new LongshoreError("usage", `The cart's name, ${name}, cannot be a file's; choose one with --output.`);
  const target = isFolder(output) ? join(output, name) : (output ?? name);
  if (existsSync(target) && !force)
    throw new LongshoreError("usage", `${target} exists already; --force replaces it.`, { details: { path: target } });
  return target;
}

/** Begins anew when the download has become another one. */
async function withDownload<T>(
  getting: Getting,
  form: DownloadForm,
  receive: (download: CartDownload) => Promise<T>,
): Promise<T> {
  for (let changes = 0; ; changes++) {
    try {
      return await receive(await cartDownload(getting, getting.cart, form));
    } catch (error) {
      if (!(error instanceof DownloadChanged)) throw error;
      if (changes >= MAX_CHANGES) throw new LongshoreError("remote_refused", `${error.message} Again and again.`);
    }
  }
}

/** The archive as it comes, checked while it passes; what is wrong is known at the end, when it is printed already. */
async function printArchive({ client, terminal, signal, cart, options }: Getting): Promise<void> {
  const form = formOf(options);
  const download = await cartDownload({ client, terminal, signal }, cart, form);
  const archive = archiveBytes(download.sizeBytes, async function* (from) {
    for await (const chunk of download.bytes(from, download.sizeBytes, signal)) {
      if (!process.stdout.write(chunk)) await once(process.stdout, "drain", { signal });
      yield chunk;
    }
  });
  const keepManifest = async (manifest: Member) => {
    const kept: Uint8Array[] = [];
    for await (const chunk of manifest.bytes()) kept.push(copyOf(chunk));
    return async function* () {
      yield* kept;
    };
  };
  try {
    const bad = await checkArchive(archive, cart, { ...checkOf(form), keepManifest });
    if (bad.length > 0) throw badFiles(bad, cart, "They were printed all the same.");
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted)
      throw new Interrupted(`Interrupted: ${bytesText(archive.position)} were printed; a pipe cannot be continued.`);
    if (!(error instanceof DownloadChanged)) throw error;
    throw new LongshoreError("digest_mismatch", `${error.message} Its first bytes are printed already.`);
  } finally {
    await archive.close();
  }
}
