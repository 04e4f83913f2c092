import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { HTML, markupText } from "../../../src/core/extract/documents/markup-text.ts";
import { rtfText } from "../../../src/core/extract/documents/rtf-text.ts";
import { extractor } from "../../../src/core/extract/extractors/keyword-document.ts";
import { mediaTypeOf } from "../../../src/core/extract/media-type.ts";
import { seededRandom } from "../../support/random.ts";
import { docxOf, odtOf, zipOf } from "./documents.ts";
import { describing } from "./records.ts";

async function phrasesOf(t: TestContext, content: string | Uint8Array, name: string): Promise<string[]> {
  const { describe } = await describing(t, extractor);
  const { data, problems } = await describe(content, name);
  assert.deepEqual(problems, []);
  return (data.phrases as { phrase: string }[]).map(({ phrase }) => phrase).toSorted();
}

const MEDIA_TYPES: readonly (readonly [string, string | Uint8Array])[] = [
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", docxOf("")],
  ["application/vnd.oasis.opendocument.text", odtOf("")],
  ["application/rtf", "{\\rtf1 }"],
  ["text/html", "<!-- made by hand -->\n<!DOCTYPE html PUBLIC 'x'>\n<html>"],
  ["text/html", "<head><title>x</title>"],
  [
    "application/xhtml+xml",
    '<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html xmlns="http://www.w3.org/1999/xhtml">',
  ],
];
for (const [type, content] of MEDIA_TYPES)
  test(`content alone tells ${type}`, () => {
    assert.equal(mediaTypeOf(Buffer.from(content)), type);
  });

test("HTML: what is drawn counts, by paragraphs; scripts, styles and comments do not", async (t) => {
  const html = `<!DOCTYPE html><html><head><title>Glacier &amp; moraine</title><style>p { hidden: style }</style>
    <script>if (a < b) { hidden("<p>script</p>") }</script></head>
    <body><!-- hidden comment --><p>Terminal <b>mor</b>aine<p>Ice&nbsp;core &eacute;tude<br>drilling</p>
    <div hidden-attribute="value">Second<template>hidden template</template></div></body></html>`;
  assert.deepEqual(await phrasesOf(t, html, "page.html"), [
    "glacier",
    "ice core étude drilling",
    "moraine",
    "second",
    "terminal moraine",
  ]);
});

test("HTML: the encoding is the one it declares, when that is known", async (t) => {
  // 0xe9 is é in Windows-1252, й in KOI8-R: 0xca.
  const page = (charset: string) =>
    Buffer.from(`<html><meta charset="${charset}"><p>\xca\xcf\xc4</p></html>`, "latin1");
  assert.deepEqual(await phrasesOf(t, page("koi8-r"), "a.html"), ["йод"]);
  assert.deepEqual(await phrasesOf(t, page("no-such"), "a.html"), ["êïä"]);
});

test("DOCX: runs that Word has split are one word; deleted text and codes of fields do not count", async (t) => {
  const docx = docxOf(
    `<w:p><w:r><w:t>Sedi</w:t></w:r><w:r><w:t>ment</w:t><w:tab/><w:t>core &#233;tude</w:t></w:r></w:p>
     <w:p><w:del><w:r><w:delText>hidden deleted</w:delText></w:r></w:del><w:instrText>HIDDEN FIELD</w:instrText><w:t/>
     <w:r><w:t xml:space="preserve">Isotope ratio</w:t></w:r></w:p>`,
    {
      "word/footnotes.xml": "<w:footnotes><w:t>Footnote text</w:t></w:footnotes>",
      "word/styles.xml": "<w:t>hidden</w:t>",
    },
  );
  assert.deepEqual(
    await phrasesOf(t, docx, "a.docx"),
    ["footnote text", "isotope ratio", "sediment core étude"].toSorted(),
  );
});

test("ODT: paragraphs and headings count, tracked deletions do not", async (t) => {
  const odt = odtOf(
    `<text:tracked-changes><text:p>hidden deleted</text:p></text:tracked-changes>
     <text:h>Tree rings</text:h><text:p>Bristlecone<text:s/>pine<text:span> forest</text:span></text:p>`,
  );
  assert.deepEqual(await phrasesOf(t, odt, "a.odt"), ["bristlecone pine forest", "tree rings"]);
});

