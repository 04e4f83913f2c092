import { type Attribute, attributesOf } from "../hdf5/attributes.ts";
import { type Dataset, readDataset } from "../hdf5/dataset.ts";
import { type Datatype, readDatatype, typeText } from "../hdf5/datatype.ts";
import { Fields } from "../hdf5/fields.ts";
import { globalHeapObject } from "../hdf5/global-heap.ts";
import { MESSAGE, messageOf } from "../hdf5/object-header.ts";
import { type Hdf5Object, treeOf } from "../hdf5/objects.ts";
import type { Hdf5Source } from "../hdf5/source.ts";
import { malformed } from "../malformed.ts";
import type { NetcdfAttribute, NetcdfDimension, NetcdfFile, NetcdfGroup, NetcdfVariable } from "./netcdf-file.ts";

const MAX_ATTRIBUTES = 1000;
const MAX_RANK = 1024;

/** Attributes that are netCDF's own bookkeeping, and HDF5's of dimension scales: `ncdump` does not show them either. */
const HIDDEN_OF_FILE = new Set(["_NCProperties", "_nc3_strict"]);
const HIDDEN_OF_VARIABLE = new Set([
  "CLASS",
  "NAME",
  "DIMENSION_LIST",
  "REFERENCE_LIST",
  "_Netcdf4Dimid",
  "_Netcdf4Coordinates",
]);
/** How the name of a scale begins that is a dimension and no variable. */
const ONLY_DIMENSION = "This is a netCDF dimension but not a netCDF variable";
/** Before the name of a variable that has a dimension's name, but is not its coordinate. */
const NOT_COORDINATE = "_nc4_non_coord_";

type MutableDimension = { -readonly [K in keyof NetcdfDimension]: NetcdfDimension[K] };

