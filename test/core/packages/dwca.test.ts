import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { dwcaFormat } from "../../../src/core/packages/dwca/dwca.ts";
import { readExtension } from "../../../src/core/packages/dwca/extension-file.ts";
import { BUILT_IN } from "../../../src/core/packages/dwca/extensions.ts";
import { camelCase } from "../../../src/core/packages/dwca/mapping.ts";
import { type DwcaSettings, readMedia } from "../../../src/core/packages/dwca/settings.ts";
import type { PackageSink } from "../../../src/core/packages/row-format.ts";
import { type Cell, ExactNumber, type Field } from "../../../src/core/packages/rows.ts";
import { loadConfig } from "../../../src/settings/config.ts";
import { dwcaSettings } from "../../../src/settings/dwca-settings.ts";

const { Occurrence, Multimedia, MeasurementOrFact } = BUILT_IN as Required<typeof BUILT_IN>;
assert.ok(Occurrence && Multimedia && MeasurementOrFact);

const MEDIA = {
  associatedMedia: {
    extension: "Multimedia",
    fields: { identifier: "", title: "", license: "CC0", format: "" },
    mappings: { format: "mime" },
    formatters: { format: "image/{}" },
  },
};

const settings: DwcaSettings = {
  core: Occurrence,
  extensions: [Multimedia, MeasurementOrFact],
  media: readMedia(JSON.stringify(MEDIA), "media.json", [Occurrence, Multimedia, MeasurementOrFact]),
  idField: "_id",
  dynamicTerm: "dynamicProperties",
};

/** Holds members as text, in order. */
function textSink() {
  const members = new Map<string, string>();
  const sink: PackageSink = {
    member: (name) => {
      if (!members.has(name)) members.set(name, "");
      return { write: (part) => void members.set(name, `${members.get(name)}${String(part)}`) };
    },
    drop: async (name) => void members.delete(name),
  };
  return { members, sink };
}

const fieldsOf = (...ids: string[]): Field[] => ids.map((id) => ({ id, type: "text" }));
const REQUEST = {
  format: "csv",
  forGbif: false,
  packageId: "6f7c1c3e-0000-4000-8000-000000000000",
  now: 1_763_800_000_500,
} as const;

async function archive(ids: string[], rows: Cell[][], request: Partial<Parameters<typeof dwcaFormat>[1]> = {}) {
  const { members, sink } = textSink();
  const format = dwcaFormat(settings, { ...REQUEST, ...request });
  await format.begin(fieldsOf(...ids), sink);
  await format.page({ rowCount: rows.length, next: null, content: { rows } }, sink);
  await format.end(sink);
  return Object.fromEntries(members);
}

