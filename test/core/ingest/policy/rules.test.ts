import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { AppError, type DetailValue } from "../../../../src/core/errors.ts";
import { readMetadata } from "../../../../src/core/ingest/metadata.ts";
import { allPolicies, openPolicy, type Policy, type Submission } from "../../../../src/core/ingest/policy/policy.ts";
import { rulesPolicy } from "../../../../src/core/ingest/policy/rules.ts";
import { readRules } from "../../../../src/core/ingest/policy/rules-file.ts";

const SHA1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; // printf hello | sha1sum

const field = (name: string, value: unknown) => ({ destinationTable: `Transactions.${name}`, value });
const keyValue = (key: string, value: string) => ({ destinationTable: "TransactionKeyValue", key, value });
const file = (name: string, more: object = {}) => ({
  destinationTable: "Files",
  subdir: "data/raw",
  name,
  size: 5,
  hashtype: "sha1",
  hashsum: SHA1,
  ...more,
});
const WHO = [field("submitter", 10), field("project", "1234a"), field("instrument", 54)];

/** A submission as a bundle with this metadata brings it about. */
async function submission(entries: readonly object[], documents: string[] = []): Promise<Submission> {
  const text = JSON.stringify(entries);
  const { metadata, problems } = await readMetadata(Readable.from([Buffer.from(text)]), "bundle");
  assert.deepEqual(problems, [], "the test's own metadata is at fault");
  return {
    owner: "someone",
    metadata,
    async document() {
      documents.push(text);
      return Readable.from([Buffer.from(text)]);
    },
  };
}

/** What rules object to, without the sentence's frame. */
async function objections(rules: object, entries: readonly object[]): Promise<readonly string[]> {
  const found = await rulesPolicy(readRules(JSON.stringify(rules))).judge(
    await submission(entries),
    AbortSignal.timeout(10_000),
  );
  assert.ok(found.every(({ code }) => code === "policy_refused"));
  return found.map(({ message }) => message.replace(/^The policy refuses this bundle\. \((.*)\)$/s, "$1"));
}

/** What is wrong with a policy file, without the sentence's frame. */
function mistakes(text: string): readonly string[] {
  try {
    readRules(text);
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "policy_invalid");
    const problems = error.details.problems as readonly { readonly [key: string]: DetailValue }[];
    return problems.map(({ message }) => String(message).replace(/^The policy file is not valid\. \((.*)\)$/s, "$1"));
  }
  assert.fail("the policy file was accepted");
}

