import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Parser } from "htmlparser2";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { audit } from "../../../src/core/access/audit.ts";
import { premisDocument, xmlText } from "../../../src/core/archive/premis-document.ts";
import { EVENT_TYPES, preservationEvents } from "../../../src/core/archive/premis-events.ts";
import { rebuildCatalogue } from "../../../src/core/archive/rebuild.ts";
import { filesOf } from "../../../src/core/archive/verify-catalogue.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { type TestArchive, testArchive } from "../../support/archive.ts";
import { EVENT_VOCABULARY_LABELS, PREMIS_ORDER } from "../../support/premis.ts";

const ONE = transactionId(1);
/** What a depositor can call a file, and what comes near to ending a document early. */
const ODD = "data/]]> & <b> \"q\" 'a' ü漢\t.txt";

describe("events of transactions", () => {
  let archive: TestArchive;
  before(async () => {
    archive = await testArchive();
    await archive.deposit({ "a.txt": "one", "deep/b.bin": Buffer.alloc(1000, 7) }, "ada");
    await archive.deposit({ "c.txt": "three" }, "bob");
  });
  after(() => archive.close());

  const logOf = ({ stores }: TestArchive) => audit(stores.audit, systemClock, "Longshore/1.2.3");
  const eventsOf = async (of: TestArchive, id = ONE) => Array.fromAsync(preservationEvents(logOf(of)).all(id));
  async function documentOf(of: TestArchive, id = ONE): Promise<string> {
    const { catalogue } = of.stores;
    const transaction = (await catalogue.transaction(id)) ?? assert.fail("no such transaction");
    const events = preservationEvents(logOf(of)).all(id);
    return (await Array.fromAsync(premisDocument({ transaction, files: filesOf(catalogue, id), events }))).join("");
  }

  test("a deposit leaves those of its digests and its ingestion, in one chain with everything else", async () => {
    const [digests, ingestion, ...others] = await eventsOf(archive);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [digests?.type, digests?.actor, digests?.outcome, digests?.details],
      ["message digest calculation", "ada", "success", { algorithms: ["sha1", "sha512"], files: 2 }],
    );
    assert.deepEqual([ingestion?.type, ingestion?.details], ["ingestion", { files: 2, bytes: 1003 }]);
    assert.equal((await eventsOf(archive, transactionId(2))).length, 2);
    assert.deepEqual((await logOf(archive).verifyChain()).brokenAt, null);
  });

  test("a transaction that is taken in again leaves no second ones", async () => {
    const copied = await archive.copy();
    const { catalogue } = copied.stores;
    const transaction = (await catalogue.transaction(ONE)) ?? assert.fail();
    assert.equal(
      await catalogue.add(transaction, filesOf(catalogue, ONE), [], [], 1, () => assert.fail("asked")),
      false,
    );
    assert.equal((await eventsOf(copied)).length, 2);
  });

  test("a database made anew from the archive knows of the ingestion, when it was and that it was noted later", async () => {
    const lost = await archive.copy("with an empty database");
    const { stores } = lost;
    const parts = { ...lost, ...stores, clock: systemClock, software: "Longshore/9.9.9" };
    await Array.fromAsync(rebuildCatalogue(parts, { dryRun: false, signal: new AbortController().signal }));
    const { createdAt } = (await stores.catalogue.transaction(ONE)) ?? assert.fail();
    const [digests, ingestion] = await eventsOf(lost);
    assert.deepEqual([digests?.type, digests?.at], ["message digest calculation", createdAt]);
    assert.deepEqual([ingestion?.type, ingestion?.at, ingestion?.actor], ["ingestion", createdAt, "ada"]);
    assert.deepEqual(ingestion?.details, { files: 2, bytes: 1003, recordedBy: "rebuild" });
    assert.equal((await stores.fixity.coverage(0)).neverChecked, 2, "and checks everything again");
  });

  test("what other software did is told with its name, not with that of what wrote it down", async () => {
    const copied = await archive.copy();
    const events = preservationEvents(logOf(copied));
    const details = { note: "tape" };
    const actor = "ops";
    await events.record({
      type: "replication",
      transactionId: ONE,
      actor,
      outcome: "failure",
      details,
      software: "ltfs/2.4",
    });
    const { software, ...event } = (await eventsOf(copied)).at(-1) ?? assert.fail();
    assert.deepEqual([software, event.outcome, event.details], ["ltfs/2.4", "failure", details]);
    const [entry] = (await logOf(copied).list(0, 100, { target: "transaction/1" })).slice(-1);
    assert.equal(entry?.software, "Longshore/1.2.3");
  });

  test("types are words of the Library of Congress's vocabulary", () => {
    for (const type of EVENT_TYPES) assert.ok(EVENT_VOCABULARY_LABELS.includes(type), type);
  });

  test("a PREMIS document has its elements in the order of the schema", async () => {
    const copied = await archive.copy();
    const events = preservationEvents(logOf(copied));
    await events.record({
      type: "migration",
      transactionId: ONE,
      actor: "ops",
      outcome: "success",
      details: {},
      software: "x/1",
    });
    for (const id of [1, 2]) inOrder(await documentOf(copied, transactionId(id)));
  });

  test("it names the files with digests and sizes as the catalogue has them, and each agent once", async () => {
    const text = await documentOf(archive);
    for await (const file of filesOf(archive.stores.catalogue, ONE)) {
      assert.ok(text.includes(`<messageDigest>${file.digests.sha512}</messageDigest>`));
      assert.ok(text.includes(`<size>${file.sizeBytes}</size>`));
      assert.ok(text.includes(`<originalName>${file.path}</originalName>`));
    }
    assert.equal(text.match(/<agentName>ada<\/agentName>/g)?.length, 1);
    assert.equal(text.match(/<agentName>Longshore<\/agentName>/g)?.length, 1);
    assert.equal(text.match(/<event>/g)?.length, 2);
  });

  test("whatever names there are, the text is XML's, and what no XML can hold is spelled out", () => {
    assert.equal(
      xmlText(ODD)
        .replaceAll(/&(amp|lt|gt);/g, "")
        .match(/[&<>]/),
      null,
    );
    // XML 1.0 §2.2, Char.
    const allowed = /^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u;
    for (let code = 0; code <= 0xffff; code++) {
      const text = xmlText(`a${String.fromCharCode(code)}b`);
      assert.ok(text.isWellFormed() && allowed.test(text), `U+${code.toString(16)}`);
    }
    assert.equal(xmlText("\u0000\ud800\uffff"), "\\u0000\\ud800\\uffff");
    assert.equal(xmlText("a\r\nb]]>"), "a&#13;\nb]]&gt;");
    assert.equal(xmlText("a & <b>"), "a &amp; &lt;b&gt;");
  });
});

