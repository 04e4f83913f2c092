/** A document of JSON whose rows are CSV inside a string: the CSV without JSON's escapes, and the document without it. */
export interface CsvInJson {
  /** JSON, with an empty text for `result.records`. */
  readonly envelope: string;
  /** UTF-8, where the document lay before. */
  readonly csv: Uint8Array;
  readonly rowCount: number;
  /** Where the first row ends, and where the last one begins. */
  readonly firstRowEnd: number;
  readonly lastRowAt: number;
  /** Whether it ends with a row, and not inside one. */
  readonly isWhole: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const LF = 0x0a;
const SPACE = 0x20;
const U = 0x75;
const OPENING = [0x5b, 0x7b];
const CLOSING = [0x5d, 0x7d];
/** RFC 8259 §7: what stands for what behind a backslash, but for `u`; -1 for nothing. */
const ESCAPES = new Int16Array(256).fill(-1);
for (const [letter, character] of Object.entries({
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  '"': '"',
  "\\": "\\",
  "/": "/",
}))
  ESCAPES[letter.charCodeAt(0)] = character.charCodeAt(0);
/** Value of each hexadecimal digit; -1 for nothing. */
const HEX_DIGITS = new Int16Array(256).fill(-1);
for (const [value, digit] of [..."0123456789abcdef"].entries())
  for (const spelled of [digit, digit.toUpperCase()]) HEX_DIGITS[spelled.charCodeAt(0)] = value;
const HIGH_SURROGATE = 0xd800;
const LOW_SURROGATE = 0xdc00;
const LAST_SURROGATE = 0xdfff;
/** Stands for half a character. */
const REPLACEMENT = 0xfffd;

/**
 * Takes the text of `result.records` out of a document, in place: a page is most of what the document holds, and as a string
 * it would be there three times. Its rows are counted in passing: line ends and quotes are among what JSON escapes.
 * @param json UTF-8; it is written over.
 * @returns `undefined`, with the document as it was, when it has no such text: a list instead, or what is no JSON.
 * @throws SyntaxError for an escape that there is none of, or a text without an end.
 */
export function takeCsv(json: Buffer): CsvInJson | undefined {
  const result = memberOf(json, spaceEnd(json, 0), "result");
  const records = result === undefined ? undefined : memberOf(json, result, "records");
  if (records === undefined || json[records] !== QUOTE) return undefined;
  const head = json.toString("utf8", 0, records);
  const { end, ...taken } = unescapedRows(json, records + 1);
  return { envelope: `${head}""${json.toString("utf8", end)}`, ...taken };
}

/** Takes JSON's escapes out of the string that begins at `start`. */
function unescapedRows(json: Buffer, start: number): Omit<CsvInJson, "envelope"> & { readonly end: number } {
  const { length } = json;
  let [at, to] = [start, start];
  let [rowAt, lastRowAt, firstRowEnd, rowCount] = [start, start, start, 0];
  let isQuoted = false;
  for (;;) {
    // Most of the work, in a loop of its own: it takes half the time so.
    let byte = json[at] ?? QUOTE;
    while (byte !== QUOTE && byte !== BACKSLASH) {
      json[to++] = byte;
      byte = json[++at] ?? QUOTE;
    }
    if (at++ >= length) throw new SyntaxError("a text without an end");
    if (byte === QUOTE) break;
    const letter = json[at++] ?? 0;
    const character = letter === U ? hexAt(json, at) : (ESCAPES[letter] ?? -1);
    if (character < 0) throw new SyntaxError("an escape that there is none of");
    if (letter === U) at += 4;
    if (character > 0x7f) {
      const low = isBetween(character, HIGH_SURROGATE, LOW_SURROGATE - 1) ? lowSurrogateAt(json, at) : undefined;
      if (low !== undefined) at += 6;
      to = writeUtf8(json, to, codePoint(character, low));
      continue;
    }
    json[to++] = character;
    if (character === QUOTE) isQuoted = !isQuoted;
    else if (character === LF && !isQuoted) {
      if (rowCount === 0) firstRowEnd = to;
      rowCount++;
      lastRowAt = rowAt;
      rowAt = to;
    }
  }
  return {
    end: at,
    csv: json.subarray(start, to),
    rowCount,
    firstRowEnd: firstRowEnd - start,
    lastRowAt: lastRowAt - start,
    isWhole: rowAt === to,
  };
}

/** Of four hexadecimal digits; negative when they are others. */
function hexAt(json: Buffer, from: number): number {
  let value = 0;
  for (let at = from; at < from + 4; at++) value = (value << 4) | (HEX_DIGITS[json[at] ?? 0] ?? -1);
  return value;
}

/** Of the `\uHHHH` at `at`, when it is that of the second half of a character. */
function lowSurrogateAt(json: Buffer, at: number): number | undefined {
  if (json[at] !== BACKSLASH || json[at + 1] !== U) return undefined;
  const unit = hexAt(json, at + 2);
  return isBetween(unit, LOW_SURROGATE, LAST_SURROGATE) ? unit : undefined;
}

function codePoint(unit: number, low: number | undefined): number {
  if (low !== undefined) return 0x10000 + ((unit - HIGH_SURROGATE) << 10) + (low - LOW_SURROGATE);
  return isBetween(unit, HIGH_SURROGATE, LAST_SURROGATE) ? REPLACEMENT : unit;
}

/** Above ASCII. Shorter than its escape. @returns where it ends. */
function writeUtf8(bytes: Buffer, from: number, point: number): number {
  let at = from;
  if (point <= 0x7ff) bytes[at++] = 0xc0 | (point >> 6);
  else {
    if (point <= 0xffff) bytes[at++] = 0xe0 | (point >> 12);
    else {
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 0x3f);
    }
    bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
  }
  bytes[at++] = 0x80 | (point & 0x3f);
  return at;
}

const isBetween = (value: number, least: number, most: number) => value >= least && value <= most;

/** Where the value of a member begins, of the object that begins at `from`; looked for by its name as it is mostly spelled. */
function memberOf(json: Buffer, from: number, name: string): number | undefined {
  const spelled = Buffer.from(JSON.stringify(name));
  if (json[from] !== OPENING[1]) return undefined;
  for (let at = from; json[at] === OPENING[1] || json[at] === COMMA; ) {
    const nameAt = spaceEnd(json, at + 1);
    if (json[nameAt] !== QUOTE) return undefined;
    const nameEnd = stringEnd(json, nameAt);
    const colon = spaceEnd(json, nameEnd);
    if (json[colon] !== COLON) return undefined;
    const value = spaceEnd(json, colon + 1);
    if (spelled.equals(json.subarray(nameAt, nameEnd))) return value;
    at = spaceEnd(json, valueEnd(json, value));
  }
  return undefined;
}

function spaceEnd(json: Buffer, from: number): number {
  let at = from;
  while ((json[at] ?? QUOTE) <= SPACE) at++;
  return at;
}

/** Behind the closing quote; behind everything when there is none. */
function stringEnd(json: Buffer, from: number): number {
  let at = from + 1;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Behind a value of any kind. */
function valueEnd(json: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < json.length; ) {
    const byte = json[at] ?? 0;
    if (depth === 0 && (byte === COMMA || CLOSING.includes(byte))) return at;
    if (OPENING.includes(byte)) depth++;
    else if (CLOSING.includes(byte)) depth--;
    at = byte === QUOTE ? stringEnd(json, at) : at + 1;
  }
  return json.length;
}
