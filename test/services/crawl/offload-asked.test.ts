import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Principal } from "../../../src/core/access/access.ts";
import { AppError } from "../../../src/core/errors.ts";
import { ADA, fill } from "../../support/crawling.ts";
import { openOffloading } from "../../support/offloading.ts";

describe("offload: what may be asked for", () => {
  test("sources must be crawlable, targets writable, and what is moved removable", async (t) => {
    const { base, offloads } = await openOffloading(t);
    fill(base, { "crawl/a": "a", "scratch/b": "b", "elsewhere/c": "c" });
    const at = (path: string) => join(base, path);
    const start = (source: string, target: string, mode: "copy" | "move" = "copy") =>
      offloads.start(ADA, { sources: [source], target, mode });
    const refused = { code: "endpoint_refused" };
    await assert.rejects(start(at("elsewhere"), at("shelf")), refused);
    await assert.rejects(start(at("crawl"), at("scratch")), refused);
    await assert.rejects(start(at("crawl"), at("shelf"), "move"), /LONGSHORE_MOVE_ROOTS/);
    await assert.rejects(start(at("crawl"), "https://example.org/x"), refused);
    await assert.rejects(start(at("crawl"), "s3://bucket/x"), /LONGSHORE_OFFLOAD_STORES/);
    symlinkSync(at("elsewhere"), at("shelf/out"));
    await assert.rejects(start(at("crawl"), at("shelf/out")), refused);
    await assert.rejects(start(at("crawl"), at("shelf/out/deeper")), refused);
    await assert.rejects(start(at("crawl"), at("shelf/.longshore-incoming")), /a folder that Longshore works in/);
    await start(at("crawl"), at("shelf/not/yet/there"));
    await start(at("scratch"), at("shelf"), "move");
  });

  test("below what is written, only the caller's own records are moved, unless by an operator", async (t) => {
    const { base, offloads } = await openOffloading(t, undefined, {
      owned: [
        { owner: "ada", folder: "shelf/ada" },
        { owner: "bob", folder: "shelf/bob" },
        { owner: "ada", folder: "shelf/both" },
        { owner: "bob", folder: "shelf/both/bob" },
        { owner: "bob", folder: "scratch/bob" },
      ],
    });
    for (const folder of ["ada/deep", "bob", "both/ada", "both/bob", "copies", "to"])
      fill(base, { [`shelf/${folder}/x`]: "x" });
    fill(base, { "scratch/ada/x": "x", "scratch/bob/x": "x" });
    symlinkSync(join(base, "shelf/bob"), join(base, "shelf/ada/link"));
    const start = (who: Principal, source: string, mode: "copy" | "move" = "move") =>
      offloads.start(who, { sources: [join(base, source)], target: join(base, "shelf/to"), mode });
    const refused = (reason: RegExp) => (error: unknown) =>
      error instanceof AppError && error.code === "endpoint_refused" && reason.test(error.message);
    for (const source of ["shelf/bob", "shelf/both", "shelf/both/bob", "shelf/ada/link", "scratch", "scratch/bob"])
      await assert.rejects(start(ADA, source), refused(/records of others lie there: an operator/), source);
    await assert.rejects(start(ADA, "shelf/copies"), refused(/no extraction of yours/));
    for (const source of ["shelf/ada", "shelf/ada/deep", "shelf/both/ada", "scratch/ada"]) await start(ADA, source);
    const olga: Principal = { ...ADA, name: "olga", scopes: ["operate"] };
    for (const source of ["shelf/bob", "shelf/both", "shelf/copies", "scratch"]) await start(olga, source);
    await start(ADA, "shelf/bob", "copy");
  });

  test("no folder lies in another, by no way there", async (t) => {
    const { base, offloads } = await openOffloading(t);
    mkdirSync(join(base, "shelf/in"));
    symlinkSync(join(base, "shelf"), join(base, "scratch/link"));
    const start = (...sources: string[]) =>
      offloads.start(ADA, {
        sources: sources.map((path) => join(base, path)),
        target: join(base, "shelf/in"),
        mode: "copy",
      });
    for (const sources of [["shelf"], ["shelf/in"], ["scratch/link"], ["crawl", "crawl"], ["crawl", "scratch/link/in"]])
      await assert.rejects(start(...sources), { code: "request_invalid" }, sources.join());
    await start("crawl", "scratch");
  });

  test("there is something to offload, and a time that can be kept", async (t) => {
    const { base, offloads } = await openOffloading(t);
    const target = join(base, "shelf");
    const sources = [join(base, "crawl")];
    const invalid = { code: "request_invalid" };
    await assert.rejects(offloads.start(ADA, { sources: [], target, mode: "copy" }), invalid);
    for (const timeoutMs of [0, -1, Number.NaN, 1e12])
      await assert.rejects(offloads.start(ADA, { sources, target, mode: "copy", timeoutMs }), invalid);
  });
});
