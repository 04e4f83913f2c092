import { isGroup, type Link, type LinkTarget, linksOf } from "./links.ts";
import { MESSAGE, type Message, readObjectHeader } from "./object-header.ts";
import type { Hdf5Source } from "./source.ts";

/** Objects that are described, and links that are read. */
const MAX_OBJECTS = 5000;
const MAX_LINKS = 50_000;
const MAX_LINKS_OF_GROUP = 10_000;
const MAX_PATH_CHARS = 4096;
/** Soft links that lead to each other. */
const MAX_STEPS = 100;

export interface Hdf5Object {
  /** One of its paths: the first that is found, breadth first. */
  readonly path: string;
  readonly address: number;
  readonly kind: "group" | "dataset" | "datatype";
  readonly messages: readonly Message[];
  /** Links of a group. */
  readonly members: number;
}

/** A link that is no object's path above: one that is not hard, or leads to an object that was met before. */
export interface Hdf5Link {
  readonly path: string;
  readonly to: Exclude<LinkTarget, { readonly kind: "hard" }> | { readonly kind: "hard"; readonly target: string };
  /** `null` where that is not known: other files are not looked for. */
  readonly isDangling: boolean | null;
}

export interface Hdf5Tree {
  readonly objects: readonly Hdf5Object[];
  readonly links: readonly Hdf5Link[];
  /** Whether there are more than are read. */
  readonly isCut: boolean;
}

/**
 * All that hard links lead to from the root group, breadth first; each object once, by its address, so that circles end.
 * @param unreadable is told of each object that cannot be read; the others are read nevertheless.
 */
export function treeOf(source: Hdf5Source, unreadable: (path: string, error: unknown) => void): Hdf5Tree {
  const objects: Hdf5Object[] = [];
  const found: { readonly link: Omit<Hdf5Link, "isDangling">; readonly parent: number }[] = [];
  const paths = new Map<number, string>([[source.rootAddress, "/"]]);
  const children = new Map<number, Map<string, LinkTarget>>();
  const queue = [source.rootAddress];
  let linkCount = 0;
  let isCut = false;

  for (const address of queue) {
    const path = paths.get(address) ?? "";
    try {
      const messages = readObjectHeader(source, address);
      const links = isGroup(messages) ? readLinks(messages, path) : [];
      objects.push({ path, address, messages, kind: kindOf(messages), members: links.length });
      children.set(address, new Map(links.map(({ name, to }) => [name, to])));
      for (const link of links) follow(address, path, link);
    } catch (error) {
      unreadable(path, error);
    }
  }

  function readLinks(messages: readonly Message[], path: string): readonly Link[] {
    const links: Link[] = [];
    try {
      for (const link of linksOf(source, messages)) {
        if (links.length === MAX_LINKS_OF_GROUP || linkCount === MAX_LINKS) {
          isCut = true;
          break;
        }
        linkCount += 1;
        links.push(link);
      }
    } catch (error) {
      unreadable(path, error);
    }
    return links.toSorted(byOrder);
  }

  function follow(parent: number, above: string, { name, to }: Link): void {
    const path = `${above === "/" ? "" : above}/${name}`.slice(0, MAX_PATH_CHARS).toWellFormed();
    const first = to.kind === "hard" ? paths.get(to.address) : undefined;
    if (to.kind === "hard" && first === undefined) {
      if (queue.length === MAX_OBJECTS) isCut = true;
      else {
        paths.set(to.address, path);
        queue.push(to.address);
      }
      return;
    }
    found.push({ parent, link: { path, to: to.kind === "hard" ? { kind: "hard", target: first ?? "" } : to } });
  }

  /** Where a path leads within the file; `undefined` for nowhere, `null` where that cannot be told. */
  function resolve(from: number, path: string, steps: number): number | undefined | null {
    let address = path.startsWith("/") ? source.rootAddress : from;
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      const to = children.get(address)?.get(name);
      if (to === undefined) return isCut ? null : undefined;
      if (to.kind === "external" || to.kind === "userDefined" || steps === MAX_STEPS) return null;
      const next = to.kind === "hard" ? to.address : resolve(address, to.target, steps + 1);
      if (next === undefined || next === null) return next;
      address = next;
    }
    return address;
  }

  function isDangling({ to }: Omit<Hdf5Link, "isDangling">, parent: number): boolean | null {
    if (to.kind === "hard") return false;
    if (to.kind !== "soft") return null;
    const address = resolve(parent, to.target, 0);
    return address === null ? null : address === undefined;
  }

  const links = found.map(({ link, parent }) => ({ ...link, isDangling: isDangling(link, parent) }));
  return { objects, links, isCut };
}

/** As they were made where the group keeps that; else by name. */
function byOrder(a: Link, b: Link): number {
  if (a.order !== undefined && b.order !== undefined) return a.order - b.order;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function kindOf(messages: readonly Message[]): Hdf5Object["kind"] {
  if (isGroup(messages)) return "group";
  return messages.some(({ type }) => type === MESSAGE.dataspace) ? "dataset" : "datatype";
}
