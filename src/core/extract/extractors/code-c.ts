import type { Node } from "web-tree-sitter";
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

const NAME = orNull({ ...TEXT, description: "null when it has none of its own, as in a typedef" });

const c = syntaxOf("tree-sitter-c/tree-sitter-c.wasm");
const WANTED = [
  "preproc_include",
  "function_definition",
  "declaration",
  "struct_specifier",
  "union_specifier",
  "enum_specifier",
  "type_definition",
  "comment",
];

/** What C code includes and declares, as it is written: nothing is preprocessed, and all branches of `#if` count. */
export const extractor = fileByFile({
  name: "code-c",
  version: "1",
  takes: { mediaTypes: [], extensions: ["c", "h"] },
  schema: objectSchema({
    ...CODE_SCHEMA,
    includes: listSchema(
      objectSchema({ path: TEXT, isSystem: { ...FLAG, description: "between < and >" }, line: COUNT }),
    ),
    functions: listSchema(
      objectSchema({
        name: TEXT,
        returns: { ...TEXT, description: "without the stars of a pointer" },
        parameters: listSchema({ ...TEXT, description: "as declared, with their types" }),
        isDefinition: { ...FLAG, description: "false for a prototype" },
        isStatic: FLAG,
        line: COUNT,
      }),
    ),
    structs: listSchema(
      objectSchema({ kind: { enum: ["struct", "union"] }, name: NAME, fields: listSchema(TEXT), line: COUNT }),
    ),
    enums: listSchema(objectSchema({ name: NAME, values: listSchema(TEXT), line: COUNT })),
    typedefs: listSchema(
      objectSchema({ name: TEXT, type: { ...TEXT, description: "without a struct's fields" }, line: COUNT }),
    ),
  }),
  async describe(bytes, { name: path }) {
    const code = codeOf(bytes);
    return c.parse(code, (root) => {
      const includes: ReturnType<typeof includeOf>[] = [];
      const functions: ReturnType<typeof functionsOf> = [];
      const structs: { kind: string; name: string | null; fields: string[]; line: number }[] = [];
      const enums: { name: string | null; values: string[]; line: number }[] = [];
      const typedefs: ReturnType<typeof typedefsOf> = [];
      const comments: Node[] = [];
      /** What stands in a function's body declares nothing to others. */
      let bodyEnd = 0;
      for (const node of root.descendantsOfType(WANTED)) {
        const members = node.type.endsWith("_specifier") ? node.childForFieldName("body") : null;
        if (node.type === "comment") comments.push(node);
        else if (node.type === "preproc_include") includes.push(includeOf(code, node));
        else if (members !== null) {
          const about = { name: nameOf(code, node.childForFieldName("name")), line: lineOf(node) };
          if (node.type === "enum_specifier") enums.push({ ...about, values: enumerators(code, members) });
          else
            structs.push({
              kind: node.type === "struct_specifier" ? "struct" : "union",
              ...about,
              fields: fieldsOf(code, members),
            });
        } else if (node.type === "type_definition") typedefs.push(...typedefsOf(code, node));
        else if (/^(function_definition|declaration)$/.test(node.type) && node.startIndex >= bodyEnd) {
          functions.push(...functionsOf(code, node));
          if (node.type === "function_definition") bodyEnd = node.endIndex;
        }
      }
      const lists = { includes, functions, structs, enums, typedefs };
      const isListed = Object.values(lists).every(({ length }) => length <= MAX_LISTED);
      return {
        data: {
          lines: linesOf(code),
          comments: commentsOf(code, comments, /^\/\*[*!]*|\*+\/$|^\/\/[/!]*|^[ \t]*\*+(?=\s)/gm),
          hasSyntaxErrors: root.hasError,
          isWhole: code.isWhole && isListed,
          includes: includes.slice(0, MAX_LISTED),
          functions: functions.slice(0, MAX_LISTED),
          structs: structs.slice(0, MAX_LISTED),
          enums: enums.slice(0, MAX_LISTED),
          typedefs: typedefs.slice(0, MAX_LISTED),
        },
        problems: syntaxProblems(root, path),
      };
    });
  },
});

