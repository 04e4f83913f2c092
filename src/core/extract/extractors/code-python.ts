import type { Node } from "web-tree-sitter";
import { cleanDocstring, stringValue } from "../code/python-strings.ts";
import {
  CODE_SCHEMA,
  type Code,
  codeOf,
  commentsOf,
  lineOf,
  linesOf,
  MAX_LISTED,
  nodeText,
  plainText,
  syntaxOf,
  syntaxProblems,
} from "../code/syntax.ts";
import { fileByFile } from "../file-by-file.ts";
import { COUNT, FLAG, listSchema, objectSchema, orNull, TEXT } from "../record-schema.ts";

const MAX_DOCSTRING_CHARS = 1000;

const DOCSTRING = orNull({ ...TEXT, description: `its first ${MAX_DOCSTRING_CHARS} characters, without indentation` });
const DEFINED = {
  name: TEXT,
  qualifiedName: { ...TEXT, description: "as Python's __qualname__" },
  line: { ...COUNT, description: "of def or class, behind decorators" },
  docstring: DOCSTRING,
};

const python = syntaxOf("tree-sitter-python/tree-sitter-python.wasm");
const IMPORTS = ["import_statement", "import_from_statement", "future_import_statement"];
const WANTED = [...IMPORTS, "function_definition", "class_definition", "comment"];

interface Import {
  readonly module: string;
  readonly name: string | null;
  readonly alias: string | null;
  readonly line: number;
}

/** A definition that what follows may lie in. */
interface Scope {
  readonly inside: string;
  readonly end: number;
  readonly methods?: string[];
}