describe("a Darwin Core Archive", () => {
  test("has a file for each vocabulary that a field belongs to, the core first, and says so in meta.xml", async () => {
    const members = await archive(
      ["_id", "measurementValue", "Scientific name", "basisOfRecord"],
      [
        [1, "3.5", "Aus bus", "PreservedSpecimen"],
        [2, null, 'say "x", y', "line\nend"],
      ],
    );
    assert.deepEqual(Object.keys(members), ["occurrence.csv", "measurement_or_fact.csv", "meta.xml"]);
    assert.equal(
      members["occurrence.csv"],
      '_id,scientificName,basisOfRecord\n1,Aus bus,PreservedSpecimen\n2,"say ""x"", y","line\nend"\n',
    );
    // A record of an extension for every record, also when its cells are empty.
    assert.equal(members["measurement_or_fact.csv"], "_id,measurementValue\n1,3.5\n2,\n");
    // By hand, from the Darwin Core text guide, §2.
    assert.equal(
      members["meta.xml"],
      `<?xml version="1.0" encoding="UTF-8"?>
<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="," fieldsEnclosedBy="&quot;" ignoreHeaderLines="1" rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
    <files>
      <location>occurrence.csv</location>
    </files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
    <field index="2" term="http://rs.tdwg.org/dwc/terms/basisOfRecord"/>
  </core>
  <extension encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="," fieldsEnclosedBy="&quot;" ignoreHeaderLines="1" rowType="http://rs.tdwg.org/dwc/terms/MeasurementOrFact">
    <files>
      <location>measurement_or_fact.csv</location>
    </files>
    <coreid index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/measurementValue"/>
  </extension>
</archive>
`,
    );
  });

  test("as TSV declares tabs", async () => {
    const members = await archive(["_id", "genus"], [[1, "a\tb,c"]], { format: "tsv" });
    assert.equal(members["occurrence.tsv"], '_id\tgenus\n1\t"a\tb,c"\n');
    assert.match(members["meta.xml"] ?? "", /fieldsTerminatedBy="\\t"/);
  });

  test("puts fields without a term into the dynamic one: one as it is, several as JSON", async () => {
    const one = await archive(["_id", "unknownField"], [[1, "bare"]]);
    assert.equal(one["occurrence.csv"], "_id,dynamicProperties\n1,bare\n");
    const several = await archive(
      ["_id", "unknownField", "Other thing", "dynamicProperties"],
      [
        [1, "10", "007", null],
        [2, '{"a":[1]}', "true", "Größe"],
        [3, null, null, null],
        [4, new ExactNumber("12345678901234567890.10"), ["x"], "12345678901234567890"],
      ],
    );
    assert.equal(
      several["occurrence.csv"],
      `_id,dynamicProperties
1,"{""unknownfield"": 10, ""otherThing"": ""007""}"
2,"{""unknownfield"": {""a"":[1]}, ""otherThing"": true, ""dynamicproperties"": ""Größe""}"
3,{}
4,"{""unknownfield"": 12345678901234567890.10, ""otherThing"": [""x""], ""dynamicproperties"": 12345678901234567890}"
`,
    );
  });

  test("combines two fields of one ordinary term as JSON, and loses neither when their keys are the same", async () => {
    const members = await archive(["_id", "Event date", "event date"], [[1, "2020", "2021-01-01"]]);
    assert.equal(
      members["occurrence.csv"],
      '_id,eventDate\n1,"{""eventDate"": 2020, ""event date"": ""2021-01-01""}"\n',
    );
  });

  test("gives every medium a row of the extension, however the portal holds it", async () => {
    const media = { identifier: "https://x/1.jpg", mime: "jpeg", title: "T", other: 1 };
    const members = await archive(
      ["_id", "associatedMedia", "genus"],
      [
        [1, [media, { identifier: "https://x/2.png", format: "image/png", license: null }], "Aus"],
        [2, JSON.stringify([media]), "Bus"],
        [3, media, "Cus"],
        [4, null, "Dus"],
        [5, "no JSON", "Eus"],
        [6, [], "Fus"],
        [7, [1, "x", null], "Gus"],
      ],
    );
    assert.equal(
      members["multimedia.csv"],
      `_id,identifier,title,license,format
1,https://x/1.jpg,T,CC0,image/jpeg
1,https://x/2.png,,CC0,image/png
2,https://x/1.jpg,T,CC0,image/jpeg
3,https://x/1.jpg,T,CC0,image/jpeg
`,
    );
    assert.equal(members["occurrence.csv"]?.split("\n").length, 9);
    assert.ok((members["meta.xml"] ?? "").indexOf("<core") < (members["meta.xml"] ?? "").indexOf("<extension"));
  });

  test("leaves out an extension without a row, and keeps the core", async () => {
    const members = await archive(["_id", "associatedMedia"], [[1, null]]);
    assert.deepEqual(Object.keys(members), ["occurrence.csv", "meta.xml"]);
    assert.doesNotMatch(members["meta.xml"] ?? "", /extension/);
    assert.equal((await archive(["_id", "genus"], []))["occurrence.csv"], "_id,genus\n");
  });

  test("carries eml.xml with its places filled in, and gbif.json when it is for GBIF", async () => {
    const eml = "<e id='{package_id}' on='{pub_date}' at='{date_stamp}'>{other} {}é</e>";
    const members = await archive(["_id", "genus"], [[1, "Aus"]], { eml, forGbif: true });
    assert.equal(
      members["eml.xml"],
      "<e id='6f7c1c3e-0000-4000-8000-000000000000' on='2025-11-22' at='2025-11-22T08:26:40Z'>{other} {}é</e>",
    );
    assert.deepEqual(JSON.parse(members["gbif.json"] ?? ""), { time: 1_763_800_000.5 });
    assert.match(members["meta.xml"] ?? "", /<archive xmlns="[^"]+" metadata="eml.xml">/);
  });

  test("is not made of records without an id, or with an id twice", async () => {
    for (const rows of [
      [[null, "Aus"]],
      [["", "Aus"]],
      [
        [1, "Aus"],
        [1, "Bus"],
      ],
      [
        ["x", "Aus"],
        ["x", "Bus"],
      ],
      [
        [3, "Aus"],
        [1, "Bus"],
        [2, "Cus"],
        [2, "Dus"],
      ],
    ])
      await assert.rejects(archive(["_id", "genus"], rows), { code: "dwca_record_id" }, JSON.stringify(rows));
    await assert.rejects(archive(["genus"], []), { code: "dwca_record_id" });
    await archive(
      ["_id", "genus"],
      [
        ["7", "Aus"],
        ["007", "Bus"],
        [9, "Cus"],
        [8, "Dus"],
        ["a", "Eus"],
      ],
    );
  });

  test("goes on after a crash as if there had been none", async () => {
    const fields = fieldsOf("_id", "genus", "associatedMedia");
    const pages = [
      [
        [1, "Aus", null],
        [2, "Bus", [{ identifier: "i" }]],
      ],
      [
        [3, "Cus", null],
        [5, "Dus", null],
      ],
    ] as Cell[][][];
    const whole = textSink();
    const uninterrupted = dwcaFormat(settings, REQUEST);
    await uninterrupted.begin(fields, whole.sink);
    for (const rows of pages) await uninterrupted.page({ rowCount: 2, next: null, content: { rows } }, whole.sink);
    await uninterrupted.end(whole.sink);

    const cut = textSink();
    const first = dwcaFormat(settings, REQUEST);
    await first.begin(fields, cut.sink);
    await first.page({ rowCount: 2, next: null, content: { rows: pages[0] ?? [] } }, cut.sink);
    const state = JSON.parse(JSON.stringify(first.state?.()));
    const second = dwcaFormat(settings, REQUEST);
    second.resume?.(fields, state);
    await second.page({ rowCount: 2, next: null, content: { rows: pages[1] ?? [] } }, cut.sink);
    await second.end(cut.sink);
    assert.deepEqual(cut.members, whole.members);

    const again = dwcaFormat(settings, REQUEST);
    again.resume?.(fields, state);
    await assert.rejects(
      again.page({ rowCount: 1, next: null, content: { rows: [[2, "Eus", null]] } }, textSink().sink),
      { code: "dwca_record_id" },
    );
  });

  test("keeps no state that would not fit", async () => {
    const { sink } = textSink();
    const format = dwcaFormat(settings, REQUEST);
    await format.begin(fieldsOf("_id"), sink);
    const rows = Array.from({ length: 3_000 }, (_, n) => [n * 2]);
    await format.page({ rowCount: rows.length, next: null, content: { rows } }, sink);
    assert.equal(format.state?.(), null);
  });
});