function includeOf(code: Code, node: Node) {
  const from = node.childForFieldName("path");
  const path = from === null ? "" : plainText(code, from);
  return { path: path.replace(/^["<]|[">]$/g, ""), isSystem: path.startsWith("<"), line: lineOf(node) };
}

/** A definition's function, or those that a declaration declares. */
function functionsOf(code: Code, node: Node) {
  const type = node.childForFieldName("type");
  const isStatic = node.namedChildren.some(
    (child) => child.type === "storage_class_specifier" && nodeText(code, child) === "static",
  );
  return node.childrenForFieldName("declarator").flatMap((declarator) => {
    const declared = declaredFunction(declarator);
    if (declared === undefined) return [];
    return {
      name: plainText(code, declared.name),
      returns: type === null ? "" : typeText(code, type),
      parameters: parametersOf(code, declared.declarator),
      isDefinition: node.type === "function_definition",
      isStatic,
      line: lineOf(declared.name),
    };
  });
}

/**
 * What a declarator says of the name within it (C11 6.7.6): it is a function when parameters follow the name itself, and a
 * pointer to one when they follow a star in brackets.
 */
function declaredFunction(outermost: Node): { readonly name: Node; readonly declarator: Node } | undefined {
  let declarator: Node | undefined;
  for (let node: Node | null = outermost; node !== null; ) {
    if (node.type === "identifier") return declarator && { name: node, declarator };
    if (node.type === "function_declarator") declarator = node;
    else if (node.type !== "parenthesized_declarator") declarator = undefined;
    node = node.childForFieldName("declarator") ?? (isWrapper(node) ? lastNamed(node) : null);
  }
  return undefined;
}

/** These have what they declare behind other things, and under no field's name. */
function isWrapper({ type }: Node): boolean {
  return type === "parenthesized_declarator" || type === "attributed_declarator";
}
function lastNamed(node: Node): Node | null {
  const declarators = node.namedChildren.filter(
    ({ type }) => type.endsWith("declarator") || type.endsWith("identifier"),
  );
  return declarators.at(-1) ?? null;
}

function parametersOf(code: Code, declarator: Node): string[] {
  const listed = declarator.childForFieldName("parameters")?.namedChildren ?? [];
  const parameters = listed.filter(({ type }) => type !== "comment").map((one) => plainText(code, one));
  return parameters.length === 1 && parameters[0] === "void" ? [] : parameters;
}

function fieldsOf(code: Code, members: Node): string[] {
  return members
    .descendantsOfType("field_declaration")
    .filter(({ parent }) => !isInnerList(parent, members))
    .flatMap((field) => field.childrenForFieldName("declarator"))
    .flatMap((declarator) => declaredName(code, declarator) ?? []);
}
/** A struct within the struct has fields of its own; branches of `#if` within it have not. */
function isInnerList(list: Node | null, members: Node): boolean {
  for (let node = list; node !== null && node.id !== members.id; node = node.parent)
    if (node.type === "field_declaration_list") return true;
  return false;
}

function enumerators(code: Code, members: Node): string[] {
  const named = members.descendantsOfType("enumerator").map((one) => nameOf(code, one.childForFieldName("name")));
  return named.filter((name) => name !== null);
}

function typedefsOf(code: Code, node: Node) {
  const type = node.childForFieldName("type");
  return node.childrenForFieldName("declarator").flatMap((declarator) => {
    const name = declaredName(code, declarator);
    if (name === undefined) return [];
    return { name, type: type === null ? "" : typeText(code, type), line: lineOf(node) };
  });
}

/** The name within a declarator, whatever it declares it to be. */
function declaredName(code: Code, outermost: Node): string | undefined {
  for (let node: Node | null = outermost; node !== null; ) {
    if (node.type.endsWith("identifier")) return plainText(code, node);
    node = node.childForFieldName("declarator") ?? lastNamed(node);
  }
  return undefined;
}

function typeText(code: Code, type: Node): string {
  const body = type.childForFieldName("body");
  if (body === null) return plainText(code, type);
  const name = nameOf(code, type.childForFieldName("name"));
  return [type.type.replace("_specifier", ""), name ?? []].flat().join(" ");
}

function nameOf(code: Code, node: Node | null): string | null {
  return node === null ? null : plainText(code, node);
}
