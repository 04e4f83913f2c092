import { Language, type Node, Parser } from "web-tree-sitter";
import { type Problem, problem } from "../../errors.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { COUNT, FLAG, objectSchema, TEXT } from "../record-schema.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";
import { textSample } from "../text-sample.ts";

/** What is parsed of a file; hardly any that a person wrote is longer. A tree takes up to 800 bytes for each character. */
const MAX_CHARS = 512 * 1024;
/** Of each list of a record. */
export const MAX_LISTED = 5000;

/** What the records of all languages say. */
export const CODE_SCHEMA = {
  lines: { ...COUNT, description: "a last one without a line feed among them" },
  comments: objectSchema({ count: COUNT, text: { ...TEXT, description: "of the first ones, without their marks" } }),
  hasSyntaxErrors: { ...FLAG, description: "parts of it are not understood, and may be missing here" },
  isWhole: {
    ...FLAG,
    description: `false when only the first ${MAX_CHARS} characters were read, or more than ${MAX_LISTED} of a kind were found`,
  },
};

export interface Code {
  /** Ends its lines with line feeds, whatever the file does; a node's indexes count its UTF-16 units. */
  readonly text: string;
  readonly isWhole: boolean;
}

/**
 * A language's parser, loaded by its first use and once for a process: trees of concrete syntax, which a syntax error
 * damages where it stands and not elsewhere.
 * @param grammar of tree-sitter, as the file of its package that holds it.
 */
export function syntaxOf(grammar: string) {
  let loaded: Promise<Parser> | undefined;
  async function load(): Promise<Parser> {
    await Parser.init();
    return new Parser().setLanguage(await Language.load(new URL(import.meta.resolve(grammar))));
  }
  return {
    /** Lends the tree's root: it is gone when `use` returns. */
    async parse<T>({ text }: Code, use: (root: Node) => T): Promise<T> {
      loaded ??= load();
      const tree = (await loaded).parse(text);
      if (tree === null) throw new Error("The parser was given no language.");
      try {
        return use(tree.rootNode);
      } finally {
        tree.delete();
      }
    },
  };
}

/** @throws AppError content_malformed when it is no text. */
export function codeOf(bytes: LocalBytes): Code {
  const encoding = encodingOf(bytes.read(0, HEAD_BYTES));
  if (encoding === undefined) throw malformed("it is no text");
  let text = "";
  for (const piece of textOf(bytes, encoding)) {
    text += piece;
    if (text.length > MAX_CHARS) break;
  }
  const isWhole = text.length <= MAX_CHARS;
  return { text: (isWhole ? text : text.slice(0, MAX_CHARS)).replace(/\r\n?/g, "\n"), isWhole };
}

export function linesOf({ text }: Code): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines += 1;
  return text === "" || text.endsWith("\n") ? lines : lines + 1;
}

export function lineOf(node: Node): number {
  return node.startPosition.row + 1;
}

export function nodeText({ text }: Code, node: Node): string {
  return text.slice(node.startIndex, node.endIndex);
}

/** On one line, and bounded. */
export function plainText(code: Code, node: Node): string {
  return nodeText(code, node).replace(/\s+/g, " ").slice(0, 500).toWellFormed();
}

/** @param marks what is no word of a comment. */
export function commentsOf(code: Code, nodes: readonly Node[], marks: RegExp): { count: number; text: string } {
  const sample = textSample();
  for (const node of nodes) {
    if (sample.room() <= 0) break;
    sample.add(nodeText(code, node).replace(marks, ""));
  }
  return { count: nodes.length, text: sample.text() };
}

/** Where the first syntax error stands, if there is one. */
export function syntaxProblems(root: Node, path: string): readonly Problem[] {
  if (!root.hasError) return [];
  let node = root;
  for (let next: Node | undefined = node; next !== undefined; ) {
    node = next;
    next = node.isError ? undefined : node.children.find((child) => child.hasError || child.isMissing);
  }
  return [problem("content_malformed", { path, hint: `line ${lineOf(node)} is not understood` })];
}
