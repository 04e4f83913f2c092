import { Tokenizer } from "htmlparser2";

/** Which of a markup language's text is a reader's, and what parts it. */
export interface MarkupText {
  readonly isXml: boolean;
  /** Elements whose text counts; all, when left out. */
  readonly shown?: ReadonlySet<string>;
  /** Elements whose text does not count, with all that is within them. */
  readonly hidden: ReadonlySet<string>;
  /** Those that end a sentence, whatever its punctuation. */
  readonly blocks: ReadonlySet<string>;
  /** Those that part words. */
  readonly blanks: ReadonlySet<string>;
}

/**
 * The text of a document, by its tokens alone: tags need not match, as they do not in HTML, and nothing grows with their
 * depth. Entities are those of HTML or of XML; others stay as they are written.
 */
export function markupText(markup: string, { isXml, shown, hidden, blocks, blanks }: MarkupText): string {
  let text = "";
  /** The element that hides what comes, and how many of its kind are open. */
  let hiding: string | undefined;
  let hidingDepth = 0;
  let showing = 0;

  function nameAt(start: number, end: number): string {
    const name = markup.slice(start, end);
    return isXml ? name : name.toLowerCase();
  }
  function part(name: string): void {
    if (blocks.has(name)) text += "\n\n";
    else if (blanks.has(name)) text += " ";
  }
  function add(piece: string): void {
    if (hiding === undefined && (shown === undefined || showing > 0)) text += piece;
  }
  function close(name: string): void {
    if (name === hiding) {
      hidingDepth -= 1;
      if (hidingDepth === 0) hiding = undefined;
    }
    if (shown?.has(name)) showing = Math.max(0, showing - 1);
  }

  let opened = "";
  const tokenizer = new Tokenizer(
    { xmlMode: isXml, decodeEntities: true },
    {
      onopentagname(start, end) {
        opened = nameAt(start, end);
        part(opened);
        if (hiding === undefined && hidden.has(opened)) hiding = opened;
        if (opened === hiding) hidingDepth += 1;
        if (shown?.has(opened)) showing += 1;
      },
      // In HTML, only a closing tag closes.
      onselfclosingtag: () => isXml && close(opened),
      onclosetag(start, end) {
        const name = nameAt(start, end);
        part(name);
        close(name);
      },
      ontext: (start, end) => add(markup.slice(start, end)),
      ontextentity: (code) => add(String.fromCodePoint(code)),
      oncdata: (start, end, endOffset) => isXml && add(markup.slice(start, end - endOffset)),
      onattribdata() {},
      onattribentity() {},
      onattribend() {},
      onattribname() {},
      oncomment() {},
      ondeclaration() {},
      onopentagend() {},
      onprocessinginstruction() {},
      onend() {},
    },
  );
  tokenizer.write(markup);
  tokenizer.end();
  return text;
}

/** HTML: what is drawn, and the title. */
export const HTML: MarkupText = {
  isXml: false,
  hidden: new Set(["script", "style", "template", "noscript", "svg", "math"]),
  blocks: new Set(
    `address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form h1 h2
    h3 h4 h5 h6 header hr html li legend main nav ol option p pre section select summary table td textarea th title tr ul`.split(
      /\s+/,
    ),
  ),
  blanks: new Set(["br", "img", "input", "button", "iframe", "object"]),
};

/** ECMA-376 part 1, 17.3.3 and 17.13.5: runs of text, without what is deleted and without the codes of fields. */
export const WORD: MarkupText = {
  isXml: true,
  shown: new Set(["w:t"]),
  hidden: new Set(),
  blocks: new Set(["w:p", "w:tc"]),
  blanks: new Set(["w:tab", "w:br", "w:cr", "w:noBreakHyphen"]),
};

/** OpenDocument 1.3 part 3, 5 and 6: without what is deleted. */
export const OPEN_DOCUMENT: MarkupText = {
  isXml: true,
  hidden: new Set(["text:tracked-changes", "office:scripts", "office:automatic-styles", "office:font-face-decls"]),
  blocks: new Set(["text:p", "text:h", "table:table-cell", "text:list-item"]),
  blanks: new Set(["text:tab", "text:s", "text:line-break"]),
};
