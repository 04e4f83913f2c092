import type { Problem } from "../../errors.ts";
import { fileByFile } from "../file-by-file.ts";
import { attributeRecords, attributeSchema } from "../hdf5/attribute-record.ts";
import { openHdf5 } from "../hdf5/source.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed, malformedProblem } from "../malformed.ts";
import { readClassic } from "../netcdf/classic.ts";
import { readNetcdf4 } from "../netcdf/netcdf-4.ts";
import { NETCDF_FORMATS, type NetcdfAttribute, type NetcdfFile } from "../netcdf/netcdf-file.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

const MAX_PROBLEMS = 100;

const ATTRIBUTES = listSchema(attributeSchema());
const GROUP = { ...TEXT, description: "path of its group; / for the file's own" };

/** What a netCDF file declares, of any of its formats in the same words; the data itself is not read. */
export const extractor = fileByFile({
  name: "netcdf",
  version: "1",
  takes: { mediaTypes: ["application/x-netcdf", "application/x-netcdf4"], extensions: [] },
  schema: objectSchema({
    format: { enum: NETCDF_FORMATS },
    madeBy: orNull({ ...TEXT, description: "versions of the libraries that wrote it, by itself" }),
    isWhole: { ...FLAG, description: "false when damage or a limit left something out" },
    groups: listSchema(objectSchema({ path: TEXT, attributes: ATTRIBUTES })),
    dimensions: listSchema(objectSchema({ group: GROUP, name: TEXT, size: COUNT, isUnlimited: FLAG })),
    variables: listSchema(
      objectSchema({
        group: GROUP,
        name: TEXT,
        type: { ...TEXT, description: "as ncdump names it" },
        dimensions: { ...listSchema(orNull(TEXT)), description: "null for one that has no name" },
        shape: listSchema(COUNT),
        values: { ...NUMBER, description: "how many: the product of its shape" },
        chunks: orNull(listSchema(COUNT)),
        filters: listSchema(TEXT),
        attributes: ATTRIBUTES,
      }),
    ),
  }),
  describe(bytes, { name }) {
    const problems: Problem[] = [];
    const tell = (path: string, error: unknown) => {
      const found = malformedProblem(error, `${name}${path === "/" ? "" : `:${path}`}`);
      if (problems.length < MAX_PROBLEMS) problems.push(found);
    };
    const file = openNetcdf(bytes, tell);
    const records = attributeRecords();
    const listed = (attributes: readonly NetcdfAttribute[], path: string) =>
      attributes.flatMap(({ name, type, elements, values }) => {
        try {
          return records.record(name, { type }, elements === 1 ? null : elements, values);
        } catch (error) {
          tell(path, error);
          return [];
        }
      });
    const data = {
      format: file.format,
      madeBy: file.madeBy,
      groups: file.groups.map(({ path, attributes }) => ({ path, attributes: listed(attributes, path) })),
      dimensions: file.dimensions.map((dimension) => ({ ...dimension })),
      variables: file.variables.map(({ attributes, ...variable }) => ({
        ...variable,
        values: variable.shape.reduce((product, size) => product * size, 1),
        attributes: listed(attributes, `${variable.group === "/" ? "" : variable.group}/${variable.name}`),
      })),
    };
    if (file.isCut || records.isCut()) tell("/", malformed("it declares more than is listed"));
    return { data: { ...data, isWhole: problems.length === 0 }, problems };
  },
});

function openNetcdf(bytes: LocalBytes, tell: (path: string, error: unknown) => void): NetcdfFile {
  if (bytes.read(0, 3).toString("latin1") === "CDF") {
    const { missingBytes, ...file } = readClassic(bytes);
    if (missingBytes > 0) tell("/", malformed(`the last ${missingBytes} bytes of its data are missing`));
    return file;
  }
  const source = openHdf5(bytes);
  if (source.missingBytes > 0) tell("/", malformed(`its last ${source.missingBytes} bytes are missing`));
  return readNetcdf4(source, tell);
}