test("names become terms as the original makes them", () => {
  // From the ckanpackager source's own documentation and its observed output.
  const cases = {
    "Taxon resource ID": "taxonResourceID",
    "Event date": "eventDate",
    unknownField: "unknownfield",
    "Basis Of Record": "basisOfRecord",
    "DNA sequence": "DNASequence",
    " spaced  out ": "spacedOut",
    GUID: "GUID",
  };
  for (const [name, term] of Object.entries(cases)) assert.equal(camelCase(name), term, name);
});

describe("GBIF's extension definitions", () => {
  const xml = `<?xml version="1.0"?>
    <!-- <property name="commented" qualName="x"/> -->
    <extension xmlns="http://rs.gbif.org/extension/" name="Thing" rowType="http://x/Thing&amp;more">
      <property group='A' name='one' qualName='http://x/one' dc:description="a &lt; b"/>
      <property name="two"
                qualName="http://x/two"></property>
      <property name="one" qualName="http://y/one"/>
    </extension>`;

  test("give name, row type and terms, the first of two with one name", () => {
    const { name, rowType, terms } = readExtension(xml, "thing.xml");
    assert.deepEqual(
      [name, rowType, [...terms]],
      [
        "Thing",
        "http://x/Thing&more",
        [
          ["one", "http://x/one"],
          ["two", "http://x/two"],
        ],
      ],
    );
  });

  test("are refused when they are something else", () => {
    for (const bad of [
      "",
      "{}",
      "<html><property name='a' qualName='b'/></html>",
      "<extension name='a'><property name='a' qualName='b'/></extension>",
      "<extension name='a' rowType='b'/>",
      "<extension name='../a' rowType='b'><property name='a' qualName='b'/></extension>",
      "<extension name='a' rowType='b'><property name='a'/></extension>",
      `<!DOCTYPE extension [<!ENTITY x "y">]>${xml}`,
    ])
      assert.throws(() => readExtension(bad, "bad.xml"), { code: "dwca_invalid" }, bad);
  });
});

