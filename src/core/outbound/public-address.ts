/**
 * Blocks that are not the public internet, from the IANA special-purpose address registries (RFC 6890 and its updates):
 * what a server reaches there is its own machine, its own network, or nobody.
 */
const SPECIAL_V4: readonly (readonly [block: string, what: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "private use"],
  ["100.64.0.0/10", "shared address space"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link local"],
  ["172.16.0.0/12", "private use"],
  ["192.0.0.0/24", "protocol assignments"],
  ["192.0.2.0/24", "documentation"],
  ["192.88.99.0/24", "deprecated relay anycast"],
  ["192.168.0.0/16", "private use"],
  ["198.18.0.0/15", "benchmarking"],
  ["198.51.100.0/24", "documentation"],
  ["203.0.113.0/24", "documentation"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved"],
];

const SPECIAL_V6: readonly (readonly [block: string, what: string])[] = [
  ["::/128", "unspecified"],
  ["::1/128", "loopback"],
  ["100::/64", "discard only"],
  ["2001::/23", "protocol assignments"],
  ["2001:db8::/32", "documentation"],
  ["3fff::/20", "documentation"],
  ["5f00::/16", "segment routing"],
  ["fc00::/7", "unique local"],
  ["fe80::/10", "link local"],
  ["fec0::/10", "deprecated site local"],
  ["ff00::/8", "multicast"],
];

/** Blocks of IPv6 that carry an IPv4 address, and how many bits follow it: the address inside is judged as well. */
const EMBEDDING_V6: readonly (readonly [block: string, bitsAfter: bigint])[] = [
  ["::ffff:0:0/96", 0n], // IPv4-mapped, RFC 4291 §2.5.5.2
  ["::/96", 0n], // IPv4-compatible, RFC 4291 §2.5.5.1
  ["::ffff:0:0:0/96", 0n], // translated, RFC 2765 §2.1
  ["64:ff9b::/96", 0n], // NAT64, RFC 6052 §2.1
  ["64:ff9b:1::/48", 0n], // local NAT64, RFC 8215; the usual /96 inside it
  ["2002::/16", 80n], // 6to4, RFC 3056 §2
];

interface Block {
  readonly first: bigint;
  readonly bits: bigint;
  readonly what: string;
}

const V4_BITS = 32n;
const V6_BITS = 128n;
const v4Blocks = SPECIAL_V4.map(([block, what]) => parseBlock(block, what, parseV4, V4_BITS));
const v6Blocks = SPECIAL_V6.map(([block, what]) => parseBlock(block, what, parseV6, V6_BITS));
const embedding = EMBEDDING_V6.map(([block, bitsAfter]) => ({
  block: parseBlock(block, "", parseV6, V6_BITS),
  bitsAfter,
}));

/**
 * Why an address is not a public one, or `undefined` when it is.
 * @param address as a resolver or `URL.hostname` gives it: dotted IPv4, or IPv6 with or without brackets and zone.
 * What is neither counts as not public.
 */
export function notPublic(address: string): string | undefined {
  const v4 = parseV4(address);
  if (v4 !== undefined) return blockOf(v4, v4Blocks, V4_BITS);
  const v6 = parseV6(address.replace(/^\[|\]$/g, "").replace(/%.*$/, ""));
  if (v6 === undefined) return "not an address";
  const special = blockOf(v6, v6Blocks, V6_BITS);
  if (special !== undefined) return special;
  for (const { block, bitsAfter } of embedding)
    if (isIn(v6, block, V6_BITS)) return blockOf((v6 >> bitsAfter) & 0xffff_ffffn, v4Blocks, V4_BITS);
  return undefined;
}

function blockOf(value: bigint, blocks: readonly Block[], width: bigint): string | undefined {
  return blocks.find((block) => isIn(value, block, width))?.what;
}

function isIn(value: bigint, { first, bits }: Block, width: bigint): boolean {
  return value >> (width - bits) === first >> (width - bits);
}

function parseBlock(text: string, what: string, parse: (text: string) => bigint | undefined, width: bigint): Block {
  const [address = "", bits] = text.split("/");
  const first = parse(address);
  if (first === undefined || bits === undefined || BigInt(bits) > width) throw new RangeError(`${text} is no block.`);
  return { first, bits: BigInt(bits), what };
}

/** Four decimal parts and nothing else: other spellings are resolved by `URL` before they get here. */
function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const v4 = dotted && parseV4(dotted[2] ?? "");
  if (dotted && v4 === undefined) return undefined;
  const plain = dotted
    ? `${dotted[1]}${((v4 ?? 0n) >> 16n).toString(16)}:${((v4 ?? 0n) & 0xffffn).toString(16)}`
    : text;
  const halves = plain.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
