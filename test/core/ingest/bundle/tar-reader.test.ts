import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError, type Problem } from "../../../../src/core/errors.ts";
import { readTar, type TarMember } from "../../../../src/core/ingest/bundle/tar-reader.ts";
import { assertGrowsLinearly } from "../../../support/growth.ts";
import { seededRandom } from "../../../support/random.ts";
import {
  base256,
  chunked,
  END_OF_ARCHIVE,
  gnuLong,
  paxHeader,
  paxRecord,
  tarHeader,
  tarMember,
  tarOf,
  withChecksum,
} from "../../../support/tars.ts";

interface Read {
  readonly members: (TarMember & { readonly text: string })[];
  readonly refused: Problem[];
}

/** Everything a tar holds, and what was refused of it. */
async function read(bytes: Uint8Array, chunkSize?: number, wanted: (name: string) => boolean = () => true) {
  const seen: Read = { members: [], refused: [] };
  let open: TarMember | undefined;
  let chunks: Uint8Array[] = [];
  await readTar(chunked(bytes, chunkSize), {
    begin(member) {
      assert.equal(open, undefined, "a member begins before the last one has ended");
      if (!wanted(member.name)) return false;
      open = member;
      return true;
    },
    data(chunk) {
      assert.ok(open && chunk.length > 0);
      chunks.push(Buffer.from(chunk));
      return undefined;
    },
    end() {
      assert.ok(open);
      const body = Buffer.concat(chunks);
      assert.equal(body.length, open.sizeBytes);
      seen.members.push({ ...open, text: body.toString("latin1") });
      open = undefined;
      chunks = [];
    },
    refuse: (reason) => seen.refused.push(reason),
  });
  assert.equal(open, undefined);
  return seen;
}

const names = async (bytes: Uint8Array) => (await read(bytes)).members.map(({ name }) => name);
const refusals = async (bytes: Uint8Array) =>
  (await read(bytes)).refused.map(({ code, path, found }) => [code, path, found]);

const unexpected = () => assert.fail("called without cause");

const LONG = `data/${"deep/".repeat(60)}${"n".repeat(120)}.txt`;

/** One of everything that is taken in, with sizes around a block. */
const TRICKY = tarOf(
  tarMember({ name: "./metadata.txt" }, "[]"),
  tarMember({ name: "./data/", type: "5" }),
  tarMember({ name: "data/empty" }),
  tarMember({ name: "data/511" }, "a".repeat(511)),
  tarMember({ name: "data/512" }, "b".repeat(512)),
  tarMember({ name: "data/513" }, "c".repeat(513)),
  tarMember({ name: "file.txt", prefix: "data/prefixed/folder" }, "ustar prefix"),
  gnuLong("L", LONG),
  tarMember({ name: LONG.slice(0, 100), magic: "gnu" }, "gnu long name"),
  paxHeader({ path: "data/päx/漢字.txt", mtime: "1600000000.25", size: "9", comment: "x".repeat(700) }),
  tarMember({ name: "data/ascii-name", size: 9 }, "pax names"),
  paxHeader({ comment: "of an archive" }, "g"),
  tarMember({ name: "data/v7", magic: "v7", type: "\0" }, "seventh edition"),
  tarMember({ name: "data/old-folder/", magic: "v7", type: "\0" }),
  tarMember({ name: "data/contiguous", type: "7" }, "type 7"),
  tarMember({ name: "data/signed-\xe9", signedChecksum: true }, "signed checksum"),
  tarMember({ name: "data/binary-size", sizeField: base256(5n), magic: "gnu" }, "12345"),
  tarMember({ name: "data/old-times", mtimeField: base256(-86_400n), magic: "gnu" }, "1969"),
);

const TRICKY_MEMBERS = [
  ["metadata.txt", "[]", 1_600_000_000],
  ["data/empty", "", 1_600_000_000],
  ["data/511", "a".repeat(511), 1_600_000_000],
  ["data/512", "b".repeat(512), 1_600_000_000],
  ["data/513", "c".repeat(513), 1_600_000_000],
  ["data/prefixed/folder/file.txt", "ustar prefix", 1_600_000_000],
  [LONG, "gnu long name", 1_600_000_000],
  ["data/päx/漢字.txt", "pax names", 1_600_000_000.25],
  ["data/v7", "seventh edition", 1_600_000_000],
  ["data/contiguous", "type 7", 1_600_000_000],
  ["data/signed-\xe9", "signed checksum", 1_600_000_000],
  ["data/binary-size", "12345", 1_600_000_000],
  ["data/old-times", "1969", -86_400],
];