describe("the settings of Darwin Core Archives", () => {
  const folders: string[] = [];
  after(async () => {
    for (const folder of folders) await rm(folder, { recursive: true });
  });
  async function file(name: string, text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "dwca-"));
    folders.push(folder);
    await writeFile(join(folder, name), text);
    return join(folder, name);
  }
  const load = (env: Readonly<Record<string, string>>) => dwcaSettings(loadConfig(env));

  test("work without any: the built-in vocabularies", async () => {
    const found = await load({});
    assert.equal(found.core.rowType, "http://rs.tdwg.org/dwc/terms/Occurrence");
    assert.deepEqual(
      found.extensions.map(({ name }) => name),
      ["Multimedia", "MeasurementOrFact"],
    );
    // As GBIF's own definitions have them.
    assert.equal(found.extensions[0]?.terms.size, 14);
    assert.equal(found.extensions[1]?.terms.size, 9);
    assert.equal(found.core.terms.get("modified"), "http://purl.org/dc/terms/modified");
    assert.equal(found.core.terms.get("decimalLatitude"), "http://rs.tdwg.org/dwc/terms/decimalLatitude");
  });

  test("take definitions and media from files", async () => {
    const definition = await file(
      "e.xml",
      '<extension name="Gene" rowType="http://x/Gene"><property name="locus" qualName="http://x/locus"/></extension>',
    );
    const media = await file("m.json", JSON.stringify({ genes: { extension: "Gene", fields: { locus: null } } }));
    const found = await load({ LONGSHORE_DWC_EXTENSIONS: definition, LONGSHORE_DWC_MEDIA: media });
    assert.deepEqual(found.media.get("genes")?.terms, [
      { term: "locus", uri: "http://x/locus", otherwise: "", key: undefined, template: "{}" },
    ]);
  });

  test("are refused with a reason when a file is missing or wrong", async () => {
    const notJson = await file("m.json", "{");
    const cases: Readonly<Record<string, string>>[] = [
      { LONGSHORE_DWC_CORE: "/nowhere/core.xml" },
      { LONGSHORE_DWC_CORE: notJson },
      { LONGSHORE_DWC_EXTENSIONS: "Multimedia,Multimedia" },
      { LONGSHORE_DWC_DYNAMIC_TERM: "noTerm" },
      { LONGSHORE_DWC_MEDIA: notJson },
      { LONGSHORE_DWC_MEDIA: await file("m.json", '{"f":{"extension":"Gene","fields":{}}}') },
      { LONGSHORE_DWC_MEDIA: await file("m.json", '{"f":{"extension":"Multimedia","fields":{"nope":""}}}') },
      {
        LONGSHORE_DWC_MEDIA: await file(
          "m.json",
          '{"f":{"extension":"Multimedia","fields":{"title":""},"mappings":{"format":"mime"}}}',
        ),
      },
      {
        LONGSHORE_DWC_MEDIA: await file(
          "m.json",
          '{"f":{"extension":"Multimedia","fields":{"format":""},"formatters":{"format":"no place"}}}',
        ),
      },
    ];
    for (const env of cases) await assert.rejects(load(env), { code: "dwca_invalid" }, JSON.stringify(env));
  });
});
