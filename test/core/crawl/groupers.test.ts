import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { type GrouperOptions, grouperNamed } from "../../../src/core/crawl/grouping/groupers.ts";
import { GROUPER_NAMES } from "../../../src/core/crawl/grouping/groups.ts";
import type { SourceEntry } from "../../../src/core/crawl/source.ts";
import { AppError } from "../../../src/core/errors.ts";
import { seededRandom } from "../../support/random.ts";

const entry = (path: string): SourceEntry => ({ path, kind: "file", sizeBytes: 1, modifiedAt: null, mode: null });

/** `kind: names`, sorted. */
async function grouped(
  grouper: string,
  names: readonly string[],
  options: GrouperOptions = {},
): Promise<readonly string[]> {
  const groups = await grouperNamed(grouper, options)(names.map((name) => entry(`folder.d/${name}`)));
  return groups.map(({ kind, files }) => `${kind}: ${files.map((file) => names[file]).join(" ")}`).sort();
}

describe("groupers", () => {
  test("an unknown name is an error that names the known ones, and only regex takes a pattern", async () => {
    assert.throws(() => grouperNamed("by_colour"), {
      code: "request_invalid",
      details: { grouper: "by_colour", expected: "file_is_group, extension, directory, matio, stem, sequence, regex" },
    });
    for (const name of ["toString", "", "MATIO"]) assert.throws(() => grouperNamed(name), { code: "request_invalid" });
    assert.throws(() => grouperNamed("regex"), { code: "request_invalid" });
    assert.throws(() => grouperNamed("stem", { pattern: "a" }), { code: "request_invalid" });
  });

  test("every grouper puts every file into at least one group, and into none twice", async (t) => {
    const random = seededRandom(t);
    const parts = [
      "a",
      "OUTCAR",
      "INCAR",
      "001",
      "1",
      ".",
      "_",
      "tif",
      "xml",
      ".gz",
      "._",
      "CHG",
      "in",
      "out",
      "pwi",
      "-",
    ];
    for (const name of GROUPER_NAMES) {
      const grouper = grouperNamed(name, name === "regex" ? { pattern: "^([a-z]+).*?(\\d*)" } : {});
      assert.deepEqual(await grouper([]), []);
      for (let round = 0; round < 50; round++) {
        const made = Array.from({ length: random(40) }, () =>
          Array.from({ length: 1 + random(6) }, () => parts[random(parts.length)]).join(""),
        );
        const files = [...new Set(made)];
        const groups = await grouper(files.map(entry));
        const reached = new Set(groups.flatMap((group) => group.files));
        assert.deepEqual(
          [...reached].sort((a, b) => a - b),
          [...files.keys()],
          `${name}: ${files.join(" ")}`,
        );
        for (const group of groups) assert.equal(new Set(group.files).size, group.files.length);
      }
    }
  });

  test("file_is_group, extension and directory do what they are called", async () => {
    const names = ["a.TIF", "b.tif", "c", ".tif"];
    assert.deepEqual(await grouped("file_is_group", names), ["file: .tif", "file: a.TIF", "file: b.tif", "file: c"]);
    assert.deepEqual(await grouped("extension", names), [": c .tif", "tif: a.TIF b.tif"]);
    assert.deepEqual(await grouped("directory", names), ["directory: a.TIF b.tif c .tif"]);
  });

  // Names from the VASP manual's list of input and output files (vasp.at/wiki, "Category:Files").
  test("matio keeps each VASP run together, whatever tells the runs apart, and however many files it has", async () => {
    const run = "INCAR POSCAR CONTCAR KPOINTS POTCAR OUTCAR OSZICAR CHGCAR WAVECAR DOSCAR EIGENVAL vasprun.xml".split(
      " ",
    );
    const names = [
      ...run,
      ...run.map((name) => `${name}.relax1.gz`),
      "static_OUTCAR",
      "static_INCAR",
      "CHG",
      "report-2020.pdf",
      "notes.txt",
    ];
    assert.deepEqual(await grouped("matio", names), [
      "file: notes.txt",
      "file: report-2020.pdf",
      `vasp: ${run.join(" ")} CHG`,
      `vasp: ${run.map((name) => `${name}.relax1.gz`).join(" ")}`,
      "vasp: static_OUTCAR static_INCAR",
    ]);
  });

  test("matio pairs input and output of the same stem, and leaves unrelated files of the folder alone", async () => {
    const names = ["si.pwi", "si.pwo", "si.png", "ge.in", "ge.out", "lone.out", "x.ins", "x.hkl", "x.cif", "y.cif"];
    assert.deepEqual(await grouped("matio", names), [
      "file: lone.out",
      "file: si.png",
      "file: y.cif",
      "input-and-output: ge.in ge.out",
      "quantum-espresso: si.pwi si.pwo",
      "shelx: x.ins x.hkl x.cif",
    ]);
  });

  test("stem finds what describes a file: same stem, whole name and more, compressed, and macOS's", async () => {
    const names = [
      "s.tif",
      "s.xml",
      "s.tif.xmp",
      "s.tif.aux.xml",
      "._s.tif",
      "b.nii.gz",
      "b.json",
      "d.1.csv",
      "d.2.csv",
    ];
    assert.deepEqual(await grouped("stem", [...names, "README", "README.md", ".hidden"]), [
      "file: .hidden",
      "file: d.1.csv",
      "file: d.2.csv",
      "stem: README README.md",
      "stem: b.nii.gz b.json",
      "stem: s.tif s.xml s.tif.xmp s.tif.aux.xml ._s.tif",
    ]);
  });

  test("regex groups by its named groups and tells them; what it does not match stays alone", async () => {
    const names = ["A1_red.tif", "A1_blue.tif", "B2_red.tif", "overview.png", "other.png"];
    const pattern = "^(?<well>[A-H]\\d+)_(?:[a-z]+)\\.tif$";
    assert.deepEqual(await grouped("regex", names, { pattern }), [
      "file: other.png",
      "file: overview.png",
      "regex: A1_red.tif A1_blue.tif",
      "regex: B2_red.tif",
    ]);
    const [first] = await grouperNamed("regex", { pattern })(names.map(entry));
    assert.deepEqual(first?.details, { well: "A1" });
  });

  test("a pattern that takes long is told so before it has looked at many names, and others have turns until then", async () => {
    const names = Array.from({ length: 5_000 }, (_, at) => entry("a".repeat(250) + at));
    const giveWay = () => systemClock.sleep(0);
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    try {
      const grouping = grouperNamed("regex", { pattern: "(a?){100}b", giveWay })(names);
      await assert.rejects(Promise.resolve(grouping), (error) => {
        assert.ok(error instanceof AppError && error.code === "request_invalid");
        assert.match(error.message, /pattern: \(a\?\)\{100\}b; expected: a pattern that takes at most 50000 steps/);
        return true;
      });
      assert.ok(turns >= 3, `${turns} turns`);
      await grouperNamed("regex", { pattern: "^(?<run>a+)(?<n>\\d+)$" })(names);
    } finally {
      clearInterval(counting);
    }
  });
});
