import { spawnSync } from "node:child_process";
import { dirname } from "node:path";

const STAGING = "archive/extensions/longshore-staging/";

/** What lies in a server's data folder, as find(1) sees it. */
export interface DataFolder {
  /** Folders of the archive's objects, relative to it. */
  readonly objects: readonly string[];
  /** Whatever is staged, incoming or discarded. */
  readonly staged: readonly string[];
  /** Every other file that belongs to no object: the database, the archive's own, and whatever should not be there. */
  readonly others: readonly string[];
}

export function lookInto(dataDir: string): DataFolder {
  // What vanishes while find looks is gone, whatever find says about it.
  const { stdout } = spawnSync("find", [dataDir, "-mindepth", "1", "-printf", "%y%P\\0"], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  const entries = stdout.split("\0").map((entry) => ({ type: entry.slice(0, 1), path: entry.slice(1) }));
  const objects = new Set(
    entries
      .filter(({ path }) => path.endsWith("/0=ocfl_object_1.1") && !path.startsWith(STAGING))
      .map(({ path }) => dirname(path).replace(/^archive\//, "")),
  );
  // OCFL layout extension 0004: an object is four folders deep in the archive.
  const isInObject = (path: string) => objects.has(path.split("/").slice(1, 5).join("/"));
  const places = ["discarded", "incoming", "notes", "trees"].map((name) => STAGING + name);
  return {
    objects: [...objects].sort(),
    staged: entries.map(({ path }) => path).filter((path) => path.startsWith(STAGING) && !places.includes(path)),
    others: entries
      .filter(({ type, path }) => type !== "" && type !== "d" && !path.startsWith(STAGING) && !isInObject(path))
      // A search index that is made anew, whenever that is done, has the next number.
      .map(({ path }) => path.replace(/^search\/index-\d+/, "search/index"))
      .sort(),
  };
}
