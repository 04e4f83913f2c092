import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DIGEST_NAMES,
  digestLength,
  digestName,
  digestsOf,
  factsOfStream,
  multiHash,
  requireDigestName,
} from "../../src/core/digest.ts";
import { chunked } from "../support/tars.ts";

/** Of the nine bytes `longshore`: GNU coreutils 9.1 (`printf longshore | sha512sum` …); SHA-3 and BLAKE2s by OpenSSL 3.0.19 (`openssl dgst`). */
const LONGSHORE = {
  md5: "24803db8f1a58c9841a810cb0dcf89b8",
  sha1: "a7d9bbfe41bbcf8a17efbb306cee8fa956dff4dd",
  sha224: "e8372023f392688a307394c96a82e4887d682b5f0204f97b59bb25b3",
  sha256: "fb2b60e3bca7b8033c60dd6a95a0ccfee85372fd737853c1d2228170faf746d3",
  sha384: "bc3b2c2b07d751835d57ee7e449d272de679f01aa74950ec2bedf615ca315cbf1b45e3ccfe8e49968fd908cdacf62c5c",
  sha512:
    "e5c7d0d31bb5022d24e001a54668439157d383cab96003f88d4be2eef85efaf61aad8ee062d2dec9a1bd0414871c64d08cf410a8610ed3048caf4975bfa7c845",
  sha3_224: "d6308666673c786850a40451c4feea112e8b2e1e9d2b57fcd900ae72",
  sha3_256: "df3237d8f8072ac8a8cd2013b36a96d61c7a2717b884c5332bd486efdc404c5c",
  sha3_384: "2210053bf61fd674e815a0dedc2a39e823fdb70506a855c290028c899c8b23b8c3e89e3ce761eccb6865e0331cb18cbb",
  sha3_512:
    "d757f64100aa65b47cbbd608156f588949c7e73d18acfa46f9e1fefca636999cbe79f1652edc877bc435281c1f4f658fba6a166bcb435a607d151e51d36aafbf",
  "blake2b-512":
    "336b2ee54b5707f3478b2d945a1b9866026d7e2c863176965602a2dc942d92ffe1be65a1c0a7307790b1ad581124cc7c5efee52c9d485b731736c1d9dc22803b",
  blake2s: "0b638b5543e2e2511d1ad85a6891b944fa6c33ded72c43a540676face41a2c32",
};
/** `python3 -c "import zlib; print(zlib.crc32(b'longshore'))"` */
const LONGSHORE_CRC32 = 3_092_749_086;
const BYTES = Buffer.from("longshore");

test("every algorithm gives the digest that other programs give, at once and in pieces", async () => {
  assert.deepEqual(Object.keys(LONGSHORE).toSorted(), DIGEST_NAMES.toSorted());
  assert.deepEqual(digestsOf(BYTES, DIGEST_NAMES), LONGSHORE);
  const hashing = multiHash(DIGEST_NAMES);
  for (const byte of BYTES) hashing.update(Buffer.from([byte]));
  assert.deepEqual(hashing.digests(), LONGSHORE);
  for (const [name, value] of Object.entries(LONGSHORE))
    assert.equal(digestLength(requireDigestName(name)), value.length, name);
});

test("a stream's size, digests and CRC-32 are known at its end", async () => {
  for (const size of [1, 4, 100])
    assert.deepEqual(await factsOfStream(chunked(BYTES, size), ["sha1", "blake2s"]), {
      sizeBytes: 9,
      digests: { sha1: LONGSHORE.sha1, blake2s: LONGSHORE.blake2s },
      crc32: LONGSHORE_CRC32,
    });
  assert.deepEqual(await factsOfStream(chunked(Buffer.alloc(0)), []), { sizeBytes: 0, digests: {}, crc32: 0 });
});

test("reading a stream stops when it is told to", async () => {
  const abort = new AbortController();
  let given = 0;
  async function* endless() {
    for (;;) {
      if (++given === 10) abort.abort(new Error("enough"));
      yield BYTES;
    }
  }
  await assert.rejects(factsOfStream(endless(), ["sha1"], abort.signal), /enough/);
  assert.equal(given, 10);
});

test("algorithms are known by the names OCFL, Python's hashlib and people use", () => {
  const spelled = {
    sha1: ["sha1", "SHA1", "sha-1", "SHA-1"],
    sha256: ["sha256", "SHA-256"],
    sha512: ["sha512", "Sha-512"],
    sha3_256: ["sha3_256", "sha3-256", "SHA3-256"],
    "blake2b-512": ["blake2b", "blake2b-512", "BLAKE2b", "blake2b512"],
    blake2s: ["blake2s"],
    md5: ["md5", "MD5"],
  };
  for (const [name, spellings] of Object.entries(spelled))
    for (const spelling of spellings) assert.equal(digestName(spelling), name, spelling);
});

test("other names are unknown, also those every object has", () => {
  for (const spelling of [
    "",
    "sha",
    "sha2",
    "crc32",
    "shake_128",
    "constructor",
    "toString",
    "__proto__",
    "hasOwnProperty",
  ]) {
    assert.equal(digestName(spelling), undefined, spelling);
    assert.throws(() => requireDigestName(spelling), { code: "digest_unknown" });
  }
});
