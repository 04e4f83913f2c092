import { randomBytes, randomUUID } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import type { Config } from "./config.ts";

const FILE = "secret-key";
const MIN_LENGTH = 32;

/**
 * The key of the setting, or the one that is kept in the data folder and made there at the first start, readable by this
 * user alone. Processes that start at the same time get the same one.
 * @throws AppError config_invalid when the file holds no key.
 */
export async function secretKey(config: Pick<Config, "secretKey" | "dataDir">): Promise<string> {
  const known = await knownSecretKey(config);
  if (known !== undefined) return known;
  const path = join(config.dataDir, FILE);
  const key = randomBytes(32).toString("base64url");
  const whole = `${path}.${randomUUID()}`;
  try {
    const file = await open(whole, "wx", 0o600);
    try {
      await file.writeFile(`${key}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link is made by one process only: the others take what that one has made.
    await link(whole, path);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return requireKey((await readFile(path, "utf8")).trim(), path);
  } finally {
    await rm(whole, { force: true });
  }
}

/** The same, but none is made. @throws AppError config_invalid when the file holds no key. */
export async function knownSecretKey(config: Pick<Config, "secretKey" | "dataDir">): Promise<string | undefined> {
  if (config.secretKey !== undefined) return config.secretKey;
  const path = join(config.dataDir, FILE);
  const kept = (await readFile(path, "utf8").catch(absent))?.trim();
  return kept === undefined ? undefined : requireKey(kept, path);
}

function requireKey(key: string, path: string): string {
  if (key.length >= MIN_LENGTH) return key;
  throw new AppError("config_invalid", {
    path,
    expected: `a key of ${MIN_LENGTH} characters and more`,
    found: `${key.length} characters`,
  });
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
