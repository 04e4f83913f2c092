import { type DigestName, digestLength, digestName } from "../digest.ts";

/** What a checksum file says of one file. */
export interface Checksum {
  readonly path: string;
  readonly algorithm: DigestName;
  readonly value: string;
}

/** What is wrong with a line. */
export interface BadLine {
  readonly line: number;
  readonly expected: string;
}

/** At the top level of a delivered folder: `checksums.md5`, `manifest-sha256.txt`, `SHA512SUMS`. */
const NAME = /(?:^manifest-(\w+)\.txt|\.(md5|sha1|sha256|sha512)|^(md5|sha1|sha256|sha512)sums?(?:\.txt)?)$/i;

/** The algorithm of a checksum file by its name; `undefined` for any other file. */
export function checksumAlgorithm(name: string): DigestName | undefined {
  const [, ...found] = NAME.exec(name) ?? [];
  const spelling = found.find((each) => each !== undefined);
  return spelling === undefined ? undefined : digestName(spelling);
}

/** GNU coreutils write `digest`, a blank, a blank or `*`, and the name; a line with an escaped name begins with `\`. */
const GNU = /^(\\?)([0-9a-f]+)(?: [ *]|\t+| )(.+)$/i;
/** BSD, and coreutils with --tag. */
const TAGGED = /^([\w/-]+) \((.+)\) = ([0-9a-f]+)$/i;

/** Reads what `md5sum -c` and its relatives read. Comments (`#`, `;`) and empty lines are passed over. */
export function readChecksums(
  text: string,
  algorithm: DigestName,
): { readonly checksums: readonly Checksum[]; readonly bad: readonly BadLine[] } {
  const checksums: Checksum[] = [];
  const bad: BadLine[] = [];
  for (const [index, raw] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = raw.replace(/\r$/, "");
    if (line.trim() === "" || /^[#;]/.test(line)) continue;
    const one = gnu(line, algorithm) ?? tagged(line);
    if (!one) bad.push({ line: index + 1, expected: `${digestLength(algorithm)} hex digits and a name` });
    else if (one.value.length !== digestLength(one.algorithm))
      bad.push({ line: index + 1, expected: `${digestLength(one.algorithm)} hex digits for ${one.algorithm}` });
    else checksums.push(one);
  }
  return { checksums, bad };
}

function gnu(line: string, algorithm: DigestName): Checksum | undefined {
  const [, escaped, digits = "", name = ""] = GNU.exec(line) ?? [];
  if (escaped === undefined) return undefined;
  const path = escaped === "" ? name : name.replace(/\\(.)/g, (_, letter: string) => ESCAPES[letter] ?? letter);
  return { path: path.replace(/^(\.\/+)+/, ""), algorithm, value: digits.toLowerCase() };
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", "\\": "\\" };

function tagged(line: string): Checksum | undefined {
  const [, spelling = "", path = "", digits = ""] = TAGGED.exec(line) ?? [];
  const algorithm = digestName(spelling);
  return algorithm && { path: path.replace(/^(\.\/+)+/, ""), algorithm, value: digits.toLowerCase() };
}
