import { AppError } from "../../core/errors.ts";

/**
 * Loads a package that only some settings need, as in `optionalDriver("pg", () => import("pg"))`.
 * @throws AppError driver_missing, naming the package.
 */
export async function optionalDriver<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    throw new AppError("driver_missing", { package: name, hint: `npm install ${name}` }, { cause: error });
  }
}
