import type { SimpleValue } from "../hdf5/values.ts";

/** What a netCDF file declares, whichever of its formats it is in; names of types and formats are those of `ncdump`. */
export interface NetcdfFile {
  readonly format: NetcdfFormat;
  /** What wrote it, by itself. */
  readonly madeBy: string | null;
  readonly groups: readonly NetcdfGroup[];
  readonly dimensions: readonly NetcdfDimension[];
  readonly variables: readonly NetcdfVariable[];
  /** Whether there is more than is read. */
  readonly isCut: boolean;
}

export const NETCDF_FORMATS = ["classic", "64-bit offset", "cdf5", "netCDF-4", "netCDF-4 classic model"] as const;
export type NetcdfFormat = (typeof NETCDF_FORMATS)[number];

export interface NetcdfGroup {
  /** `/` for the file's own. */
  readonly path: string;
  readonly attributes: readonly NetcdfAttribute[];
}

export interface NetcdfDimension {
  readonly group: string;
  readonly name: string;
  readonly size: number;
  readonly isUnlimited: boolean;
}

export interface NetcdfVariable {
  readonly group: string;
  readonly name: string;
  readonly type: string;
  /** `null` for one that has no name, as in HDF5 files that netCDF did not write. */
  readonly dimensions: readonly (string | null)[];
  readonly shape: readonly number[];
  readonly chunks: readonly number[] | null;
  readonly filters: readonly string[];
  readonly attributes: readonly NetcdfAttribute[];
}

export interface NetcdfAttribute {
  readonly name: string;
  readonly type: string;
  /** `null` for a text of characters, which is one value. */
  readonly elements: number | null;
  values(most: number): readonly SimpleValue[];
}