describe("rules", () => {
  test("no rules refuse nothing", async () => {
    assert.deepEqual(await objections({}, [file("a")]), []);
  });

  test("required fields and keys must be there", async () => {
    const rules = { required: { fields: ["submitter", "instrument"], keys: ["Sample", "Run"] } };
    assert.deepEqual(await objections(rules, [field("submitter", 10), keyValue("Run", "1"), file("a")]), [
      "path: Transactions.instrument; expected: a value; found: nothing",
      "path: TransactionKeyValue Sample; expected: a value; found: nothing",
    ]);
    assert.deepEqual(await objections(rules, [...WHO, keyValue("Run", "1"), keyValue("Sample", ""), file("a")]), []);
  });

  test("ids are the same whether numbers or text, in the rules as in the metadata", async () => {
    const rules = { allowed: { submitters: ["10"], projects: ["1234a"], instruments: [54, 55] } };
    assert.deepEqual(await objections(rules, [...WHO, file("a")]), []);
    assert.deepEqual(await objections(rules, [field("submitter", 1), field("instrument", "56"), file("a")]), [
      "path: Transactions.submitter; expected: 10; found: 1",
      "path: Transactions.project; expected: 1234a; found: nothing",
      "path: Transactions.instrument; expected: 54 or 55; found: 56",
    ]);
  });

  test("an empty list allows nobody", async () => {
    assert.equal((await objections({ allowed: { submitters: [] } }, [...WHO, file("a")])).length, 1);
  });

  test("a long list of the allowed is not repeated in full", async () => {
    const submitters = Array.from({ length: 500 }, (_, i) => i + 1000);
    const [objection] = await objections({ allowed: { submitters } }, [...WHO, file("a")]);
    assert.match(objection ?? "", /expected: 1000 or 1001 or .* or 1009 or one of 490 more; found: 10$/);
  });

  test("a combination is allowed when one of them fits as a whole", async () => {
    const rules = {
      allowed: {
        combinations: [
          { submitters: [10], projects: ["p"] },
          { submitters: [11], projects: ["q"], instruments: [54] },
          { projects: ["open"] },
        ],
      },
    };
    const deposit = (submitter: number, project: string) =>
      objections(rules, [field("submitter", submitter), field("project", project), field("instrument", 54), file("a")]);
    assert.deepEqual(await deposit(10, "p"), []);
    assert.deepEqual(await deposit(11, "q"), []);
    assert.deepEqual(await deposit(99, "open"), []);
    const expected = "path: Transactions; expected: a combination that is allowed; found: ";
    assert.deepEqual(await deposit(10, "q"), [`${expected}submitter 10, project q, instrument 54`]);
    assert.deepEqual(await objections(rules, [file("a")]), [
      `${expected}submitter unnamed, project unnamed, instrument unnamed`,
    ]);
  });

  test("the number of files and their sizes are limited", async () => {
    const rules = { limits: { minFiles: 2, maxFiles: 3, maxFileBytes: 10, maxTotalBytes: 20 } };
    assert.deepEqual(await objections(rules, [file("a", { size: 10 }), file("b", { size: 10 })]), []);
    assert.deepEqual(await objections(rules, [file("a", { size: 11 })]), [
      "path: Files; expected: at least 2 files; found: 1",
      "path: data/raw/a; expected: at most 10 bytes; found: 11",
    ]);
    assert.deepEqual(
      await objections(
        rules,
        ["a", "b", "c", "d"].map((name) => file(name, { size: 6 })),
      ),
      ["path: Files; expected: at most 3 files; found: 4", "path: Files; expected: at most 20 bytes in all; found: 24"],
    );
  });

  test("a size that is not declared does not slip under a limit on bytes", async () => {
    const entries = [file("a", { size: undefined })];
    for (const limits of [{ maxFileBytes: 10 }, { maxTotalBytes: 10 }])
      assert.deepEqual(await objections({ limits }, entries), [
        "path: data/raw/a; expected: a declared size; found: nothing",
      ]);
    assert.deepEqual(await objections({ limits: { maxFiles: 1 } }, entries), []);
  });

  test("only allowed digests may be declared, however they are spelt", async () => {
    const rules = { allowed: { digests: ["SHA-256", "md5"] } };
    const entries = [
      file("a"),
      file("b", { hashtype: "sha256", hashsum: "0".repeat(64) }),
      file("c", { hashtype: "MD5", hashsum: "0".repeat(32) }),
    ];
    assert.deepEqual(await objections(rules, entries), ["path: data/raw/a; expected: sha256 or md5; found: sha1"]);
  });

  test("paths must match one allowed pattern and no forbidden one", async () => {
    const rules = { allowed: { paths: ["^data/raw/", "\\.txt$"] }, forbidden: { paths: ["\\.exe$", "(^|/)\\."] } };
    const entries = [
      file("a"),
      file("notes.txt", { subdir: "data" }),
      file("b", { subdir: "data/other" }),
      file(".hidden.exe"),
    ];
    assert.deepEqual(await objections(rules, entries), [
      "path: data/other/b; expected: a path that matches ^data/raw/ or \\.txt$",
      "path: data/raw/.hidden.exe; expected: a path that does not match \\.exe$",
      "path: data/raw/.hidden.exe; expected: a path that does not match (^|/)\\.",
    ]);
  });

  test("more than a thousand objections are cut off, and it says so", async () => {
    const entries = Array.from({ length: 1_500 }, (_, i) => file(`${i}.exe`));
    const found = await objections({ forbidden: { paths: ["\\.exe$"] } }, entries);
    assert.equal(found.length, 1_001);
    assert.match(found.at(-1) ?? "", /at most 1000 objections; found: more, which are not listed/);
  });
});

