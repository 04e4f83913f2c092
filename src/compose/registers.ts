import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Stores } from "../adapters/db/stores.ts";
import { actionPlaces } from "../adapters/registers/action-places.ts";
import { localCommands } from "../adapters/run/local-commands.ts";
import type { KeyRing } from "../core/access/key-ring.ts";
import type { Links } from "../core/access/links.ts";
import type { Carts } from "../core/carts/carts.ts";
import type { Staging } from "../core/carts/staging/staging.ts";
import type { Clock } from "../core/clock.ts";
import { environmentService } from "../core/environment/environment.ts";
import { AppError } from "../core/errors.ts";
import type { JobId } from "../core/ids.ts";
import type { Ingest } from "../core/ingest/ingest.ts";
import type { MoveSource } from "../core/ingest/move-source.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import { withoutPlaces } from "../core/notify/templates.ts";
import type { Fetch } from "../core/outbound/fetch.ts";
import { callWebhook } from "../core/registers/actions/call-webhook.ts";
import { deliverCart } from "../core/registers/actions/deliver-cart.ts";
import { ingestFolder } from "../core/registers/actions/ingest-folder.ts";
import { runCommandAction } from "../core/registers/actions/run-command.ts";
import { declaredRegisters } from "../core/registers/declared-registers.ts";
import { registerJob } from "../core/registers/register-job.ts";
import { type Registers, registerService } from "../core/registers/registers.ts";
import { tidyRegisters } from "../core/registers/tidy-registers.ts";
import { REGISTER_JOB } from "../core/registers/transitions.ts";
import type { Config } from "../settings/config.ts";

export interface RegisteringParts {
  readonly stores: Stores;
  readonly staging: Pick<Staging, "read">;
  readonly source: MoveSource;
  readonly fetch: Fetch;
  readonly links: Links;
  readonly keys: KeyRing;
  readonly publicUrl: () => string;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
}

/** What the actions of registers need, and is made of the handlers. */
export interface RegisteringServices {
  readonly jobs: Jobs;
  readonly carts: Carts;
  readonly ingest: Ingest;
}

/** Registers: the handler of their actions, the service, and their upkeep. */
export interface Registering {
  readonly handlers: Readonly<Record<string, JobHandler>>;
  services(made: RegisteringServices): Registers;
  tidy(signal: AbortSignal): Promise<void>;
}

/** Where actions find their programs. */
const PROGRAMS = "/usr/local/bin:/usr/bin:/bin";

/** Reads the declarations that the settings name. @throws AppError register_invalid, register_contradicted, config_invalid. */
export async function composeRegisters(config: Config, parts: RegisteringParts): Promise<Registering> {
  const { stores, staging, clock, nextJobId } = parts;
  const store = stores.registers;
  const declared = declaredRegisters({ store, clock });
  await declareFiles(config.registersDir, (text, file) => declared.declare(text, "file", file));
  const places = actionPlaces({ recordRoots: config.recordRoots, moveRoots: config.moveRoots, path: PROGRAMS });
  const mailFrom = withoutPlaces(config.mailFrom);
  const common = { store, declared, clock, nextJobId, mailFrom };
  let made: RegisteringServices | undefined;
  const services = (): RegisteringServices => {
    if (!made) throw new TypeError("The services are there before the first job is run.");
    return made;
  };

  const handler = registerJob({
    ...common,
    runners: {
      cart: (context) =>
        deliverCart({
          carts: services().carts,
          async open(location) {
            const { storage, path } = await staging.read(location);
            return storage.open(path);
          },
          places,
          links: parts.links,
          publicUrl: parts.publicUrl,
          mailFrom,
          canMail: config.smtpUrl !== undefined,
          clock,
        })(context),
      ingest: (context) => ingestFolder({ ...services(), source: parts.source, places, clock })(context),
      command: runCommandAction({
        runner: localCommands(),
        environment: environmentService({ store: stores.environment, keys: parts.keys, clock }),
        places,
        path: PROGRAMS,
      }),
      webhook: callWebhook({ fetch: parts.fetch, secret: config.webhookSecret, clock }),
    },
  });

  return {
    handlers: { [REGISTER_JOB]: handler },
    services(given) {
      made = given;
      return registerService({ ...common, jobs: given.jobs });
    },
    tidy: (signal) => tidyRegisters({ ...common, jobs: services().jobs }, signal),
  };
}

async function declareFiles(
  folder: string | undefined,
  declare: (text: string, file: string) => Promise<unknown>,
): Promise<void> {
  if (folder === undefined) return;
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
    for (const name of names) await declare(await readFile(join(folder, name), "utf8"), name);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError(
      "config_invalid",
      { setting: "LONGSHORE_REGISTERS", expected: "a folder that can be read" },
      { cause },
    );
  }
}
