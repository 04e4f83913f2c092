import { extensionOf, stemOf, uncompressedName } from "../names.ts";
import type { Group } from "./groups.ts";

/** Files of a VASP run, as the VASP manual names them. */
const VASP = [
  ..."INCAR POSCAR CONTCAR KPOINTS POTCAR OUTCAR OSZICAR CHGCAR WAVECAR DOSCAR EIGENVAL PROCAR XDATCAR IBZKPT".split(
    " ",
  ),
  ..."LOCPOT ELFCAR AECCAR0 AECCAR1 AECCAR2 PARCHG PROOUT TMPCAR WAVEDER vasprun.xml vaspout.h5".split(" "),
];
/** Also of a run, and so common as names that they count only beside one of the above. */
const VASP_COMMON = ["CHG", "PCDAT", "REPORT"];

/** `relax.OUTCAR`, `OUTCAR_2`, `OUTCAR.relax.gz`: what stands before and behind tells one run from another. */
const VASP_NAME = new RegExp(
  `^(?:(?<before>.*)[._-])?(?<name>${[...VASP, ...VASP_COMMON].map((name) => name.replace(".", "\\.")).join("|")})(?:[._-](?<behind>.*))?$`,
  "i",
);

/**
 * Files of one calculation or experiment by their endings, when they have the same stem: those of which `leading` is one
 * there, and another.
 */
const STEM_SETS = [
  { kind: "quantum-espresso", leading: ["pwi", "pwo"], others: ["in", "out"] },
  { kind: "input-and-output", leading: ["in"], others: ["out"] },
  { kind: "gaussian", leading: ["gjf", "com", "fchk"], others: ["log", "chk", "out"] },
  { kind: "shelx", leading: ["ins", "res"], others: ["hkl", "fcf", "lst", "cif"] },
  { kind: "siesta", leading: ["fdf"], others: ["out", "xv", "dm", "eig"] },
  { kind: "cp2k", leading: ["inp"], others: ["out", "restart", "ener"] },
] as const;

/**
 * Sets of files that programs of materials science read and write together: of VASP by their names, of others by stem and
 * ending. A file may be in several sets (`a.out`); one that is in none is a group of its own.
 */
export function materialSets(names: readonly string[]): readonly Group[] {
  const groups = [...vaspSets(names), ...stemSets(names)];
  const grouped = new Set(groups.flatMap(({ files }) => files));
  const alone = [...names.keys()].filter((index) => !grouped.has(index));
  return [...groups, ...alone.map((index) => ({ files: [index], kind: "file" }))];
}

function vaspSets(names: readonly string[]): readonly Group[] {
  const members = names.flatMap((name, file) => {
    const { before = "", name: part, behind = "" } = VASP_NAME.exec(uncompressedName(name))?.groups ?? {};
    const isCommon = VASP_COMMON.includes(part?.toUpperCase() ?? "");
    return part === undefined ? [] : [{ file, run: `${before}\0${behind}`, isCommon }];
  });
  return [...Map.groupBy(members, ({ run }) => run).values()]
    .filter((run) => run.some(({ isCommon }) => !isCommon))
    .map((run) => ({ files: run.map(({ file }) => file), kind: "vasp" }));
}

function stemSets(names: readonly string[]): readonly Group[] {
  const byStem = Map.groupBy(names.keys(), (file) => stemOf(names[file] ?? ""));
  return [...byStem.values()]
    .filter((files) => files.length > 1)
    .flatMap((files) =>
      STEM_SETS.flatMap(({ kind, leading, others }) => {
        const endings = files.map((file) => extensionOf(uncompressedName(names[file] ?? "")));
        const members = files.filter((_, at) => [...leading, ...others].some((ending) => ending === endings[at]));
        const isLed = leading.some((ending) => endings.includes(ending));
        return isLed && members.length > 1 ? [{ files: members, kind }] : [];
      }),
    );
}