describe("a JSON Schema for the metadata", () => {
  const schemaOf = (metadataSchema: object, more: object = {}) => ({ metadataSchema, ...more });

  test("objections name the place, what was expected and what was found", async () => {
    const rules = schemaOf({
      items: {
        properties: {
          size: { maximum: 100 },
          value: { type: "string", pattern: "^S-" },
          hashtype: { enum: ["sha1", "md5"] },
          mimetype: { const: "text/plain" },
        },
        required: ["destinationTable", "value"],
      },
      minItems: 5,
    });
    const entries = [field("submitter", 10), keyValue("Sample", "T-1"), file("a", { size: 101, mimetype: "x/y" })];
    assert.deepEqual((await objections(rules, entries)).toSorted(), [
      "path: metadata.txt#/0/value; expected: to be string; found: 10",
      'path: metadata.txt#/1/value; expected: to match pattern "^S-"; found: T-1',
      "path: metadata.txt#/2/mimetype; expected: text/plain; found: x/y",
      "path: metadata.txt#/2/size; expected: to be <= 100; found: 101",
      "path: metadata.txt#/2; expected: to have required property 'value'",
      "path: metadata.txt; expected: not to have fewer than 5 items",
    ]);
    assert.deepEqual(
      await objections(schemaOf({ items: { properties: { hashtype: { enum: ["md5", "sha512"] } } } }), [file("a")]),
      ["path: metadata.txt#/0/hashtype; expected: md5 or sha512; found: sha1"],
    );
  });

  test("a document that fails in hundreds of thousands of places gets a list that can be read", async () => {
    const entries = Array.from({ length: 200_000 }, () => ({ destinationTable: "x" }));
    const found = await objections(schemaOf({ items: { required: ["a", "b"] } }), entries);
    assert.equal(found.length, 1_001);
    assert.equal(found[0], "path: metadata.txt#/0; expected: to have required property 'a'");
  });

  test("a property too many is named", async () => {
    const properties = Object.fromEntries(Object.keys(file("a")).map((key) => [key, true]));
    const rules = schemaOf({ items: { type: "object", properties, additionalProperties: false } });
    assert.deepEqual(await objections(rules, [file("a", { colour: "red" })]), [
      "path: metadata.txt#/0; expected: not to have additional properties; found: colour",
    ]);
  });

  test("the document is read only when there is a schema", async () => {
    const documents: string[] = [];
    const deposit = await submission([...WHO, file("a")], documents);
    await rulesPolicy(readRules('{"limits": {"maxMetadataBytes": 1}}')).judge(deposit, AbortSignal.timeout(1_000));
    assert.equal(documents.length, 0);
    await rulesPolicy(readRules('{"metadataSchema": {}}')).judge(deposit, AbortSignal.timeout(1_000));
    assert.equal(documents.length, 1);
  });

  test("a document over the limit is refused after the limit has been read", async () => {
    let readBytes = 0;
    async function* endless() {
      for (;;) {
        readBytes += 1_000;
        yield Buffer.alloc(1_000, " ");
      }
    }
    const deposit = { ...(await submission([file("a")])), document: async () => endless() };
    const rules = readRules('{"limits": {"maxMetadataBytes": 5000}, "metadataSchema": {}}');
    const [objection, ...others] = await rulesPolicy(rules).judge(deposit, AbortSignal.timeout(10_000));
    assert.match(objection?.message ?? "", /path: metadata\.txt; expected: at most 5000 bytes; found: more/);
    assert.deepEqual(others, []);
    assert.equal(readBytes, 6_000);
  });
});