interface Node {
  readonly object: Hdf5Object;
  readonly dataset: Dataset;
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/**
 * Reads an HDF5 file as netCDF-4 does (NetCDF-4 format: "NetCDF-4 dimensions and HDF5 dimension scales").
 * @param unreadable is told of each object that cannot be read. @throws AppError content_malformed when it has no root.
 */
export function readNetcdf4(source: Hdf5Source, unreadable: (path: string, error: unknown) => void): NetcdfFile {
  const { objects, isCut } = treeOf(source, unreadable);
  const [root] = objects;
  if (root?.path !== "/") throw malformed("its root group is not there");
  const attributesByObject = new Map(objects.map((object) => [object, attributesBy(object)]));
  const typeNames = namedTypes();
  const nodes = objects.filter(({ kind }) => kind === "dataset").flatMap(nodeOf);

  const dimensions = new Map<number, MutableDimension>();
  const byId = new Map<number, MutableDimension>();
  for (const node of nodes) {
    if (text(node, "CLASS") !== "DIMENSION_SCALE") continue;
    const { shape, maxShape } = node.dataset;
    const { group, name } = placeOf(node);
    const dimension = { group, name, size: shape?.[0] ?? 0, isUnlimited: maxShape?.[0] === null };
    dimensions.set(node.object.address, dimension);
    const id = numbers(node, "_Netcdf4Dimid")[0];
    if (id !== undefined) byId.set(id, dimension);
  }
  const variables = nodes.filter((node) => !isOnlyDimension(node)).flatMap(variableOf);
  // An unlimited dimension is as long as the longest variable along it; the others are filled up.
  for (const { along, lengths } of variables)
    for (const [i, dimension] of along.entries())
      if (dimension?.isUnlimited) dimension.size = Math.max(dimension.size, lengths[i] ?? 0);

  return {
    format: attributesByObject.get(root)?.has("_nc3_strict") ? "netCDF-4 classic model" : "netCDF-4",
    madeBy: textOf(attributesByObject.get(root)?.get("_NCProperties")) ?? null,
    groups: objects.filter(({ kind }) => kind === "group").map(groupOf),
    dimensions: [...dimensions.values()],
    variables: variables.map(({ along, lengths, ...variable }) => ({
      ...variable,
      dimensions: along.map((dimension) => dimension?.name ?? null),
      shape: along.map((dimension, i) => dimension?.size ?? lengths[i] ?? 0),
    })),
    isCut,
  };

  function attributesBy(object: Hdf5Object): ReadonlyMap<string, Attribute> {
    const tell = (error: unknown) => unreadable(object.path, error);
    return new Map(attributesOf(source, object.messages, MAX_ATTRIBUTES, tell).map((one) => [one.name, one]));
  }

  /** Types that a user has named, by what they are: variables do not say their types' names. */
  function namedTypes(): ReadonlyMap<string, string> {
    const names = new Map<string, string>();
    for (const { kind, path, messages } of objects) {
      if (kind !== "datatype") continue;
      try {
        const fields = messageOf(source, messages, MESSAGE.datatype);
        if (fields) names.set(typeText(readDatatype(fields)), nameOf(path));
      } catch (error) {
        unreadable(path, error);
      }
    }
    return names;
  }

  function typeOf(type: Datatype): string {
    const name = netcdfType(type);
    return typeNames.get(name) ?? name;
  }

  function nodeOf(object: Hdf5Object): readonly Node[] {
    try {
      const dataset = readDataset(source, object.messages);
      return dataset ? [{ object, dataset, attributes: attributesByObject.get(object) ?? new Map() }] : [];
    } catch (error) {
      unreadable(object.path, error);
      return [];
    }
  }

  function groupOf(object: Hdf5Object): NetcdfGroup {
    return { path: object.path, attributes: visible(attributesByObject.get(object), HIDDEN_OF_FILE) };
  }

  function variableOf(node: Node): readonly (Omit<NetcdfVariable, "dimensions" | "shape"> & Along)[] {
    const { object, dataset, attributes } = node;
    try {
      return [
        {
          ...placeOf(node),
          type: typeOf(dataset.type),
          along: alongOf(node),
          lengths: dataset.shape ?? [],
          chunks: dataset.chunks,
          filters: dataset.filters.map(({ name }) => name),
          attributes: visible(attributes, HIDDEN_OF_VARIABLE),
        },
      ];
    } catch (error) {
      unreadable(object.path, error);
      return [];
    }
  }

  /** A variable's dimensions: by their numbers, by its scales, or itself. */
  function alongOf(node: Node): readonly (MutableDimension | undefined)[] {
    const rank = node.dataset.shape?.length ?? 0;
    const ids = numbers(node, "_Netcdf4Coordinates");
    if (ids.length === rank && rank > 0) return ids.map((id) => byId.get(id));
    const scales = node.attributes.get("DIMENSION_LIST");
    if (scales?.type.class === "varying")
      return scales.raw(MAX_RANK).map((list) => dimensions.get(firstReference(list) ?? -1));
    const own = dimensions.get(node.object.address);
    return Array.from({ length: rank }, (_, i) => (i === 0 ? own : undefined));
  }

  /** Of a list of references to scales, which are addresses, the first: netCDF attaches no more than one. */
  function firstReference(list: Buffer): number | undefined {
    const fields = new Fields(list, 0);
    if (fields.u32() === 0) return undefined;
    const collection = fields.sized(source.addressBytes);
    const { addressBytes } = source;
    return new Fields(globalHeapObject(source, collection, fields.u32(), addressBytes), 0).sizedOrNone(addressBytes);
  }
}

interface Along {
  readonly along: readonly (MutableDimension | undefined)[];
  readonly lengths: readonly number[];
}

function isOnlyDimension(node: Node): boolean {
  return text(node, "CLASS") === "DIMENSION_SCALE" && (text(node, "NAME") ?? "").startsWith(ONLY_DIMENSION);
}

function placeOf({ object: { path } }: Node): { readonly group: string; readonly name: string } {
  const name = nameOf(path);
  return {
    group: path.slice(0, Math.max(1, path.length - name.length - 1)),
    name: name.startsWith(NOT_COORDINATE) ? name.slice(NOT_COORDINATE.length) : name,
  };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function text({ attributes }: Node, name: string): string | undefined {
  return textOf(attributes.get(name));
}

function textOf(attribute: Attribute | undefined): string | undefined {
  const [value] = attribute?.values(1) ?? [];
  return typeof value === "string" ? value : undefined;
}

function numbers({ attributes }: Node, name: string): readonly number[] {
  return (attributes.get(name)?.values(MAX_RANK) ?? []).filter((value) => typeof value === "number");
}

function visible(
  attributes: ReadonlyMap<string, Attribute> | undefined,
  hidden: ReadonlySet<string>,
): readonly NetcdfAttribute[] {
  return [...(attributes?.values() ?? [])].filter(({ name }) => !hidden.has(name)).map(attributeOf);
}

/** A text of fixed length is an array of `char` to netCDF, and an empty one has no values in HDF5. */
function attributeOf({ name, type, space, elements, values }: Attribute): NetcdfAttribute {
  const isChars = type.class === "string" && (space.shape === null || space.shape.length === 0);
  return {
    name,
    type: type.class === "string" ? "char" : netcdfType(type),
    elements: isChars ? null : elements,
    values: isChars && space.shape === null ? () => [""] : values,
  };
}

const INTEGERS: Readonly<Record<number, readonly [string, string]>> = {
  1: ["byte", "ubyte"],
  2: ["short", "ushort"],
  4: ["int", "uint"],
  8: ["int64", "uint64"],
};

function netcdfType(type: Datatype): string {
  if (type.class === "integer") return INTEGERS[type.sizeBytes]?.[type.isSigned ? 0 : 1] ?? typeText(type);
  if (type.class === "float" && type.sizeBytes === 4) return "float";
  if (type.class === "float" && type.sizeBytes === 8) return "double";
  if (type.class === "string" && type.sizeBytes === 1) return "char";
  return typeText(type);
}
