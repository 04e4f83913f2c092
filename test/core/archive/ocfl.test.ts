import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readInventory } from "../../../src/core/archive/inventory.ts";
import {
  inventoryText,
  isRootFileText,
  objectFolderOf,
  objectId,
  objectPath,
  rootFiles,
  sidecarOf,
  sidecarText,
  transactionOfObject,
} from "../../../src/core/archive/ocfl.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { seededRandom } from "../../support/random.ts";

const HEAD = {
  id: "longshore:transaction:1",
  algorithm: "sha256",
  createdAt: "2020-09-13T12:26:40.000Z",
  message: "Deposited",
  user: { name: 'ada "the" first' },
} as const;
/** `printf hello | sha256sum`, `sha1sum`, `md5sum`; `printf '' | sha256sum`. */
const HELLO = {
  sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  sha1: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
  md5: "5d41402abc4b2a76b9719d911017c592",
};
const EMPTY = { sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" };

const ENTRIES = [
  { logicalPath: "data/a", contentPath: "v1/content/data/a", digests: HELLO },
  { logicalPath: "data/ü\n", contentPath: "v1/content/renamed/00000001", digests: { ...HELLO, sha224: "00" } },
  { logicalPath: "data/empty", contentPath: "v1/content/data/empty", digests: EMPTY },
];
const written = () => [...inventoryText(HEAD, ENTRIES)].join("");

describe("the layout", () => {
  test("places an object by the SHA-256 of its id, in three folders of three digits", () => {
    // printf longshore:transaction:1 | sha256sum
    const digest = "bdc6258fdd563c82976ec4c72b9a558e7e1f16d98d032e40d4eb8024222f6969";
    assert.equal(objectPath(transactionId(1)), `bdc/625/8fd/${digest}`);
    assert.equal(objectFolderOf(`bdc/625/8fd/${digest}/inventory.json`), `bdc/625/8fd/${digest}`);
    for (const other of [
      `bdc/625/8fd/${digest}`,
      `bdc/625/${digest}/a`,
      `BDC/625/8fd/${digest}/a`,
      "bdc/625/8fd/short/a",
    ])
      assert.equal(objectFolderOf(other), undefined);
  });

  test("knows its own object ids and no others", () => {
    assert.equal(transactionOfObject(objectId(transactionId(17))), 17);
    const others = ["longshore:transaction:0", "longshore:transaction:1x", "longshore:transaction:-1", "urn:x", ""];
    for (const id of [...others, `longshore:transaction:${2 ** 60}`]) assert.equal(transactionOfObject(id), undefined);
  });

  test("declares itself and its parameters in the storage root", () => {
    const [config, layout, declaration] = rootFiles();
    assert.deepEqual(JSON.parse(config?.text ?? ""), {
      extensionName: "0004-hashed-n-tuple-storage-layout",
      digestAlgorithm: "sha256",
      tupleSize: 3,
      numberOfTuples: 3,
      shortObjectRoot: false,
    });
    assert.equal(JSON.parse(layout?.text ?? "").extension, "0004-hashed-n-tuple-storage-layout");
    assert.deepEqual(declaration, { path: "0=ocfl_1.1", text: "ocfl_1.1\n" });
  });

  test("leaves the words of the layout's description free, and nothing else", () => {
    const layout = '{"description": "Elsewhere.", "extension": "0004-hashed-n-tuple-storage-layout"}';
    assert.ok(isRootFileText("ocfl_layout.json", layout));
    for (const other of [layout.replace("0004", "0003"), layout.replace("}", ', "more": 1}'), "{", "null", ""])
      assert.ok(!isRootFileText("ocfl_layout.json", other), other);
    assert.ok(!isRootFileText("0=ocfl_1.1", "ocfl_1.1"));
    assert.ok(!isRootFileText("unknown", ""));
  });
});

describe("an inventory", () => {
  test("is JSON as OCFL 1.1 §3.5 wants it, each digest once and all its paths", () => {
    const names = [1, 2].map((n) => ENTRIES[n - 1]?.contentPath ?? "");
    assert.deepEqual(JSON.parse(written()), {
      id: HEAD.id,
      type: "https://ocfl.io/1.1/spec/#inventory",
      digestAlgorithm: "sha256",
      head: "v1",
      contentDirectory: "content",
      // §3.4: only digests that OCFL has a name for; sha224 is none of them.
      fixity: { md5: { [HELLO.md5]: names }, sha1: { [HELLO.sha1]: names } },
      manifest: { [HELLO.sha256]: names, [EMPTY.sha256]: ["v1/content/data/empty"] },
      versions: {
        v1: {
          created: HEAD.createdAt,
          message: HEAD.message,
          user: HEAD.user,
          state: { [HELLO.sha256]: ["data/a", "data/ü\n"], [EMPTY.sha256]: ["data/empty"] },
        },
      },
    });
  });

  test("has a sidecar that sha256sum reads", () => {
    assert.equal(sidecarOf("inventory.json", "sha256"), "inventory.json.sha256");
    assert.equal(sidecarText(EMPTY.sha256), `${EMPTY.sha256}  inventory.json\n`);
  });

  test("is read back as it was written", () => {
    const faults: string[] = [];
    const inventory = readInventory(written(), (found) => faults.push(found));
    assert.deepEqual(faults, []);
    assert.equal(inventory?.user, HEAD.user.name);
    assert.equal(inventory?.createdAt, 1_600_000_000_000); // date -u -d 2020-09-13T12:26:40Z +%s
    assert.deepEqual(new Map(inventory?.state), new Map(ENTRIES.map((e) => [e.logicalPath, e.digests.sha256])));
    assert.deepEqual(new Map(inventory?.content), new Map(ENTRIES.map((e) => [e.contentPath, e.digests.sha256])));
    assert.deepEqual(inventory?.fixity.get("v1/content/data/a"), { md5: HELLO.md5, sha1: HELLO.sha1 });
  });

  /** What is wrong, the first of it, when a written inventory is changed like this. */
  const FAULTS: readonly (readonly [what: string, change: (text: string) => string, found: RegExp])[] = [
    ["no JSON", (text) => text.slice(1), /^no JSON object$/],
    ["another JSON", () => "[]", /^no JSON object$/],
    ["no id", (text) => text.replace('"id"', '"ID"'), /^id missing$/],
    ["another type", (text) => text.replace("1.1/spec", "2.0/spec"), /^type .*2\.0/],
    ["an unfit digest algorithm", (text) => text.replace('"sha256"', '"md5"'), /^digestAlgorithm "md5"$/],
    ["a head that does not exist", (text) => text.replace('"v1"', '"v2"'), /^head "v2"$/],
    ["a further version", (text) => text.replace('"v1": {', '"v2": {}, "v1": {'), /^versions v2, v1$/],
    ["no versions", (text) => text.replace('"versions"', '"version"'), /^versions none$/],
    ["content elsewhere", (text) => text.replace('"content"', '"data"'), /^contentDirectory "data"$/],
    ["no time", (text) => text.replace(HEAD.createdAt, "yesterday"), /^created "yesterday"$/],
    ["a manifest that is a list", (text) => text.replace(/"manifest": \{[^}]*\}/, '"manifest": []'), /^manifest \[\]$/],
    ["a path that climbs", (text) => text.replaceAll("v1/content/data/a", "v1/content/../../a"), /^manifest: v1.*\.\./],
    ["an absolute path", (text) => text.replaceAll("v1/content/data/a", "/etc/passwd"), /^manifest: \/etc\/passwd$/],
    ["a path outside content", (text) => text.replaceAll("v1/content/data/a", "v1/a"), /^manifest: v1\/a$/],
    ["a path with NUL", (text) => text.replaceAll("v1/content/data/a", "v1/content/a\\u0000"), /^manifest: v1/],
    ["a logical path that climbs", (text) => text.replace('"data/a"', '"data/../a"'), /^state: data\/\.\.\/a$/],
    ["a path twice", (text) => text.replace('"data/empty"', '"data/empty", "data/a"'), /^state: data\/a$/],
    ["a file in a file", (text) => text.replace('"data/empty"', '"data/a/b"'), /^state: data\/a\/b$/],
    ["paths that are no list", (text) => text.replace('["data/empty"]', '"data/empty"'), /^state: e3b0.* with "data/],
    ["paths that are no text", (text) => text.replace('["data/empty"]', "[1]"), /^state: e3b0.* with \[1\]$/],
    ["a short digest", (text) => text.replaceAll(EMPTY.sha256, "e3b0"), /^manifest: e3b0$/],
    ["a digest that only the state has", (text) => text.replace(EMPTY.sha256, "0".repeat(64)), /^state: data\/empty$/],
    [
      "a digest in two spellings",
      (text) => text.replace(`"${EMPTY.sha256}"`, `"${HELLO.sha256.toUpperCase()}"`),
      /^manifest: 2cf2.* twice$/i,
    ],
    ["a further digest of nothing", (text) => text.replace('"v1/content/data/a", ', '"v1/content/x", '), /x$/],
    ["a further digest nobody knows", (text) => text.replace('"md5"', '"constructor"'), /^fixity: constructor$/],
  ];
  for (const [what, change, expected] of FAULTS)
    test(`with ${what} is at fault`, () => {
      const text = change(written());
      assert.notEqual(text, written());
      const faults: string[] = [];
      const inventory = readInventory(text, (found) => faults.push(found));
      assert.match(faults[0] ?? "no fault", expected);
      for (const path of inventory?.content.keys() ?? []) assert.match(path, /^v1\/content\/(?!.*\.\.)/);
    });

  test("in upper case digests is read like any other", () => {
    const text = written().replaceAll(HELLO.sha256, HELLO.sha256.toUpperCase());
    const faults: string[] = [];
    assert.equal(readInventory(text, (found) => faults.push(found))?.state.get("data/a"), HELLO.sha256);
    assert.deepEqual(faults, []);
  });

  test("changed at random is never more than at fault", (t) => {
    const random = seededRandom(t);
    const junk = ["{}", "[]", "null", "-1", '"__proto__"', '"constructor"', '"../x"', "true", '{"a":{}}', "1e999"];
    for (let round = 0; round < 2_000; round++) {
      const tokens = written().split(/(?<=[{}[\]:,])|(?=[{}[\]:,])/);
      for (let n = 0; n <= random(3); n++) tokens[random(tokens.length)] = junk[random(junk.length)] ?? "";
      const inventory = readInventory(tokens.join(""), (found, expected) => assert.ok(found && expected));
      for (const path of inventory?.content.keys() ?? []) assert.match(path, /^v1\/content\//);
    }
  });
});
