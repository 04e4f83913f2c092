import { builtInExtractors } from "../src/adapters/sandbox/built-in.ts";
import type { ExtractorFacts } from "../src/core/extract/extractions.ts";

/** `docs/formats/extractors.md`, from what the extractors say of themselves. @param note that it is generated. */
export async function extractorsPage(note: string): Promise<string> {
  const limits = { silenceMs: 60_000, totalMs: 60_000, memoryBytes: 512 * 1024 ** 2, outputBytes: 1024 ** 2 };
  const set = builtInExtractors({ readable: [], limits, processes: 1 });
  const facts = await set.facts();
  await set.sandbox.close();
  return `# Extractors

${note}

An extractor describes files. Longshore brings ${facts.length} of them; others can be added. A file gets all that take it, each group of files one record of
each extractor. Which ones take a file is decided by its content; where content says no more than that it is text or bytes, the ending
of its name is asked as well.

Extractors run apart from the server, in processes that are ended when they take too long, too much memory or say too much. What goes wrong is said
in the record (\`failure\`), and concerns that group alone:

| reason | what happened |
|---|---|
| \`unreadable\` | the file is gone, became something else, may not be read, or is too large to be fetched from its store |
| \`threw\` | the extractor gave up; the message is its own |
| \`silence\` | it took too long for this group (\`LONGSHORE_EXTRACT_SECONDS\`) |
| \`total\` | it was one of a run of groups that took too long together |
| \`memory\` | it took too much memory (\`LONGSHORE_EXTRACT_MEMORY\`) |
| \`output\` | its record is too large (\`LONGSHORE_EXTRACT_OUTPUT\`), or the records around it are |
| \`garbage\` | what it said is no record, or not one of its own schema |
| \`died\` | its process ended before it said anything |
| \`gone\` | the extractor was there when the extraction was asked for, and was taken away |

## Extractors of your own

Name a folder in \`LONGSHORE_EXTRACTORS\`. Each folder in it is one extractor, with a manifest \`extractor.json\`:

| field | meaning |
|---|---|
| \`name\` | lower-case letters, digits and \`-\`; no built-in extractor's, nor another's |
| \`version\` | raise it whenever the same file would give another record; it is kept with each record |
| \`takes\` | \`{ "mediaTypes": ["image/png", "text/*"], "extensions": ["fasta"] }\`: at least one; endings in lower case, without the dot |
| \`command\` | program and arguments. A program with a \`/\` in it is looked for in this folder, another in \`/usr/local/bin\`, \`/usr/bin\` and \`/bin\` |
| \`image\` | a container image, instead: it is run by podman, or docker, with \`command\` as its arguments if there is one. It must be on the machine already |
| \`schema\` | JSON Schema (2020-12) of the record's data. Optional; what does not fit it is a failed record |
| \`sample\` | a file in this folder that it can describe, to be tried with. Optional |
| \`limits\` | \`{ "timeMs", "memoryBytes", "outputBytes" }\`, for one group; the server's settings, when left out |

For each group of files the program is started once, in its folder. On its standard input is one JSON document:

\`\`\`json
{ "files": [{ "path": "/where/it/lies/now", "name": "reads.fasta", "sizeBytes": 1234 }] }
\`\`\`

It prints one JSON document to its standard output, and ends with exit code 0. \`problems\` says what could not be read though the rest
could; it may be left out:

\`\`\`json
{ "data": { "sequences": 2 }, "problems": [{ "path": "reads.fasta", "message": "the last sequence is cut off" }] }
\`\`\`

With another exit code it has given up; the last line on its standard error is the reason. It has to bear a group of no files. \`path\` is
only where the file lies while it is described, and may say nothing of the file; \`name\` is its name in its store.

An extractor is checked before it is used: its manifest, that its program or image is there, its schema, and a try on its sample, or on a group of no
files when it has none. The server looks into the folder by itself; \`register\` does it at once and says what is wrong. A changed extractor is
taken up when its manifest changes; as long as it fails its checks, the one from before stays. \`examples/extractors/fasta\` is one to copy.

What is promised, and what is not:

- Each run has a process group of its own, four variables of environment (\`PATH\`, \`LANG\`, \`HOME\`, \`TMPDIR\`, the last two a folder that is
  removed afterwards), and ends as a whole: by a process table of its own where the system allows one, else by its process group.
- Time, memory of all its processes together, and output are limited everywhere; memory on Linux only.
- It has no network on Linux where \`unshare\` works, and in containers. Elsewhere it has the server's.
- A program may read and write what the server's user may: put only programs there that you trust. A container sees its image, the folders in which
  the group's files lie (read-only), and nothing else.
- Built-in extractors run in Node's permission model: they read what is crawled and their own code, write nowhere, start nothing, and have no network.

## Built-in extractors

${facts.map((one) => `- [${one.name}](#${one.name})`).join("\n")}

${facts.map(section).join("\n")}`;
}

function section({ name, version, takes, schema }: ExtractorFacts): string {
  const kinds = takes.mediaTypes.map((type) => `\`${type}\``).join(", ");
  const endings = takes.extensions.map((extension) => `\`.${extension}\``).join(", ");
  const taken = [
    kinds === "" ? [] : `Takes ${kinds}.`,
    endings === "" ? [] : `Where content does not tell: ${endings}.`,
  ].flat();
  return `### ${name}

Version ${version}. ${taken.join(" ")}

\`\`\`json
${shortJson(schema)}
\`\`\`
`;
}

const WIDTH = 120;

/** JSON with each value on one line where it fits, so that a schema can be read. */
function shortJson(value: unknown, indent = ""): string {
  const line = lineOf(value);
  if (indent.length + line.length <= WIDTH || typeof value !== "object" || value === null) return line;
  const deeper = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = Object.entries(value).map(
    ([name, part]) => `${deeper}${isList ? "" : `${JSON.stringify(name)}: `}${shortJson(part, deeper)}`,
  );
  const [open, close] = isList ? "[]" : "{}";
  return `${open}\n${parts.join(",\n")}\n${indent}${close}`;
}

function lineOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(lineOf).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${lineOf(part)}`);
  return parts.length === 0 ? "{}" : `{ ${parts.join(", ")} }`;
}
