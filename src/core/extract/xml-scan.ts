import { type ByteCursor, stopsAt } from "./byte-cursor.ts";
import { malformed } from "./malformed.ts";

const MAX_DEPTH = 10_000;
const MAX_NAME_BYTES = 1024;
const MAX_ATTRIBUTES = 10_000;

const BLANK = stopsAt(" \t\r\n");
/** What cannot be part of a name (XML 1.0 §2.3, as far as ASCII goes). */
const NAME_END = stopsAt(" \t\r\n/>=<&'\"?![](){},;%#$@^*+|\\`~\0");
const TEXT_END = stopsAt("<&");
const DOUBLE_QUOTED_END = stopsAt('"<&');
const SINGLE_QUOTED_END = stopsAt("'<&");

const [BANG, QUOTE, AMPERSAND, APOSTROPHE, SLASH, SEMICOLON, LESS, EQUALS, MORE, QUESTION, OPEN, CLOSE, HASH] = [
  ...Buffer.from("!\"&'/;<=>?[]#"),
] as [number, number, number, number, number, number, number, number, number, number, number, number, number];

export interface XmlEvents {
  element(name: string, attributes: ReadonlyMap<string, string>): void;
  end(): void;
  /** A run of text or CDATA, cut after `textBytes()`. Entities and character references are left out. */
  text(bytes: Buffer): void;
  textBytes(): number;
  entity(): void;
  doctype(name: string): void;
}

/**
 * Reads an XML 1.0 document once, strictly: one root, tags that match, attributes that are quoted and named once. Of a
 * document type, entities are counted and never expanded, and nothing outside the file is looked at: there are no entity
 * bombs. Memory: the names of the elements that are open.
 * @throws AppError content_malformed.
 */
