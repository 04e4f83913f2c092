import assert from "node:assert/strict";
import { test } from "node:test";
import { extractor as c } from "../../../src/core/extract/extractors/code-c.ts";
import { extractor as python } from "../../../src/core/extract/extractors/code-python.ts";
import { describing } from "./records.ts";

/** The members of a record's list, as what is named of each. */
function listed(value: unknown, ...members: readonly string[]): unknown[] {
  return (value as Record<string, unknown>[]).map((one) => members.map((member) => one[member]));
}

// Expected values are Python's own: ast and tokenize of CPython 3.11.
const PYTHON = `#!/usr/bin/env python
"""What it does.

    More of it.
"""
from __future__ import annotations
import numpy as np, os.path
from ..near import (one as two,  # both
                    three)
from . import *

URL = "# no comment"

class Outer(Base, metaclass=Meta):
    'Has "quotes"\\tand a tab.'

    @property
    async def read(self, a, /, b: int = 3, *args,
                   key, other=None, **rest) -> int:  # why
        r"""Raw \\n stays.
            Indented.
        """
        def inner(x): return lambda y: y

    class Inner: pass

def plain(): b"bytes are no docstring"
def formatted(): f"nor {this}"
`;

test("Python: imports, functions, classes and comments", async (t) => {
  const { describe } = await describing(t, python);
  const { data, problems } = await describe(PYTHON, "a.py");
  assert.deepEqual(problems, []);
  assert.equal(data.lines, 28);
  assert.deepEqual(data.comments, { count: 3, text: "/usr/bin/env python both why" });
  assert.equal(data.docstring, "What it does.\n\nMore of it.");
  assert.deepEqual(listed(data.imports, "module", "name", "alias", "line"), [
    ["__future__", "annotations", null, 6],
    ["numpy", null, "np", 7],
    ["os.path", null, null, 7],
    ["..near", "one", "two", 8],
    ["..near", "three", null, 8],
    [".", "*", null, 10],
  ]);
  assert.deepEqual(listed(data.functions, "qualifiedName", "line", "isAsync", "docstring"), [
    ["Outer.read", 18, true, "Raw \\n stays.\nIndented."],
    ["Outer.read.<locals>.inner", 23, false, null],
    ["plain", 27, false, null],
    ["formatted", 28, false, null],
  ]);
  const [read] = listed(data.functions, "parameters");
  assert.deepEqual(read, [["self", "a", "b", "*args", "key", "other", "**rest"]]);
  assert.deepEqual(listed(data.classes, "qualifiedName", "line", "bases", "methods", "docstring"), [
    ["Outer", 14, ["Base"], ["read"], 'Has "quotes"    and a tab.'],
    ["Outer.Inner", 25, [], [], null],
  ]);
});

test("Python: line ends of Windows and old Macs, and none at the end, change nothing", async (t) => {
  const { describe } = await describing(t, python);
  const { data } = await describe(PYTHON, "a.py");
  for (const end of ["\r\n", "\r"]) {
    const other = await describe(PYTHON.replaceAll("\n", end), "a.py");
    assert.deepEqual(other.data, data);
  }
  const { data: open } = await describe(PYTHON.trimEnd(), "a.py");
  assert.deepEqual(open, data);
});

test("Python: a syntax error is said, and what stands elsewhere is described", async (t) => {
  const { describe } = await describing(t, python);
  const { data, problems } = await describe("import a\ndef (broken\n\ndef whole(x): pass\n", "a.py");
  assert.equal(data.hasSyntaxErrors, true);
  assert.match(problems[0]?.message ?? "", /line 2 is not understood/);
  assert.deepEqual(listed(data.imports, "module"), [["a"]]);
  assert.deepEqual(listed(data.functions, "name"), [["whole"]]);
});

