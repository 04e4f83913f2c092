import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Extractor } from "../../../src/core/extract/extractor.ts";
import { extractor as archives } from "../../../src/core/extract/extractors/archive-listing.ts";
import { extractor as generic } from "../../../src/core/extract/extractors/generic.ts";
import { extractor as images } from "../../../src/core/extract/extractors/image-headers.ts";
import { extractor as json } from "../../../src/core/extract/extractors/json.ts";
import { extractor as keywords } from "../../../src/core/extract/extractors/keyword-text.ts";
import { extractor as tables } from "../../../src/core/extract/extractors/tabular-text.ts";
import { extractor as xml } from "../../../src/core/extract/extractors/xml.ts";
import { seededRandom } from "../../support/random.ts";
import { tarMember, tarOf } from "../../support/tars.ts";
import { sampleImages } from "./images.ts";
import { describing } from "./records.ts";

/** Headers and some bytes behind: where damage matters. */
const START_BYTES = 600;

/** Two members, packed by Python's zipfile. */
const ZIP =
  "UEsDBBQAAAAIAHFEdl1Api0BCgAAAAsAAAAHAAAAYS9iLnR4dMtIzcnJV8gAkQBQSwMEFAAAAAgAcUR2XYMW3IwDAAAAAQAAAAEAAABjqwAAUEsBAhQDFAAAAAgAcUR2XUCmLQEKAAAACwAAAAcAAAAAAAAAAAAAAIABAAAAAGEvYi50eHRQSwECFAMUAAAACABxRHZdgxbcjAMAAAABAAAAAQAAAAAAAAAAAAAAgAEvAAAAY1BLBQYAAAAAAgACAGQAAABRAAAAAAA=";

const text = (content: string) => Buffer.from(content);
const SAMPLES: readonly (readonly [Extractor, string, Buffer])[] = [
  [json, "json", text('{"a":[1,-2.5e3,true,null,"caf\\u00e9 é"],"b":{"c":{}},"":""}')],
  [
    xml,
    "xml",
    text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e "x">]><a b="1"><c>t&e;<![CDATA[x]]></c><!-- c --></a>'),
  ],
  [tables, "csv", text('id,name,x\n1,"a ""b""",2.5\n2,"c\nd",NA\n3,é,4\n')],
  [keywords, "txt", text("Linear constraints, é and ’systems’ of equations.\n\nMinimal sets\n")],
  [generic, "bin", text("anything\n\0\xff")],
  [archives, "gz", gzipSync("hello hello hello")],
  [archives, "zip", Buffer.from(ZIP, "base64")],
  [archives, "tar", tarOf(tarMember({ name: "a.txt" }, "hello"))],
  ...Object.entries(sampleImages()).map(([name, bytes]) => [images, name, bytes.subarray(0, START_BYTES)] as const),
];

for (const [extractor, name, sample] of SAMPLES) {
  test(`${name}: cut off anywhere, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    for (let length = 0; length <= sample.length; length++) await survives(sample.subarray(0, length), `cut.${name}`);
  });

  test(`${name}: with bytes changed at random, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    const random = seededRandom(t);
    const said = new Set<string>();
    for (let round = 0; round < 500; round++) {
      const damaged = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
      said.add(await survives(damaged, `changed.${name}`));
    }
    assert.ok(said.size > 0);
  });
}
