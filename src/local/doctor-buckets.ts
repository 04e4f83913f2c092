import { randomUUID } from "node:crypto";
import type { S3Store } from "../adapters/s3/client.ts";
import { STAGING } from "../adapters/storage/fs/layout.ts";
import { ROOT_DECLARATION } from "../core/archive/ocfl.ts";
import { AppError } from "../core/errors.ts";
import type { Config } from "../settings/config.ts";
import { type Finding, fail, ok, reasonOf, warn } from "./finding.ts";

const TRIES = 2;

export async function* archiveBucket(config: Config): AsyncGenerator<Finding> {
  const at = `s3://${config.archive.path}`;
  const { archiveStorage } = await import("../compose/archive.ts"); // what has its archive in a folder starts without it
  try {
    const storage = await archiveStorage(config, { tries: TRIES });
    try {
      const isRoot = (await storage.stat(ROOT_DECLARATION.path)) !== undefined;
      let first: string | undefined;
      for await (const { path } of storage.list("")) {
        first = path;
        break;
      }
      if (isRoot) yield ok("archive", `${at} is an OCFL storage root`);
      else if (first === undefined) yield ok("archive", `${at} is empty, and can be read`);
      else {
        yield fail("archive", `${at} holds something else`, "Set LONGSHORE_ARCHIVE_URL to a folder of its own.");
        return;
      }
    } finally {
      await storage.close();
    }
  } catch (error) {
    yield fail("archive", `${at}: ${troubleOf(error)}`, "See to LONGSHORE_ARCHIVE_URL and the LONGSHORE_S3_ settings.");
    return;
  }
  yield* writing("archive", config.archive.path, `${STAGING}/`, config);
}

export async function* sharedBucket(config: Config): AsyncGenerator<Finding> {
  const { path } = config.shared.place;
  const { askShared } = await import("../compose/shared.ts"); // with what it may be kept in
  try {
    await askShared(config);
    yield ok("shared place", `s3://${path} can be read`);
  } catch (error) {
    yield fail(
      "shared place",
      `s3://${path}: ${troubleOf(error)}`,
      "See to LONGSHORE_SHARED_URL and the LONGSHORE_S3_ settings.",
    );
    return;
  }
  yield* writing("shared place", path, "", config);
}

/** Writes, reads and removes a small object, as Longshore does all day: a key may be allowed some of these alone. */
async function* writing(check: string, place: string, below: string, { s3 }: Config): AsyncGenerator<Finding> {
  const { openS3Store } = await import("../adapters/s3/client.ts");
  const { s3Objects } = await import("../adapters/s3/objects.ts");
  const store = await openS3Store(place, s3, { tries: TRIES });
  const objects = s3Objects(store);
  const path = `${below}doctor-${randomUUID()}`;
  const bytes = Buffer.from("probe\n");
  let what = "written";
  try {
    await objects.put(path, bytes);
    what = "written only where nothing is";
    const isHeeded = !(await objects.create(path, bytes));
    what = "read";
    const isSame = (await objects.get(path))?.equals(bytes) === true;
    what = "removed";
    await objects.remove([path]);
    const isGone = (await objects.stat(path)) === undefined;
    if (!isHeeded)
      yield fail(
        check,
        "the server does not heed If-None-Match",
        "Two nodes could write over each other. Take another server or release, or a bucket that keeps no versions.",
      );
    else if (!isSame || !isGone)
      yield fail(
        check,
        `an object that was ${isSame ? "removed is still there" : "written is not what is read"}`,
        "Look for a cache or a proxy before the S3 server: Longshore must see at once what it has done.",
      );
    else yield ok(check, "objects can be written, read and removed");
  } catch (error) {
    await objects.remove([path]).catch(() => undefined); // there is something worse to tell, and where it lies
    yield fail(
      check,
      `s3://${place}: ${path} cannot be ${what}: ${troubleOf(error)}`,
      "Allow the access key to list the bucket and to get, put and delete objects in this place.",
    );
  }
  try {
    yield* keeping(check, store);
  } finally {
    store.client.destroy();
  }
}

/** What the bucket keeps of what is removed. Says nothing where the key may not ask, or the server does not know. */
async function* keeping(check: string, { client, driver, bucket: Bucket }: S3Store): AsyncGenerator<Finding> {
  const { Status } = await client.send(new driver.GetBucketVersioningCommand({ Bucket })).catch(asNothing);
  if (Status !== "Enabled") return;
  const { ObjectLockConfiguration: lock } = await client
    .send(new driver.GetObjectLockConfigurationCommand({ Bucket }))
    .catch(asNothing);
  const { Mode, Days, Years } = lock?.Rule?.DefaultRetention ?? {};
  if (Mode === undefined)
    yield warn(
      check,
      `${Bucket} keeps versions of what is removed`,
      "Have a lifecycle rule remove versions that are not current: what is under way is written and removed all the time.",
    );
  else
    yield warn(
      check,
      `${Bucket} locks every version (${Mode}, ${Years ? `${Years} years` : `${Days} days`})`,
      "What is under way takes room for as long. Keep LONGSHORE_SHARED_URL, if not the archive, in a bucket without a lock.",
    );
}

/** Refused, or not known there. */
function asNothing(error: unknown): { readonly Status?: undefined; readonly ObjectLockConfiguration?: undefined } {
  if (error instanceof Error && "$metadata" in error) return {};
  throw error;
}

/** With an S3 server, in a few words. */
function troubleOf(error: unknown): string {
  const { hint, reason } = error instanceof AppError ? error.details : {};
  return String(hint ?? reason ?? reasonOf(error));
}