test("ODT: an encrypted one says only that", async (t) => {
  const { describe } = await describing(t, extractor);
  const manifest = "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>";
  const { data, problems } = await describe(odtOf("\x01\x02", { "META-INF/manifest.xml": manifest }));
  assert.deepEqual([data.words, problems[0]?.code], [0, "content_encrypted"]);
});

test("RTF: text in its code page and in Unicode; fonts, styles, pictures and notes to programs do not count", () => {
  // RTF 1.9.1: \ansicpg, \'hh, \uN with \ucN characters for older readers, \*, \bin.
  const rtf = String.raw`{\rtf1\ansi\ansicpg1251{\fonttbl{\f0 Hidden;}}{\*\generator Hidden;}{\info{\title Hidden}}
\uc1 \'c8\'ee\'e4 caf\u233?\par {\uc2\u8364 EU}\tab {\b bold}{\pict\bin5 {{{}}hidden}\~end\{\}\line
{\footnote Note}{\field{\*\fldinst HYPERLINK}{\fldrslt link}}}hidden`;
  assert.equal(rtfText(rtf).replace(/\s+/g, " "), "Иод café € bold end{} Notelink");
});

test("RTF: code pages of several bytes", () => {
  // By iconv: 日 is 93fa in Shift JIS.
  assert.equal(rtfText(String.raw`{\rtf1\ansicpg932 \'93\'fa}`), "日");
});

test("a document without text has a problem", async (t) => {
  const { describe } = await describing(t, extractor);
  for (const empty of [docxOf("<w:p/>"), odtOf(""), "{\\rtf1\\par}", "<html><body></body></html>"])
    assert.deepEqual(
      (await describe(empty)).problems.map(({ code }) => code),
      ["content_textless"],
    );
});

test("endless depth costs nothing, and does not end a document", async (t) => {
  const deep = `<html>${"<div><p>".repeat(300_000)}deep words`;
  assert.deepEqual(await phrasesOf(t, deep, "a.html"), ["deep words"]);
  assert.deepEqual(await phrasesOf(t, docxOf(`${"<w:p>".repeat(300_000)}<w:t>deep words`), "a.docx"), ["deep words"]);
  assert.throws(() => rtfText(`{\\rtf1${"{".repeat(20_000)}`), { code: "content_malformed" });
});

test("entities are those of the language, and never expand into each other", () => {
  const bomb = '<!DOCTYPE html [<!ENTITY a "lots of lots"><!ENTITY b "&a;&a;">]><p>&b;&lt;&#x1F600;&notin;</p>';
  assert.match(markupText(bomb, HTML), /&b;<😀∉/);
});

test("a ZIP bomb is read as far as the bound, and that is said", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(
    docxOf(`<w:t>initial words</w:t>${" ".repeat(33 * 1024 * 1024)}<w:t>last words</w:t>`),
  );
  assert.equal(data.isWhole, false);
  assert.deepEqual(
    (data.phrases as { phrase: string }[]).map(({ phrase }) => phrase),
    ["initial words"],
  );
});

const SAMPLES: Readonly<Record<string, Buffer>> = {
  docx: docxOf("<w:p><w:r><w:t>Some words &amp; others</w:t></w:r></w:p>"),
  odt: odtOf("<text:p>Some words</text:p>", { "META-INF/manifest.xml": "<manifest/>" }),
  rtf: Buffer.from(String.raw`{\rtf1\ansi{\fonttbl{\f0 A;}}\uc1 Some \'e9 words\u233?\par\bin3 abc{\b x}}`),
  html: Buffer.from("<html><meta charset=utf-8><p>Some <b>words</b> &eacute;<script>x</script><!-- c --></html>"),
  zip: zipOf({ mimetype: "application/vnd.oasis.opendocument.text" }),
};
for (const [name, sample] of Object.entries(SAMPLES))
  test(`${name}: cut off anywhere or changed at random, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    for (let length = 0; length < sample.length; length += 7) await survives(sample.subarray(0, length), `cut.${name}`);
    const random = seededRandom(t);
    for (let round = 0; round < 200; round++) {
      const damaged = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
      await survives(damaged, `changed.${name}`);
    }
  });
