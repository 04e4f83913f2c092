import { openExtracting } from "./extracting.ts";

/** A process that works on whatever crawls and extractions wait in a folder, until it is killed. */
const [, , folder = ""] = process.argv;
const { worker } = await openExtracting({ folder });
worker();