/** That each element's children follow in the order in which the schema has them, and those it must have are there. */
function inOrder(xml: string): void {
  const open: { readonly name: string; readonly children: string[] }[] = [{ name: "", children: [] }];
  let elements = 0;
  const parser = new Parser(
    {
      onopentag(name) {
        open.at(-1)?.children.push(name);
        open.push({ name, children: [] });
      },
      onclosetag(name) {
        const { children } = open.pop() ?? assert.fail("closed more than was opened");
        elements++;
        const order = PREMIS_ORDER[name];
        if (children.length === 0) return;
        assert.ok(order, `${name} has children`);
        const places = children.map((child) => order.findIndex((one) => one.replace("!", "") === child));
        assert.ok(!places.includes(-1), `${name} holds ${children.join(", ")}`);
        assert.deepEqual(
          places,
          places.toSorted((a, b) => a - b),
          `${name} holds ${children.join(", ")}`,
        );
        for (const needed of order.filter((one) => one.endsWith("!")))
          assert.ok(children.includes(needed.slice(0, -1)), `${name} lacks ${needed}`);
      },
      onerror: (error) => assert.fail(error),
    },
    { xmlMode: true },
  );
  parser.end(xml);
  assert.ok(elements > 20);
  assert.equal(open.length, 1, "everything was closed");
}