export function scanXml(cursor: ByteCursor, events: XmlEvents): void {
  const open: string[] = [];
  let hasRoot = false;

  function fail(hint: string): never {
    throw malformed(hint, cursor.offset);
  }
  function expect(byte: number, hint: string): void {
    if (cursor.next() !== byte) fail(hint);
  }
  function expectWord(word: string): void {
    for (const byte of Buffer.from(word)) expect(byte, `${word} is expected`);
  }
  function skipBlank(): boolean {
    let any = false;
    while (BLANK[cursor.peek()] === 1) {
      cursor.next();
      any = true;
    }
    return any;
  }
  function name(what: string): string {
    const bytes = cursor.until(NAME_END, MAX_NAME_BYTES);
    if (bytes.length === 0) fail(`${what} has no name`);
    if (bytes.length === MAX_NAME_BYTES) fail(`the name of ${what} is longer than ${MAX_NAME_BYTES} bytes`);
    const text = bytes.toString("utf8");
    return /^[\d.-]/.test(text) ? fail(`"${text}" is no name`) : text;
  }

  /** Past the next `ending`. */
  function skipPast(ending: string, what: string, keep?: (bytes: Buffer) => void): void {
    const wanted = Buffer.from(ending);
    const stop = stopsAt(ending[0] ?? "");
    for (;;) {
      const bytes = cursor.until(stop, keep ? events.textBytes() : 0);
      keep?.(bytes);
      if (cursor.peek() < 0) fail(`${what} does not end`);
      let matched = 0;
      while (matched < wanted.length && cursor.peek() === wanted[matched]) {
        cursor.next();
        matched += 1;
        // "]]]>" and "--->": the ending may begin one byte later.
        if (matched === wanted.length - 1 && matched > 1 && cursor.peek() === wanted[0]) matched -= 1;
      }
      if (matched === wanted.length) return;
    }
  }

  function reference(): void {
    expect(AMPERSAND, "& is expected");
    if (cursor.peek() === HASH) cursor.next();
    if (cursor.until(NAME_END, 64).length === 0) fail("& begins no reference");
    expect(SEMICOLON, "a reference does not end with ;");
  }

  function attributeValue(): string {
    const quote = cursor.next();
    if (quote !== QUOTE && quote !== APOSTROPHE) fail("an attribute's value is not quoted");
    let value = "";
    for (;;) {
      const bytes = cursor.until(quote === QUOTE ? DOUBLE_QUOTED_END : SINGLE_QUOTED_END, 256);
      if (value.length < 256) value += bytes.toString("utf8");
      const stop = cursor.peek();
      if (stop === quote) {
        cursor.next();
        return value;
      }
      if (stop !== AMPERSAND) fail(stop < 0 ? "an attribute's value does not end" : "an attribute's value holds <");
      reference();
    }
  }

  /** Behind `<`. */
  function startTag(): void {
    if (open.length === 0 && hasRoot) fail("there is a second root");
    hasRoot = true;
    const tag = name("an element");
    const attributes = new Map<string, string>();
    for (;;) {
      const blank = skipBlank();
      const byte = cursor.peek();
      if (byte === MORE || byte === SLASH) break;
      if (byte < 0) fail("a tag does not end");
      if (!blank) fail("blank space is missing before an attribute");
      const attribute = name("an attribute");
      if (attributes.has(attribute)) fail(`the attribute ${attribute} is there twice`);
      if (attributes.size === MAX_ATTRIBUTES) fail(`an element has more than ${MAX_ATTRIBUTES} attributes`);
      skipBlank();
      expect(EQUALS, `the attribute ${attribute} has no value`);
      skipBlank();
      attributes.set(attribute, attributeValue());
    }
    events.element(tag, attributes);
    if (cursor.next() === SLASH) {
      expect(MORE, "a tag does not end");
      events.end();
      return;
    }
    open.push(tag);
    if (open.length > MAX_DEPTH) fail(`elements are nested deeper than ${MAX_DEPTH}`);
  }

  /** Behind `</`. */
  function endTag(): void {
    const tag = name("an end tag");
    const expected = open.pop();
    if (tag !== expected) fail(`</${tag}> ends ${expected === undefined ? "nothing" : `<${expected}>`}`);
    skipBlank();
    expect(MORE, "an end tag does not end");
    events.end();
  }

  /** Behind `<!`. */
  function declaration(): void {
    const byte = cursor.peek();
    if (byte === OPEN) {
      if (open.length === 0) fail("there is text outside the root");
      expectWord("[CDATA[");
      skipPast("]]>", "a CDATA section", events.text);
    } else if (byte === 0x2d) {
      expectWord("--");
      skipPast("-->", "a comment");
    } else {
      if (hasRoot) fail("a document type stands behind the root's beginning");
      expectWord("DOCTYPE");
      skipBlank();
      events.doctype(name("the document type"));
      doctypeRest();
    }
  }

  /** To the `>` outside of quotes and of the internal subset, in which comments may hold either. */
  function doctypeRest(): void {
    let inSubset = false;
    for (;;) {
      const byte = cursor.next();
      if (byte < 0) fail("the document type does not end");
      if (byte === QUOTE || byte === APOSTROPHE) skipPast(byte === QUOTE ? '"' : "'", "a quoted text");
      else if (byte === OPEN) inSubset = true;
      else if (byte === CLOSE) inSubset = false;
      else if (byte === MORE && !inSubset) return;
      else if (byte === LESS) subsetDeclaration();
    }
  }

  /** Behind `<`, inside the internal subset; a declaration's own `>` is left to the caller, who passes it by. */
  function subsetDeclaration(): void {
    if (cursor.next() === QUESTION) skipPast("?>", "a processing instruction");
    else if (cursor.peek() === 0x2d) {
      expectWord("--");
      skipPast("-->", "a comment");
    } else if (cursor.until(NAME_END, 16).toString("latin1") === "ENTITY") events.entity();
  }

  for (;;) {
    const run = cursor.until(TEXT_END, open.length > 0 ? events.textBytes() : 1024);
    if (open.length > 0) events.text(run);
    else if (run.some((byte) => BLANK[byte] !== 1)) fail("there is text outside the root");
    const byte = cursor.peek();
    if (byte < 0) break;
    if (byte === AMPERSAND) {
      if (open.length === 0) fail("there is text outside the root");
      reference();
      continue;
    }
    cursor.next();
    const kind = cursor.peek();
    if (kind === BANG || kind === SLASH || kind === QUESTION) cursor.next();
    if (kind === BANG) declaration();
    else if (kind === SLASH) endTag();
    else if (kind === QUESTION) skipPast("?>", "a processing instruction");
    else startTag();
  }
  if (open.length > 0) fail(`<${open.at(-1)}> does not end`);
  if (!hasRoot) fail("there is no element");
}