describe("what is read", () => {
  test("members of v7, ustar, GNU and pax are read, however the stream is cut into chunks", async () => {
    const whole = await read(TRICKY, TRICKY.length);
    assert.deepEqual(whole.refused, []);
    assert.deepEqual(
      whole.members.map(({ name, text, modifiedAt }) => [name, text, modifiedAt]),
      TRICKY_MEMBERS,
    );
    for (let size = 1; size <= 1100; size++) assert.deepEqual(await read(TRICKY, size), whole, `chunks of ${size}`);
  });

  test("a tar without end-of-archive blocks is truncated, one such block is enough, and zeros may follow", async () => {
    const member = tarMember({ name: "data/a" }, "a");
    const truncated = { code: "bundle_truncated", details: { bytesReceived: 1024 } };
    await assert.rejects(read(member), truncated);
    assert.equal((await read(Buffer.concat([member, Buffer.alloc(512)]))).members.length, 1);
    assert.equal((await read(Buffer.concat([member, Buffer.alloc(100_000)]))).members.length, 1);
    assert.deepEqual((await read(END_OF_ARCHIVE)).members, []);
  });

  test("a member that is not wanted is passed over", async () => {
    const some = await read(TRICKY, 700, (name) => name.includes("51"));
    assert.deepEqual(
      some.members.map(({ name }) => name),
      ["data/511", "data/512", "data/513"],
    );
  });

  test("the sink sets the pace: no chunk is handed over while it is behind", async () => {
    let behind = 0;
    let handed = 0;
    await readTar(chunked(tarOf(tarMember({ name: "data/a" }, "a".repeat(5000))), 1000), {
      begin: () => true,
      async data() {
        assert.equal(behind++, 0);
        await new Promise(setImmediate);
        handed++;
        behind--;
      },
      end: () => assert.equal(behind, 0),
      refuse: unexpected,
    });
    assert.ok(handed >= 5);
  });

  test("what the sink throws ends the reading with it", async () => {
    const full = new AppError("storage_full");
    const sink = { begin: () => true, data: () => Promise.reject(full), end: unexpected, refuse: unexpected };
    await assert.rejects(readTar(chunked(TRICKY), sink), full);
  });

  test("names lose ./ before and / behind, and nothing else", async () => {
    const members = ["./a", "././b", ".//c", "data/d e\n\t\\", "data/...", "..data/.x", "data/\u202e", "C:\\x"];
    const tar = tarOf(...members.map((name) => tarMember({ name })));
    const expected = ["a", "b", "c", "data/d e\n\t\\", "data/...", "..data/.x", "data/\u202e", "C:\\x"];
    assert.deepEqual(await names(tar), expected);
  });

  test("a name of 5,000 bytes is read from a pax and from a GNU header", async () => {
    const name = `data/${"é".repeat(2497)}x`;
    assert.equal(Buffer.byteLength(name), 5_000);
    const tar = tarOf(
      paxHeader({ path: name }),
      tarMember({ name: "x" }),
      gnuLong("L", name),
      tarMember({ name: "x" }),
    );
    assert.deepEqual(await names(tar), [name, name]);
  });

  test("the top folder itself is a folder like others", async () => {
    const tops = [".", "./", "././"].map((name) => tarMember({ name, type: "5" }));
    assert.deepEqual(await read(tarOf(...tops)), { members: [], refused: [] });
  });

  test("what GNU keeps where others have a name prefix is no part of the name", async () => {
    const times = (block: Buffer) => block.write("13727410000\x0013727410000\0", 345, "latin1");
    assert.deepEqual(await names(tarOf(tarMember({ name: "data/a", magic: "gnu", tweak: times }))), ["data/a"]);
  });

  test("a number field may be blank, padded with blanks, or fill its field to the last digit", async () => {
    const field = (text: string) => Buffer.from(text.padEnd(12, "\0"), "latin1");
    const size = async (text: string) => {
      const tar = tarOf(tarMember({ name: "data/a", sizeField: field(text) }, "12345678"));
      return (await read(tar)).members[0]?.sizeBytes;
    };
    assert.equal(await size("10"), 8);
    assert.equal(await size("      10 "), 8);
    assert.equal(await size("000000000010"), 8);
    const empty = tarOf(tarMember({ name: "data/a", sizeField: field("            ") }));
    assert.equal((await read(empty)).members[0]?.sizeBytes, 0);
  });
});

