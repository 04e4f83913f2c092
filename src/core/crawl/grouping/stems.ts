import { stemOf } from "../names.ts";
import type { Group } from "./groups.ts";

/**
 * Files and what describes them: `scan.tif` with `scan.xml` (the same stem), with `scan.tif.xmp` and `scan.tif.aux.xml` (the
 * whole name and more), with `scan.nii.gz` and its `scan.json`, and with macOS's `._scan.tif`. Letter by letter: `Scan` is
 * another stem.
 */
export function sameStem(names: readonly string[]): readonly Group[] {
  const present = new Set(names);
  const keys = new Map<string, string>();

  function keyOf(name: string): string {
    const known = keys.get(name);
    if (known !== undefined) return known;
    const described = describedBy(name);
    const key = described === undefined ? stemOf(name) : keyOf(described);
    keys.set(name, key);
    return key;
  }

  /** The longest name of another file that this one adds an ending to. */
  function describedBy(name: string): string | undefined {
    if (name.startsWith("._") && present.has(name.slice(2))) return name.slice(2);
    for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
      const shorter = name.slice(0, dot);
      if (present.has(shorter)) return shorter;
    }
    return undefined;
  }

  return [...Map.groupBy(names.keys(), (index) => keyOf(names[index] ?? "")).values()].map((files) => ({
    files,
    kind: files.length === 1 ? "file" : "stem",
  }));
}
