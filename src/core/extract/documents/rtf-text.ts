import { malformed } from "../malformed.ts";

/** Groups within groups; real documents have some twenty. */
const MAX_DEPTH = 10_000;

/** A control word and its number, a byte in hexadecimal, a control symbol, a brace, an end of line, or text. */
const TOKEN = /\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([\da-f]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)/giy;

/** Destinations that hold no text of the document. */
const HIDDEN = new Set(
  `author category colorschememapping colortbl comment company datafield datastore doccomm falt filetbl fldinst fonttbl
  footer footerf footerl footerr generator header headerf headerl headerr hlinkbase info keywords latentstyles listoverridetable
  listtable manager objdata operator panose pgptbl pict private revtbl rsidtbl shppict stylesheet subject template themedata
  title userprops xmlnstbl`.split(/\s+/),
);
const SPOKEN: Readonly<Record<string, string>> = {
  par: "\n\n",
  cell: "\n\n",
  row: "\n\n",
  sect: "\n\n",
  page: "\n\n",
  line: "\n",
  tab: " ",
  emdash: " — ",
  endash: "–",
  lquote: "‘",
  rquote: "’",
  ldblquote: "“",
  rdblquote: "”",
  bullet: "•",
};
/** Code pages (RTF 1.9.1, `\ansicpg`) that are not `windows-…`. */
const CODE_PAGES: Readonly<Record<string, string>> = {
  932: "shift_jis",
  936: "gbk",
  949: "euc-kr",
  950: "big5",
  10000: "macintosh",
  65001: "utf-8",
};

/**
 * The text of RTF 1.9.1. Of characters given twice, as Unicode and for older readers, the former counts.
 * @param rtf one character for each byte. @throws AppError content_malformed.
 */
export function rtfText(rtf: string): string {
  if (!rtf.startsWith("{\\rtf")) throw malformed("it does not begin as RTF", 0);
  /** Of each open group: whether it is hidden, and by how many characters `\uN` is followed for older readers. */
  const outer: (readonly [boolean, number])[] = [];
  let isHidden = false;
  let fallback = 1;
  let toSkip = 0;
  let isStarred = false;
  let decode = decoderOf(1252);
  let encoded: number[] = [];
  let text = "";

  function say(piece: string): void {
    if (encoded.length > 0) {
      if (!isHidden) text += decode(Uint8Array.from(encoded));
      encoded = [];
    }
    if (!isHidden) text += piece;
  }
  function control(word: string, number: number | undefined): void {
    if (HIDDEN.has(word) || isStarred) isHidden = true;
    else if (word === "u" && number !== undefined) {
      // Signed 16 bits; pairs of surrogates come one after the other.
      say(String.fromCharCode(number & 0xffff));
      toSkip = fallback;
    } else if (word === "uc") fallback = Math.min(Math.max(0, number ?? 1), 100);
    else if (word === "ansicpg" && number !== undefined) decode = decoderOf(number);
    else if (word === "bin") TOKEN.lastIndex += Math.max(0, number ?? 0);
    else if (Object.hasOwn(SPOKEN, word)) say(SPOKEN[word] ?? "");
    isStarred = false;
  }

  TOKEN.lastIndex = 0;
  for (;;) {
    const at = TOKEN.lastIndex;
    const found = at < rtf.length ? TOKEN.exec(rtf) : null;
    if (found === null) break;
    const [, word, number, byte, symbol, brace, plain] = found;
    if (byte === undefined) say("");
    if (brace === "{") {
      if (outer.length === MAX_DEPTH) throw malformed(`groups are nested deeper than ${MAX_DEPTH}`, at);
      outer.push([isHidden, fallback]);
      toSkip = 0;
    } else if (brace === "}") {
      [isHidden, fallback] = outer.pop() ?? [false, 1];
      if (outer.length === 0) break;
      toSkip = 0;
    } else if (word !== undefined) control(word, number === undefined ? undefined : Number(number));
    else if (symbol === "*") isStarred = true;
    else if (plain !== undefined) {
      say(plain.slice(toSkip));
      toSkip = Math.max(0, toSkip - plain.length);
    } else if (toSkip > 0 && (byte !== undefined || symbol !== undefined)) toSkip -= 1;
    else if (byte !== undefined) encoded.push(Number.parseInt(byte, 16));
    else if (symbol === "~") say(" ");
    else if (symbol === "_") say("-");
    else if (symbol !== undefined && /[\\{}]/.test(symbol)) say(symbol);
    else if (symbol === "\n" || symbol === "\r") say("\n\n");
  }
  say("");
  return text.toWellFormed();
}

function decoderOf(codePage: number): (bytes: Uint8Array) => string {
  try {
    const decoder = new TextDecoder(CODE_PAGES[codePage] ?? `windows-${codePage}`);
    return (bytes) => decoder.decode(bytes);
  } catch (error) {
    // A code page that nobody knows any more: what is ASCII in it is right.
    if (error instanceof RangeError) return decoderOf(1252);
    throw error;
  }
}