describe("a policy file", () => {
  test("everything wrong with it is reported together", () => {
    const text = JSON.stringify({
      requires: {},
      required: { fields: ["submitter", "owner"], keys: "Sample" },
      allowed: { submitters: [10, true], digests: ["sha1", "crc9"], paths: ["^data/(", 7] },
      limits: { maxFiles: "many", minFiles: 1.5, maxFileBytes: -1, maxBytes: 3 },
      metadataSchema: { tpye: "array" },
    });
    const found = mistakes(text);
    assert.deepEqual(found.filter((one) => !one.includes("regular expression")).toSorted(), [
      "expected: only rules that Longshore knows; found: requires",
      'path: allowed.digests.1; expected: the name of a digest: md5, sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, sha3_384, sha3_512, blake2b-512, blake2s; found: "crc9"',
      "path: allowed.paths.1; expected: text; found: 7",
      "path: allowed.submitters.1; expected: text or a number; found: true",
      "path: limits.maxFileBytes; expected: 0 or more; found: -1",
      'path: limits.maxFiles; expected: a whole number; found: "many"',
      "path: limits.minFiles; expected: a whole number; found: 1.5",
      "path: limits; expected: only rules that Longshore knows; found: maxBytes",
      'path: metadataSchema; expected: a JSON Schema of draft 2020-12 (strict mode: unknown keyword: "tpye"); found: an object',
      'path: required.fields.1; expected: submitter or project or instrument; found: "owner"',
      'path: required.keys; expected: a list; found: "Sample"',
    ]);
    assert.match(
      found.find((one) => one.includes("allowed.paths.0")) ?? "",
      /a regular expression \(.*Unterminated group/,
    );
  });

  test("text that is not JSON is refused with the reason", () => {
    assert.match(mistakes("{ limits: }")[0] ?? "", /^expected: JSON; found: .*position 2/);
    assert.deepEqual(mistakes("[]"), ["expected: an object; found: a list"]);
  });

  test("a schema of another draft, or one that refers to another place, is refused at once", () => {
    assert.match(mistakes('{"metadataSchema": {"$async": true, "minItems": 9}}')[0] ?? "", /without \$async/);
    for (const metadataSchema of [
      { $schema: "http://json-schema.org/draft-04/schema#" },
      { $ref: "https://example.org/other.json" },
      { type: "liste" },
    ])
      assert.match(mistakes(JSON.stringify({ metadataSchema }))[0] ?? "", /a JSON Schema of draft 2020-12 \(/);
  });

  test("the example accepts the deposits it is for, and names each way in which another one fails", async () => {
    const path = join(import.meta.dirname, "../../../../examples/policy/rules.json");
    const rules = JSON.parse(await readFile(path, "utf8"));
    const operator = keyValue("Operator", "M. Chen");
    const good = [...WHO, keyValue("Sample", "S-0815"), operator, file("a.csv")];
    assert.deepEqual(await objections(rules, good), []);
    const bad = [
      field("submitter", 12),
      field("project", "1234a"),
      field("instrument", 54),
      keyValue("Sample", "0815"),
      file("a.tmp", { size: undefined, hashtype: "md5", hashsum: "0".repeat(32) }),
      file(".lock", { subdir: "data/other" }),
    ];
    assert.deepEqual(await objections(rules, bad), [
      "path: Transactions; expected: a combination that is allowed; found: submitter 12, project 1234a, instrument 54",
      "path: data/raw/a.tmp; expected: a declared size; found: nothing",
      "path: data/raw/a.tmp; expected: sha1 or sha256 or sha512; found: md5",
      "path: data/raw/a.tmp; expected: a path that does not match \\.tmp$",
      "path: data/other/.lock; expected: a path that matches ^data/(raw|processed)/",
      "path: data/other/.lock; expected: a path that does not match (^|/)\\.",
      'path: metadata.txt#/3/value; expected: to match pattern "^S-[0-9]{4}$"; found: 0815',
      "path: metadata.txt; expected: to contain at least 1 and no more than 3 valid item(s)",
    ]);
  });
});

describe("several policies", () => {
  const objecting = (found: string): Policy => ({
    judge: async () => [{ code: "policy_refused", message: found }],
  });
  const judge = async (policy: Policy) =>
    (await policy.judge(await submission([file("a")]), AbortSignal.timeout(1_000))).map(({ message }) => message);

  test("the open policy agrees with everything", async () => {
    assert.deepEqual(await judge(openPolicy()), []);
    assert.deepEqual(await judge(allPolicies()), []);
  });

  test("all must agree, and their objections are listed together", async () => {
    assert.deepEqual(await judge(allPolicies(objecting("a"), openPolicy(), objecting("b"))), ["a", "b"]);
    assert.deepEqual(await judge(allPolicies(openPolicy(), openPolicy())), []);
  });

  test("one that cannot answer is not taken for one that agrees", async () => {
    const failing: Policy = { judge: () => Promise.reject(new AppError("remote_unavailable")) };
    await assert.rejects(judge(allPolicies(openPolicy(), failing)), { code: "remote_unavailable" });
  });

  test("what they ask for beforehand is what none of them would refuse", () => {
    const rules = (source: object) => rulesPolicy(readRules(JSON.stringify(source)));
    const example = rules({
      required: { fields: ["submitter"], keys: ["Sample"] },
      allowed: { instruments: [54, 55], digests: ["sha1", "SHA-256"], combinations: [{ projects: ["a"] }, {}] },
    });
    assert.deepEqual(example.asks, {
      fields: ["submitter", "instrument"], // an instrument that is not named is not in the list
      keys: ["Sample"],
      choices: { instrument: ["54", "55"] }, // the second combination fits with any project
      digests: ["sha1", "sha256"],
    });
    const other = rules({
      required: { keys: ["Sample", "Operator"] },
      allowed: { combinations: [{ instruments: [55, 56] }, { instruments: [57] }], digests: ["sha256", "sha512"] },
    });
    assert.deepEqual(allPolicies(example, objecting("a"), other).asks, {
      fields: ["submitter", "instrument"],
      keys: ["Sample", "Operator"],
      choices: { instrument: ["55"] },
      digests: ["sha256"],
    });
  });
});
