import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What the demo lends: the command line, and a voice. */
export interface DemoVoice {
  longshore(...words: string[]): Promise<string>;
  say(text: string): void;
  step(text: string): void;
}

const DAYS = ["day-01", "day-02"];
/** What extractor and depositor say of a file are asked for at once. */
const PICTURES = ["type:record", "mediatype:image/*", "width:>=16", "project:1234a"];

/** A folder is walked and described, and walked again when it has changed. @param folder that holds the days' folders. */
export async function crawlFolder({ longshore, say, step }: DemoVoice, folder: string): Promise<void> {
  const walk = ["crawl", "start", folder, "--folder", ...DAYS];

  step("Find out what a folder holds: walk it, and have its files described while the walk goes on");
  const text = await longshore(...walk, "--extract", "--wait");
  say(text);
  const [, crawl = ""] = /^Crawl (\S+):/m.exec(text) ?? [];
  const [, extraction = ""] = /^ +Extraction (\S+):/m.exec(text) ?? [];

  step("What is known of one of its files");
  say(JSON.stringify(JSON.parse(await longshore("extract", "records", extraction, "--json", "--limit", "1")).data));

  step("The folder changes: what is new, changed and gone since then");
  const [day = ""] = DAYS;
  appendFileSync(join(folder, day, "run-000.csv"), "64,0,0\n");
  writeFileSync(join(folder, day, "run-100.csv"), "second,amplitude,phase\n");
  rmSync(join(folder, day, "run-001.csv"));
  say(JSON.stringify(JSON.parse(await longshore(...walk, "--since", crawl, "--wait", "--json")).changes));
}

/** What the archive holds is described, too, and found by what is in it. @param transaction with the days' folders. */
export async function describeArchive({ longshore, say, step }: DemoVoice, transaction: number): Promise<void> {
  step("The archive is a store as well: describe two days of the deposit, and find pictures by what they are");
  const where = DAYS.map((day) => `${transaction}/data/measurements/${day}`);
  say(await longshore("crawl", "start", "archive:", "--folder", ...where, "--extract", "--wait"));
  // What was described is found within about a second.
  let hits = "";
  while (hits === "") hits = await longshore("search", ...PICTURES, "--json");
  for (const line of hits.split("\n")) say(JSON.parse(line).title);

  step("A cart of whatever is found");
  say(await longshore("search", ...PICTURES, "--cart", "pictures"));
}
