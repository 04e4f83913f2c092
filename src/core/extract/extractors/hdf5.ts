import type { Problem } from "../../errors.ts";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import { attributeRecords, attributeSchema } from "../hdf5/attribute-record.ts";
import { attributesOf } from "../hdf5/attributes.ts";
import { readDataset } from "../hdf5/dataset.ts";
import { readDatatype, typeText } from "../hdf5/datatype.ts";
import { MESSAGE, type Message, messageOf } from "../hdf5/object-header.ts";
import { type Hdf5Object, treeOf } from "../hdf5/objects.ts";
import { openHdf5 } from "../hdf5/source.ts";
import { malformed, malformedProblem } from "../malformed.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

const MAX_ATTRIBUTES_OF_OBJECT = 1000;
const MAX_PROBLEMS = 100;

const ATTRIBUTES = listSchema(
  attributeSchema({ shape: orNull({ ...listSchema(COUNT), description: "empty for a single value, null for none" }) }),
);

/** What an HDF5 file holds: its groups, datasets, types and links, with their attributes; not the data itself. */
export const extractor = fileByFile({
  name: "hdf5",
  version: "1",
  takes: { mediaTypes: ["application/x-hdf5", "application/x-netcdf4"], extensions: [] },
  schema: objectSchema({
    superblockVersion: COUNT,
    userBlockBytes: { ...COUNT, description: "of something else, before the HDF5 file" },
    dataBytes: { ...NUMBER, description: "of all datasets together, uncompressed" },
    isWhole: { ...FLAG, description: "false when there is more than is listed here" },
    groups: listSchema(objectSchema({ path: TEXT, members: COUNT, attributes: ATTRIBUTES })),
    datasets: listSchema(
      objectSchema({
        path: TEXT,
        type: TEXT,
        shape: orNull({ ...listSchema(COUNT), description: "empty for a single value, null for none" }),
        maxShape: orNull({ ...listSchema(orNull(COUNT)), description: "null for what has no limit" }),
        sizeBytes: { ...NUMBER, description: "of its values, uncompressed" },
        storage: { enum: ["compact", "contiguous", "chunked", "virtual", "external"] },
        chunks: orNull(listSchema(COUNT)),
        filters: listSchema(
          objectSchema({ name: TEXT, options: { ...listSchema(COUNT), description: "of deflate, the level" } }),
        ),
        attributes: ATTRIBUTES,
      }),
    ),
    datatypes: listSchema(objectSchema({ path: TEXT, type: TEXT, attributes: ATTRIBUTES })),
    links: {
      ...listSchema(
        objectSchema({
          path: TEXT,
          kind: { enum: ["hard", "soft", "external", "userDefined"] },
          file: orNull({ ...TEXT, description: "of an external link" }),
          target: orNull(TEXT),
          isDangling: orNull({ ...FLAG, description: "null where that is not known" }),
        }),
      ),
      description: "beside the paths above; a hard one is another path of its target",
    },
  }),
  describe(bytes, { name }) {
    const problems: Problem[] = [];
    const tell = (path: string, error: unknown) => {
      const found = malformedProblem(error, `${name}${path === "/" ? "" : `:${path}`}`);
      if (problems.length < MAX_PROBLEMS) problems.push(found);
    };
    const source = openHdf5(bytes);
    if (source.missingBytes > 0) tell("/", malformed(`its last ${source.missingBytes} bytes are missing`));
    const { objects, links, isCut } = treeOf(source, tell);
    if (objects.length === 0) throw malformed(problems[0]?.message ?? "its root group is not there");

    const records = attributeRecords();
    const attributes = ({ path, messages }: Hdf5Object) =>
      attributesOf(source, messages, MAX_ATTRIBUTES_OF_OBJECT, (error) => tell(path, error)).flatMap((one) => {
        try {
          const { shape } = one.space;
          const about = { type: typeText(one.type), shape };
          const isSingle = shape !== null && shape.length === 0 && one.type.class !== "array";
          return records.record(one.name, about, isSingle ? null : one.elements, (most) => one.values(most));
        } catch (error) {
          tell(path, error);
          return [];
        }
      });
    const described = (kind: Hdf5Object["kind"], describe: (object: Hdf5Object) => RecordData) =>
      objects
        .filter((object) => object.kind === kind)
        .flatMap((object) => {
          try {
            return { path: object.path, ...describe(object), attributes: attributes(object) };
          } catch (error) {
            tell(object.path, error);
            return [];
          }
        });

    let dataBytes = 0;
    const data = {
      superblockVersion: source.superblockVersion,
      userBlockBytes: source.userBlockBytes,
      groups: described("group", ({ members }) => ({ members })),
      datasets: described("dataset", ({ messages }) => {
        const dataset = readDataset(source, messages);
        if (dataset === undefined) throw malformed("a dataset has no type");
        const { type, filters, ...about } = dataset;
        dataBytes += dataset.sizeBytes;
        return { ...about, type: typeText(type), filters: filters.map(({ name, options }) => ({ name, options })) };
      }),
      datatypes: described("datatype", ({ messages }) => ({ type: committedType(messages) })),
      links: links.map(({ path, to, isDangling }) => ({
        path,
        kind: to.kind,
        file: to.kind === "external" ? to.file.toWellFormed() : null,
        target: to.kind === "userDefined" ? null : to.target.toWellFormed(),
        isDangling,
      })),
    };
    if (isCut || records.isCut()) tell("/", malformed("it holds more than is listed"));
    return { data: { ...data, dataBytes, isWhole: problems.length === 0 }, problems };

    function committedType(messages: readonly Message[]): string {
      const fields = messageOf(source, messages, MESSAGE.datatype);
      if (fields === undefined) throw malformed("an object is neither group nor dataset nor type");
      return typeText(readDatatype(fields));
    }
  },
});