describe("what is refused, and read on", () => {
  const after = tarMember({ name: "data/after" }, "still read");

  test("links, devices, pipes and GNU's own kinds are refused by name, with their data passed over", async () => {
    const kinds = [
      ["1", "hard link"],
      ["2", "symbolic link"],
      ["3", "character device"],
      ["4", "block device"],
      ["6", "named pipe"],
      ["D", "GNU incremental directory"],
      ["M", "GNU multi-volume continuation"],
      ["V", "GNU volume label"],
      ["S", "sparse file (make the tar without --sparse)"],
      ["Z", 'type "Z"'],
    ] as const;
    for (const [type, words] of kinds) {
      const isBodiless = "12346".includes(type);
      const one = isBodiless
        ? tarHeader({ name: "data/x", type, size: 700 })
        : tarMember({ name: "data/x", type }, "12");
      const { members, refused } = await read(tarOf(one, after));
      assert.deepEqual(
        refused.map(({ code, path, found }) => [code, path, found]),
        [["bundle_member_type", "data/x", words]],
      );
      assert.deepEqual(
        members.map(({ text }) => text),
        ["still read"],
        words,
      );
    }
  });

  test("a GNU sparse file with more map blocks than its header is passed over whole", async () => {
    const header = tarHeader({
      name: "data/sparse",
      type: "S",
      size: 3,
      magic: "gnu",
      tweak: (block) => block.fill(1, 482, 483),
    });
    const map = (more: number) => Buffer.concat([Buffer.alloc(504, "0"), Buffer.from([more]), Buffer.alloc(7)]);
    const { members, refused } = await read(
      tarOf(header, map(1), map(0), tarMember({ name: "" }, "abc").subarray(512), after),
    );
    assert.equal(refused.length, 1);
    assert.deepEqual(
      members.map(({ text }) => text),
      ["still read"],
    );
  });

  test("a pax sparse file is refused under its own name", async () => {
    const records = { "GNU.sparse.major": "1", "GNU.sparse.name": "data/holes", path: "./GNUSparseFile.0/holes" };
    const tar = tarOf(paxHeader(records), tarMember({ name: "x" }, "map"), after);
    assert.deepEqual(await refusals(tar), [
      ["bundle_member_type", "data/holes", "sparse file (make the tar without --sparse)"],
    ]);
  });

  test("names that are absolute, climb, or have empty parts or a NUL are refused", async () => {
    for (const name of [
      "/etc/passwd",
      "../x",
      "data/../../x",
      "data/..",
      "data/./x",
      "data//x",
      "",
      "/",
      "//",
      "./..",
    ]) {
      const { members, refused } = await read(tarOf(paxHeader({ path: name }), tarMember({ name: "x" }), after));
      assert.deepEqual(
        refused.map(({ code, path }) => [code, path]),
        [["bundle_name_unsafe", name]],
      );
      assert.equal(members.length, 1);
    }
    const nul = tarOf(paxHeader({ path: "data/a\0b" }), tarMember({ name: "x" }));
    assert.deepEqual(await refusals(nul), [["bundle_name_unsafe", "data/a\0b", undefined]]);
    const folder = tarOf(tarMember({ name: "/data/", type: "5" }));
    assert.deepEqual(await refusals(folder), [["bundle_name_unsafe", "/data/", undefined]]);
  });

  test("a file with data whose name ends in a slash is not taken for a folder", async () => {
    for (const type of ["0", "\0", "7"])
      assert.deepEqual(await refusals(tarOf(tarMember({ name: "data/x/", type }, "data"), after)), [
        ["bundle_member_type", "data/x/", "a file whose name ends in /"],
      ]);
  });

  test("names that are not UTF-8 are refused and shown as well as can be", async () => {
    const broken = [Buffer.from("data/\xff", "latin1"), Buffer.from("data/\xed\xa0\x80", "latin1")];
    for (const name of broken) {
      for (const tar of [tarMember({ name }), Buffer.concat([paxHeader({ path: name }), tarMember({ name: "x" })])]) {
        const { members, refused } = await read(tarOf(tar, after));
        assert.deepEqual([refused[0]?.code, members.length], ["bundle_name_encoding", 1]);
        assert.match(refused[0]?.path ?? "", /^data\/�/);
      }
    }
  });

  test("a name longer than 32,767 characters is refused, and shown in short", async () => {
    const long = (length: number) => tarOf(paxHeader({ path: "n".repeat(length) }), tarMember({ name: "x" }));
    assert.equal((await read(long(32_767))).members.length, 1);
    const [[code, path] = []] = await refusals(long(32_768));
    assert.equal(code, "bundle_name_unsafe");
    assert.ok(String(path).length < 400);
  });

  test("a name of a million slashes is refused, in time that grows with its length", async () => {
    const refused = async (slashes: number) => {
      const name = `a${"/".repeat(slashes)}b`;
      assert.equal((await refusals(tarOf(paxHeader({ path: name }), tarMember({ name: "x" })))).length, 1);
    };
    await assertGrowsLinearly(125_000, refused);
  });
});