/** What Python code imports and defines, of Python 2 and 3. */
export const extractor = fileByFile({
  name: "code-python",
  version: "1",
  takes: { mediaTypes: ["text/x-python"], extensions: ["py", "pyw", "pyi"] },
  schema: objectSchema({
    ...CODE_SCHEMA,
    docstring: DOCSTRING,
    imports: listSchema(
      objectSchema({
        module: { ...TEXT, description: "relative ones begin with dots" },
        name: orNull({ ...TEXT, description: "what is imported from the module, or * for all; null for itself" }),
        alias: orNull(TEXT),
        line: COUNT,
      }),
    ),
    functions: listSchema(
      objectSchema({
        ...DEFINED,
        parameters: listSchema({ ...TEXT, description: "* and ** stand before those that collect others" }),
        isAsync: FLAG,
      }),
    ),
    classes: listSchema(objectSchema({ ...DEFINED, bases: listSchema(TEXT), methods: listSchema(TEXT) })),
  }),
  async describe(bytes, { name: path }) {
    const code = codeOf(bytes);
    return python.parse(code, (root) => {
      const imports: Import[] = [];
      const functions: ReturnType<typeof functionOf>[] = [];
      const classes: ReturnType<typeof classOf>[] = [];
      const comments: Node[] = [];
      const scopes: Scope[] = [];
      for (const node of root.descendantsOfType(WANTED)) {
        if (node.type === "comment") comments.push(node);
        else if (IMPORTS.includes(node.type)) imports.push(...importsOf(code, node));
        else {
          while ((scopes.at(-1)?.end ?? Number.POSITIVE_INFINITY) <= node.startIndex) scopes.pop();
          const scope = scopes.at(-1);
          const defined = definedBy(code, node, scope);
          if (node.type === "function_definition") {
            functions.push(functionOf(code, node, defined));
            scope?.methods?.push(defined.name);
            scopes.push({ inside: `${defined.qualifiedName}.<locals>.`, end: node.endIndex });
          } else {
            const found = classOf(code, node, defined);
            classes.push(found);
            scopes.push({ inside: `${defined.qualifiedName}.`, end: node.endIndex, methods: found.methods });
          }
        }
      }
      const isListed = [imports, functions, classes].every(({ length }) => length <= MAX_LISTED);
      return {
        data: {
          lines: linesOf(code),
          comments: commentsOf(code, comments, /^#+!?/),
          hasSyntaxErrors: root.hasError,
          isWhole: code.isWhole && isListed,
          docstring: docstringOf(code, root),
          imports: imports.slice(0, MAX_LISTED).map((one) => ({ ...one })),
          functions: functions.slice(0, MAX_LISTED),
          classes: classes.slice(0, MAX_LISTED),
        },
        problems: syntaxProblems(root, path),
      };
    });
  },
});

function definedBy(code: Code, node: Node, scope: Scope | undefined) {
  const named = node.childForFieldName("name");
  const name = named === null ? "" : nodeText(code, named).slice(0, 500);
  const body = node.childForFieldName("body");
  const docstring = body === null ? null : docstringOf(code, body);
  return { name, qualifiedName: `${scope?.inside ?? ""}${name}`.slice(-2000), line: lineOf(node), docstring };
}

function functionOf(code: Code, node: Node, defined: ReturnType<typeof definedBy>) {
  const parameters = node.childForFieldName("parameters")?.namedChildren ?? [];
  return {
    ...defined,
    parameters: parameters.flatMap((one) => parameterOf(code, one) ?? []),
    isAsync: node.firstChild?.type === "async",
  };
}

function classOf(code: Code, node: Node, defined: ReturnType<typeof definedBy>) {
  const listed = node.childForFieldName("superclasses")?.namedChildren ?? [];
  const bases = listed.filter(({ type }) => !["keyword_argument", "dictionary_splat", "comment"].includes(type));
  const methods: string[] = [];
  return { ...defined, bases: bases.map((base) => plainText(code, base)), methods };
}

function parameterOf(code: Code, node: Node): string | undefined {
  switch (node.type) {
    case "comment":
    case "positional_separator":
    case "keyword_separator":
    case "ERROR":
      return undefined;
    case "default_parameter":
    case "typed_default_parameter":
    case "typed_parameter": {
      const named = node.childForFieldName("name") ?? node.firstNamedChild;
      return named === null ? undefined : plainText(code, named);
    }
    default:
      return plainText(code, node);
  }
}

function importsOf(code: Code, node: Node): Import[] {
  const line = lineOf(node);
  // A name's parts may stand apart, even on several lines.
  const dotted = (name: Node) => nodeText(code, name).replace(/[\s\\]+/g, "");
  const names = node.childrenForFieldName("name").map((name) => {
    const alias = name.childForFieldName("alias");
    return { name: dotted(name.childForFieldName("name") ?? name), alias: alias && nodeText(code, alias) };
  });
  if (node.type === "import_statement")
    return names.map(({ name, alias }) => ({ module: name, name: null, alias, line }));
  const from = node.childForFieldName("module_name");
  const module = from === null ? "__future__" : dotted(from);
  const isAll = node.namedChildren.some(({ type }) => type === "wildcard_import");
  return (isAll ? [{ name: "*", alias: null }] : names).map((one) => ({ module, ...one, line }));
}

/** The string that a module or body begins with. @param node the module, or the body. */
function docstringOf(code: Code, node: Node): string | null {
  let first = node.firstNamedChild;
  while (first?.type === "comment") first = first.nextNamedSibling;
  if (first?.type !== "expression_statement" || first.namedChildCount !== 1) return null;
  const [value] = first.namedChildren;
  const parts = value?.type === "concatenated_string" ? value.namedChildren : value?.type === "string" ? [value] : [];
  const literals = parts.filter(({ type }) => type === "string").map((part) => literalOf(nodeText(code, part)));
  // Bytes and f-strings are no docstrings.
  if (literals.length === 0 || literals.some(({ prefix }) => /[bf]/i.test(prefix))) return null;
  const text = cleanDocstring(literals.map(({ prefix, content }) => stringValue(prefix, content)).join(""));
  return text.slice(0, MAX_DOCSTRING_CHARS).toWellFormed();
}

function literalOf(literal: string): { readonly prefix: string; readonly content: string } {
  const [, prefix = "", quotes = ""] = /^([a-z]*)("""|'''|"|')/i.exec(literal) ?? [];
  return { prefix, content: literal.slice(prefix.length + quotes.length, literal.length - quotes.length) };
}
