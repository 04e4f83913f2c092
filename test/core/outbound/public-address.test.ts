import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { test } from "node:test";
import { notPublic } from "../../../src/core/outbound/public-address.ts";
import { seededRandom } from "../../support/random.ts";

/** From the IANA registries, as Node's own BlockList reads them. */
const special = new BlockList();
for (const [address, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  special.addSubnet(address, bits);

test("IPv4 addresses are judged as the runtime's own block list judges them", (t) => {
  const random = seededRandom(t);
  for (let n = 0; n < 20_000; n++) {
    const address = Array.from({ length: 4 }, () => random(256)).join(".");
    assert.equal(notPublic(address) !== undefined, special.check(address), address);
  }
});

test("the edges of each block are in it, and their neighbours are not", () => {
  for (const inside of [
    "10.0.0.0",
    "10.255.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "100.127.255.255",
    "198.19.255.255",
  ])
    assert.notEqual(notPublic(inside), undefined, inside);
  for (const outside of [
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "100.128.0.0",
    "198.20.0.0",
    "1.1.1.1",
  ])
    assert.equal(notPublic(outside), undefined, outside);
});

test("IPv6 addresses are judged by their block, and by the IPv4 address that they carry", () => {
  const refused = {
    "::": "unspecified",
    "::1": "loopback",
    "[::1]": "loopback",
    "0:0:0:0:0:0:0:1": "loopback",
    "fe80::1%eth0": "link local",
    "fd00::1": "unique local",
    "fc00::": "unique local",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:7f00:1": "loopback",
    "::ffff:a00:1": "private use",
    "::127.0.0.1": "loopback",
    "::ffff:0:10.0.0.1": "private use",
    "64:ff9b::10.0.0.1": "private use",
    "64:ff9b::a9fe:a9fe": "link local",
    "64:ff9b:1::c0a8:1": "private use",
    "2002:7f00:1::": "loopback",
    "2002:a00:1::1": "private use",
    "2001:0:1::": "protocol assignments",
  };
  for (const [address, what] of Object.entries(refused)) assert.equal(notPublic(address), what, address);
  for (const address of [
    "2606:4700:4700::1111",
    "2a00:1450::8",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
  ]) {
    assert.notEqual(isIP(address), 0);
    assert.equal(notPublic(address), undefined, address);
  }
});

test("what is no address is not public", () => {
  for (const text of [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4000",
    ":::",
    "1::2::3",
    "g::1",
    "1:2:3:4:5:6:7",
    "::1.2.3.999",
  ])
    assert.equal(notPublic(text), "not an address", text);
});
