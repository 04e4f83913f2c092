/*
 * JSON objects as text. Scripts read the members of a document by their position, so their order is kept as it was sent,
 * which parsing would not do (names that are numbers come first then), and so are numbers that JavaScript has no room for.
 * Every text here has been parsed before: it is JSON.
 */

/** Values as text, in order. Of a name that comes twice the last value counts. */
export function membersOf(object: string): Map<string, string> {
  const members = new Map<string, string>();
  for (const part of partsOf(object)) {
    const from = part.indexOf('"');
    const to = endOfString(part, from) + 1;
    members.set(JSON.parse(part.slice(from, to)), part.slice(part.indexOf(":", to) + 1).trim());
  }
  return members;
}

export function objectOf(members: ReadonlyMap<string, string>): string {
  return `{${Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** The object with the members of `change` put over its own; where both have an object, that is done to these. */
export function mergedObject(object: string, change: string): string {
  const members = membersOf(object);
  for (const [name, value] of membersOf(change)) {
    const own = members.get(name);
    members.set(name, own?.startsWith("{") && value.startsWith("{") ? mergedObject(own, value) : value);
  }
  return objectOf(members);
}

/** Which members are wanted, by path with dots; `*` stands for anything. No includes: all but the excludes. */
export interface Selection {
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
}

/** The object with what is selected alone; objects of which nothing is wanted are left out. */
export function selectedObject(object: string, { includes, excludes }: Selection): string {
  const [wanted, unwanted] = [includes.map(pathPattern), excludes.map(pathPattern)];

  /** @returns `undefined` when nothing is left. */
  function select(value: string, path: string, isWanted: boolean): string | undefined {
    if (value.startsWith("{")) {
      const left = Array.from(membersOf(value), ([name, member]) => {
        const memberPath = path === "" ? name : `${path}.${name}`;
        if (unwanted.some((pattern) => pattern.test(memberPath))) return [name, undefined] as const;
        const isMemberWanted = isWanted || wanted.some((pattern) => pattern.test(memberPath));
        return [name, select(member, memberPath, isMemberWanted)] as const;
      }).filter((entry): entry is [string, string] => entry[1] !== undefined);
      return isWanted || left.length > 0 ? objectOf(new Map(left)) : undefined;
    }
    if (value.startsWith("[")) {
      const left = Array.from(partsOf(value), (element) => select(element.trim(), path, isWanted));
      const kept = left.filter((element) => element !== undefined);
      return isWanted || kept.length > 0 ? `[${kept.join(",")}]` : undefined;
    }
    return isWanted ? value : undefined;
  }
  return select(object.trim(), "", wanted.length === 0) ?? "{}";
}

function pathPattern(path: string): RegExp {
  const literal = path.replace(/[\\^$.+?()[\]{}|]/g, "\\$&");
  return new RegExp(`^${literal.replaceAll("*", ".*")}$`, "s");
}

/** What is between the commas of an object or array. */
function* partsOf(text: string): Generator<string> {
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at);
    else if (char === "{" || char === "[") {
      if (++depth === 1) from = at + 1;
    } else if (char === "}" || char === "]") {
      if (--depth === 0 && text.slice(from, at).trim() !== "") yield text.slice(from, at);
    } else if (char === "," && depth === 1) {
      yield text.slice(from, at);
      from = at + 1;
    }
  }
}

/** @param from at its first quote. @returns where its last one is. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
}
