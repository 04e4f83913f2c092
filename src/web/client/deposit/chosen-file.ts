/** A file that somebody wants to deposit. */
export interface ChosenFile {
  /** Inside the bundle; a folder keeps its own name. */
  readonly path: string;
  readonly file: File;
}

/** Those of an input, of files or of a folder. */
export function filesOf(input: HTMLInputElement): ChosenFile[] {
  return Array.from(input.files ?? [], (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * What was dropped, folders with everything in them. To be called while the event is handled: later its items are gone.
 * @throws DOMException when something cannot be read.
 */
export async function droppedFiles({ items }: DataTransfer): Promise<ChosenFile[]> {
  // What lies in no file system, as a picture of another page, is a file all the same.
  const entries = Array.from(items, (item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const found: ChosenFile[] = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ path: entry.name, file: entry });
    else if (entry) await collect(entry, entry.name, found);
  }
  return found;
}

async function collect(entry: FileSystemEntry, path: string, found: ChosenFile[]): Promise<void> {
  if (isFile(entry)) found.push({ path, file: await new Promise<File>((done, fail) => entry.file(done, fail)) });
  if (!isFolder(entry)) return;
  const reader = entry.createReader();
  for (;;) {
    // A folder is told in parts; an empty one is its end (File and Directory Entries API §7.3).
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (part.length === 0) return;
    for (const one of part) await collect(one, `${path}/${one.name}`, found);
  }
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;