describe("what ends the reading", () => {
  const fails = async (bytes: Uint8Array, code: string, details?: object) => {
    for (const size of [1, 512, 65_536])
      await assert.rejects(read(bytes, size), (error: AppError) => {
        assert.ok(error instanceof AppError, String(error));
        assert.equal(error.code, code, error.message);
        if (details) assert.deepEqual(error.details, details);
        return true;
      });
  };

  test("a body that is no tar is told from one that is compressed", async () => {
    await fails(Buffer.from(""), "bundle_not_tar", { bytesReceived: 0 });
    await fails(Buffer.from("hello"), "bundle_not_tar", { bytesReceived: 5 });
    await fails(Buffer.alloc(4096, "garbage "), "bundle_not_tar", { bytesReceived: 512 });
    await fails(Buffer.alloc(100), "bundle_not_tar", { bytesReceived: 100 });
    // First bytes as written by gzip 1.12, bzip2 1.0.8, xz 5.4, zstd 1.5, lz4 1.9, compress, zip 3.0 and 7z.
    const signatures = {
      gzip: "1f8b0800000000000003",
      bzip2: "425a6839314159265359",
      xz: "fd377a585a000004e6d6",
      zstd: "28b52ffd045829000000",
      lz4: "04224d18644070df",
      compress: "1f9d90c20103",
      zip: "504b030414000000",
      "7z": "377abcaf271c0004",
    };
    for (const [found, hex] of Object.entries(signatures))
      for (const length of [20, 2000])
        await fails(Buffer.concat([Buffer.from(hex, "hex"), Buffer.alloc(length, 0xa5)]), "bundle_compressed", {
          found,
        });
  });

  test("a tar that ends anywhere before its last block is truncated", async () => {
    for (let length = 512; length < TRICKY.length - END_OF_ARCHIVE.length; length += 512)
      await assert.rejects(read(TRICKY.subarray(0, length)), { code: "bundle_truncated" }, `${length} bytes`);
    for (const length of [513, 1023, 3000, TRICKY.length - 1025])
      await assert.rejects(read(TRICKY.subarray(0, length)), { code: "bundle_truncated" }, `${length} bytes`);
  });

  test("whatever follows the end-of-archive blocks is an error, be it another archive", async () => {
    const member = tarMember({ name: "data/a" }, "a");
    await fails(Buffer.concat([tarOf(member), Buffer.from("x")]), "bundle_header_corrupt");
    await fails(Buffer.concat([tarOf(member), tarOf(member)]), "bundle_header_corrupt");
    await fails(Buffer.concat([member, Buffer.alloc(512), member]), "bundle_header_corrupt");
  });

  test("every flipped bit of a header is noticed, or lies where the checksum's reader ignores it", async () => {
    const good = tarOf(tarMember({ name: "data/a", prefix: "p" }, "a"));
    const whole = await read(good);
    let noticed = 0;
    for (let bit = 0; bit < 512 * 8; bit++) {
      const bad = Buffer.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        assert.deepEqual(await read(bad), whole, `bit ${bit}`);
        assert.ok(bit >= 148 * 8 && bit < 156 * 8, `bit ${bit} went unnoticed`);
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === "bundle_not_tar", String(error));
        noticed++;
      }
    }
    assert.ok(noticed >= 504 * 8);
  });

  test("a damaged header further in names its place", async () => {
    const first = tarMember({ name: "data/a" }, "a");
    const second = tarMember({ name: "data/b" }, "b");
    second[3] = 0x7a;
    await fails(tarOf(first, second), "bundle_header_corrupt", { at: 1024 });
  });

  test("numbers that are none, negative or beyond 2^53 are refused though the checksum is right", async () => {
    const field = (text: string) => Buffer.from(text.padEnd(12, "\0"), "latin1");
    const sizes = [
      field("12x"),
      field("89"),
      field("-1"),
      base256(-1n),
      base256(2n ** 53n),
      base256(2n ** 80n),
      field("1\x016"),
    ];
    for (const sizeField of sizes)
      await fails(tarOf(tarHeader({ name: "data/a", sizeField })), "bundle_header_corrupt");
    const mtimes = [field("yesterday"), base256(2n ** 60n)];
    for (const mtimeField of mtimes)
      await fails(tarOf(tarHeader({ name: "data/a", mtimeField })), "bundle_header_corrupt");
    // Blank or garbled checksum fields never match by accident.
    const blank = tarHeader({ name: "data/a" });
    blank.fill(" ", 148, 156);
    await fails(tarOf(tarMember({ name: "data/b" }), blank), "bundle_header_corrupt", { at: 512 });
  });

  test("an extended header of more than 1 MiB is refused before any of it is read", async () => {
    for (const type of ["x", "g", "L", "K", "X"]) {
      const size = type === "x" ? 2 * 1024 ** 3 : 1024 ** 2 + 1;
      // Not a byte of the body follows: had the reader waited for it, it would say `bundle_truncated`.
      const header = tarHeader({ name: "PaxHeaders/x", type, size });
      await fails(header, "bundle_header_too_large", { expected: "at most 1048576 bytes", found: size });
    }
  });

  test("pax records that do not parse, or say impossible things, are refused", async () => {
    const bodies = [
      "no length",
      "4 a=\n",
      "99 a=b\n",
      "6 ab=\n7",
      "6 a=bc",
      "5 abc\n",
      "-6 a=b\n",
      "0x6 a=b\n",
      "1e1 a=bcd\n",
      `${paxRecord("size", "many")}`,
      `${paxRecord("size", "-5")}`,
      `${paxRecord("size", "99999999999999999999")}`,
      `${paxRecord("size", "")}`,
      `${paxRecord("mtime", "now")}`,
    ];
    for (const body of bodies)
      await fails(
        tarOf(tarMember({ name: "PaxHeaders/x", type: "x" }, body), tarMember({ name: "data/a" })),
        "bundle_header_corrupt",
      );
  });

  test("a global header must not rename or resize what follows", async () => {
    for (const records of [{ path: "data/x" }, { size: "5" }, { linkpath: "x" }])
      await fails(tarOf(paxHeader(records, "g"), tarMember({ name: "data/a" })), "bundle_header_corrupt");
  });

  test("an extended header without its member is not lost in silence", async () => {
    await fails(tarOf(paxHeader({ path: "data/lost" })), "bundle_header_corrupt");
    await fails(tarOf(gnuLong("L", "data/lost")), "bundle_header_corrupt");
  });
});

test("thousands of damaged tars are read or refused with a known error, and never anything else", async (t) => {
  const pick = seededRandom(t);
  for (let round = 0; round < 4_000; round++) {
    let bytes = Buffer.from(TRICKY);
    for (let damage = pick(4); damage >= 0; damage--) {
      const at = pick(bytes.length);
      const kind = pick(5);
      if (kind === 0) bytes[at] = pick(256);
      else if (kind === 1) bytes = bytes.subarray(0, at);
      else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + pick(1500))]);
      else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(pick(bytes.length))]);
      else {
        // A header that was tampered with on purpose: its checksum is right.
        const block = bytes.subarray(at - (at % 512), at - (at % 512) + 512);
        block[at % 512] = pick(256);
        if (block.length === 512) withChecksum(block);
      }
      if (bytes.length === 0) break;
    }
    try {
      await read(bytes, 1 + pick(3000));
    } catch (error) {
      assert.ok(error instanceof AppError && error.code.startsWith("bundle_"), `round ${round}: ${error}`);
    }
  }
});