test("Python 2 is understood, too", async (t) => {
  const { describe } = await describing(t, python);
  const { data, problems } = await describe('def f((a, b), c=1):\n    print "x", c\n    exec "y"\n', "a.py");
  assert.deepEqual(problems, []);
  assert.deepEqual(listed(data.functions, "name", "parameters"), [["f", ["(a, b)", "c"]]]);
});

// Expected values are read off C11, 6.7.6 (declarators) and 6.7.2.1 (struct and union).
const C = `#include <stdio.h>
#include "own/part.h"
/* A comment
 * of two lines. */
typedef struct node { int a, *b; char c[3]; int (*call)(int); struct { int deep; } inner; unsigned bits : 3; } node_t, *node_p;
struct only_declared;
union either { int i; float f; };
enum colour { RED, GREEN = 2 };
static inline const char *name(const char *s, int n[3], ...) { int local(void); return s; } // static
int proto(void), other(int x), variable;
int (*pointer)(int);
int (*chosen(int q))(char) { return 0; }
typedef int (*callback)(void *p);
#ifdef X
int conditional(a, b) int a; char b; { return a; }
#endif
struct node value = { 1 };
`;

test("C: includes, functions, types and comments", async (t) => {
  const { describe } = await describing(t, c);
  const { data, problems } = await describe(C, "a.c");
  assert.deepEqual(problems, []);
  assert.equal(data.lines, 17);
  assert.deepEqual(data.comments, { count: 2, text: "A comment of two lines. static" });
  assert.deepEqual(listed(data.includes, "path", "isSystem", "line"), [
    ["stdio.h", true, 1],
    ["own/part.h", false, 2],
  ]);
  assert.deepEqual(listed(data.functions, "name", "returns", "parameters", "isDefinition", "isStatic", "line"), [
    ["name", "char", ["const char *s", "int n[3]", "..."], true, true, 9],
    ["proto", "int", [], false, false, 10],
    ["other", "int", ["int x"], false, false, 10],
    ["chosen", "int", ["int q"], true, false, 12],
    ["conditional", "int", ["a", "b"], true, false, 15],
  ]);
  assert.deepEqual(listed(data.structs, "kind", "name", "fields"), [
    ["struct", "node", ["a", "b", "c", "call", "inner", "bits"]],
    ["struct", null, ["deep"]],
    ["union", "either", ["i", "f"]],
  ]);
  assert.deepEqual(listed(data.enums, "name", "values"), [["colour", ["RED", "GREEN"]]]);
  assert.deepEqual(listed(data.typedefs, "name", "type"), [
    ["node_t", "struct node"],
    ["node_p", "struct node"],
    ["callback", "int"],
  ]);
});

test("C: line ends of Windows, and none at the end, change nothing", async (t) => {
  const { describe } = await describing(t, c);
  const { data } = await describe(C, "a.c");
  const { data: other } = await describe(C.replaceAll("\n", "\r\n").trimEnd(), "a.c");
  assert.deepEqual(other, data);
});

test("C: what only its preprocessor understands is said", async (t) => {
  const { describe } = await describing(t, c);
  const { data, problems } = await describe("BEGIN_DECLS(\nint f(int);\n", "a.h");
  assert.equal(data.hasSyntaxErrors, true);
  assert.equal(problems.length, 1);
});

for (const [language, extractor] of [
  ["Python", python],
  ["C", c],
] as const)
  test(`${language}: code that goes deeper than any stack is described`, async (t) => {
    const { describe } = await describing(t, extractor);
    for (const hostile of ["(".repeat(300_000), "x = ".repeat(100_000), "{(['\"".repeat(50_000)]) {
      const { data } = await describe(hostile, "a");
      assert.equal(data.hasSyntaxErrors, true);
    }
  });

test("code beyond the bound is not read, and that is said", async (t) => {
  const { describe } = await describing(t, python);
  const { data } = await describe("x = 1\n".repeat(100_000), "a.py");
  assert.deepEqual([data.isWhole, data.lines], [false, Math.ceil((512 * 1024) / 6)]);
});
