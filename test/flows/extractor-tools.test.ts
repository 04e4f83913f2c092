import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import type { Extractor } from "../../src/core/extract/extractor.ts";
import { extractor as c } from "../../src/core/extract/extractors/code-c.ts";
import { extractor as python } from "../../src/core/extract/extractors/code-python.ts";
import { extractor as images } from "../../src/core/extract/extractors/image-headers.ts";
import { extractor as keywords } from "../../src/core/extract/extractors/keyword-document.ts";
import { extractor as media } from "../../src/core/extract/extractors/media.ts";
import { extractor as pdf } from "../../src/core/extract/extractors/pdf.ts";
import { samplePdf } from "../core/extract/documents.ts";
import { iccProfile } from "../core/extract/images.ts";
import { without } from "../support/tools.ts";

const noPython = without(
  "Python 3.11 or newer",
  ["python3", "-c", "import sys; assert sys.version_info >= (3, 11)"],
  "apt package python3",
);
const noCtags = without(
  "Universal Ctags",
  ["sh", "-c", "ctags --version | grep -q Universal"],
  "apt package universal-ctags",
);
const noFfmpeg = without("FFmpeg", ["ffmpeg", "-version"], "apt package ffmpeg");
const noExiftool = without("ExifTool", ["exiftool", "-ver"], "apt package libimage-exiftool-perl") || noFfmpeg;
const noPoppler = without("Poppler", ["pdfinfo", "-v"], "apt package poppler-utils");
const noQpdf = without("qpdf", ["qpdf", "--version"], "apt package qpdf") || noPoppler;

const folder = mkdtempSync(join(tmpdir(), "longshore-tools-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Row = Readonly<Record<string, unknown>>;

async function dataOf(extractor: Extractor, localPath: string): Promise<Row> {
  const { data } = await extractor.extract([
    { localPath, name: basename(localPath), sizeBytes: statSync(localPath).size },
  ]);
  return data;
}
function said(program: string, words: readonly string[]): string {
  return execFileSync(program, words, { encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
}
function ffmpeg(name: string, words: readonly string[]): string {
  const path = join(folder, name);
  said("ffmpeg", ["-loglevel", "error", "-y", ...words, path]);
  return path;
}
const TEST_PICTURE = ["-f", "lavfi", "-i", "testsrc=duration=1:size=320x180:rate=25"];
const TEST_SOUND = ["-f", "lavfi", "-i", "sine=duration=1:sample_rate=44100"];

/** What Python itself makes of code: a line of JSON for each file. */
const AST = `
import ast, inspect, io, json, sys, tokenize, warnings
warnings.simplefilter("ignore")
def names(a):
    found = [x.arg for x in a.posonlyargs + a.args]
    if a.vararg: found.append("*" + a.vararg.arg)
    found += [x.arg for x in a.kwonlyargs]
    if a.kwarg: found.append("**" + a.kwarg.arg)
    return found
def doc(node):
    text = ast.get_docstring(node)
    return text and text[:1000].rstrip()
def described(path):
    with tokenize.open(path) as file: text = file.read()
    tree, imports, functions, classes = ast.parse(text), [], [], []
    def walk(node, inside, methods):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                imports.extend([a.name, None, a.asname, child.lineno] for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                imports.extend(["." * child.level + (child.module or ""), a.name, a.asname, child.lineno] for a in child.names)
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.append([inside + child.name, child.lineno, isinstance(child, ast.AsyncFunctionDef), names(child.args), doc(child)])
                if methods is not None: methods.append(child.name)
                walk(child, inside + child.name + ".<locals>.", None)
            elif isinstance(child, ast.ClassDef):
                own = []
                classes.append([inside + child.name, child.lineno, len(child.bases), own, doc(child)])
                walk(child, inside + child.name + ".", own)
            else: walk(child, inside, methods)
    walk(tree, "", None)
    comments = sum(t.type == tokenize.COMMENT for t in tokenize.generate_tokens(io.StringIO(text).readline))
    return dict(imports=imports, functions=functions, classes=classes, docstring=doc(tree), comments=comments)
for path in sys.argv[1:]: print(json.dumps(described(path)))
`;

describe("Python code is described as Python's own ast and tokenize do", { skip: noPython }, () => {
  const library = noPython
    ? ""
    : said("python3", ["-c", "import json, os; print(os.path.dirname(os.path.dirname(json.__file__)))"]).trim();
  const files = ["asyncio", "email", "json", "unittest", "concurrent/futures", "importlib", "."].flatMap((part) =>
    library === ""
      ? []
      : readdirSync(join(library, part))
          .filter((name) => name.endsWith(".py"))
          .map((name) => join(library, part, name))
          // Debian has a link among them; extractors follow none.
          .filter((path) => lstatSync(path).isFile())
          .slice(0, 25),
  );
  const byText = (rows: unknown) => (rows as unknown[]).map((row) => JSON.stringify(row)).toSorted();
  const trimmed = (text: unknown) => (typeof text === "string" ? text.trimEnd() : text);

  test(`of ${files.length} modules of its library`, async () => {
    assert.ok(files.length > 100);
    const expected = said("python3", ["-c", AST, ...files])
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    for (const [i, path] of files.entries()) {
      const data = await dataOf(python, path);
      const own = expected[i] ?? {};
      const [imports, functions, classes] = [data.imports, data.functions, data.classes] as Row[][];
      assert.equal(data.hasSyntaxErrors, false, path);
      assert.deepEqual(
        byText(imports?.map((one) => [one.module, one.name, one.alias, one.line])),
        byText(own.imports),
        path,
      );
      assert.deepEqual(
        byText(
          functions?.map((one) => [one.qualifiedName, one.line, one.isAsync, one.parameters, trimmed(one.docstring)]),
        ),
        byText(own.functions),
        path,
      );
      assert.deepEqual(
        byText(
          classes?.map((one) => [
            one.qualifiedName,
            one.line,
            (one.bases as unknown[]).length,
            one.methods,
            trimmed(one.docstring),
          ]),
        ),
        byText(own.classes),
        path,
      );
      assert.deepEqual([trimmed(data.docstring), (data.comments as Row).count], [own.docstring, own.comments], path);
    }
  });
});

test("C code declares what Universal Ctags finds in it", { skip: noCtags }, async () => {
  const grammars = join(import.meta.dirname, "../../node_modules");
  const headers = join(grammars, "tree-sitter-c/src/tree_sitter");
  const sources = [
    ...readdirSync(headers).map((name) => join(headers, name)),
    join(grammars, "tree-sitter-python/src/scanner.c"),
  ];
  const kinds: Row = {
    function: "function",
    prototype: "prototype",
    struct: "struct",
    union: "union",
    enum: "enum",
    typedef: "typedef",
    enumerator: "value",
  };
  let compared = 0;
  for (const path of sources) {
    const tags = said("ctags", ["-f-", "--output-format=json", "--language-force=C", "--kinds-C=fpsugte", path]);
    const theirs = tags
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { kind: string; name: string });
    const data = await dataOf(c, path);
    const [functions, structs, enums, typedefs] = [data.functions, data.structs, data.enums, data.typedefs] as Row[][];
    const ours = [
      ...(functions ?? []).map((one) => `${one.isDefinition ? "function" : "prototype"} ${one.name}`),
      ...(structs ?? []).filter((one) => one.name !== null).map((one) => `${one.kind} ${one.name}`),
      ...(enums ?? []).filter((one) => one.name !== null).map((one) => `enum ${one.name}`),
      ...(enums ?? []).flatMap((one) => (one.values as string[]).map((value) => `value ${value}`)),
      ...(typedefs ?? []).map((one) => `typedef ${one.name}`),
    ];
    // Those without a name of their own get one from Ctags.
    const named = theirs.filter((tag) => !tag.name.startsWith("__anon")).map((tag) => `${kinds[tag.kind]} ${tag.name}`);
    assert.deepEqual([...new Set(ours)].toSorted(), [...new Set(named)].toSorted(), path);
    compared += named.length;
  }
  assert.ok(compared > 50, `only ${compared} names`);
});

const PICTURES: readonly (readonly [string, readonly string[]])[] = [
  ["a.png", []],
  ["a.jpg", []],
  ["a.tif", ["-compression_algo", "lzw"]],
  ["a.jp2", []],
  ["a.webp", []],
];
for (const [name, words] of PICTURES)
  test(`${name}: ExifTool reads the same size, place, words and profile`, { skip: noExiftool }, async () => {
    const path = ffmpeg(name, [...TEST_PICTURE, "-frames:v", "1", ...words]);
    const profile = join(folder, "scanner.icc");
    writeFileSync(profile, iccProfile("Scanner 7"));
    const written = [
      "-XMP-dc:Title=Core & moraine",
      "-XMP-dc:Subject=ice",
      "-XMP-dc:Subject=rock",
      "-XMP-xmp:Rating=4",
    ];
    const exif = [
      "-EXIF:Make=Acme",
      "-EXIF:DateTimeOriginal=2024:05:06 07:08:09",
      "-EXIF:FNumber=5.6",
      "-EXIF:Orientation#=6",
    ];
    const gps = [
      "-GPSLatitude=52.51",
      "-GPSLatitudeRef=N",
      "-GPSLongitude=13.405",
      "-GPSLongitudeRef=W",
      "-GPSAltitude=34.5",
      "-GPSAltitudeRef#=1",
    ];
    // ExifTool writes no profile into JPEG 2000, and its Exif there is not what the format's readers know.
    const more = name === "a.jp2" ? [] : [...exif, ...gps, `-ICC_Profile<=${profile}`];
    said("exiftool", ["-q", "-overwrite_original", ...written, ...more, path]);
    const [theirs = {}] = JSON.parse(said("exiftool", ["-j", "-n", path])) as Row[];
    const data = await dataOf(images, path);
    assert.deepEqual([data.width, data.height], [theirs.ImageWidth, theirs.ImageHeight]);
    const xmp = data.xmp as Row;
    assert.deepEqual(
      [xmp["dc:title"], xmp["dc:subject"], xmp["xmp:Rating"]],
      [theirs.Title, (theirs.Subject as string[]).join("; "), String(theirs.Rating)],
    );
    if (name === "a.jp2") return;
    const place = data.gps as Record<string, number>;
    assert.ok(Math.abs((place.latitude ?? 0) - (theirs.GPSLatitude as number)) < 1e-6);
    assert.ok(Math.abs((place.longitude ?? 0) - (theirs.GPSLongitude as number)) < 1e-6);
    assert.equal(place.altitudeMetres, theirs.GPSAltitude);
    assert.deepEqual(
      [data.orientation, (data.exif as Row).make, (data.exif as Row).fNumber, (data.profile as Row).name],
      [theirs.Orientation, theirs.Make, theirs.FNumber, theirs.ProfileDescription],
    );
    assert.equal(String(data.takenAt).replace("T", " ").replaceAll("-", ":"), theirs.DateTimeOriginal);
  });

for (const [name, words] of [
  ["a.dpx", ["-pix_fmt", "gbrp10be"]],
  ["a.exr", []],
  ["a.bmp", []],
  ["a.gif", []],
] as const)
  test(`${name}: ExifTool reads the same size and depth`, { skip: noExiftool }, async () => {
    const path = ffmpeg(name, [...TEST_PICTURE, "-frames:v", "1", ...words]);
    const [theirs = {}] = JSON.parse(said("exiftool", ["-j", "-n", path])) as Row[];
    const data = await dataOf(images, path);
    assert.deepEqual([data.width, data.height], [theirs.ImageWidth, theirs.ImageHeight]);
    if (theirs.BitDepth !== undefined && name !== "a.bmp") assert.equal(data.bitDepth, theirs.BitDepth);
  });

const CODECS: Row = {
  AVC: "h264",
  "MPEG-4 Visual": "mpeg4",
  AAC: "aac",
  FLAC: "flac",
  FFV1: "ffv1",
  "MPEG Video": "mpeg2video",
  ProRes: "prores",
};
const FILMS: readonly (readonly [string, readonly string[]])[] = [
  ["a.mp4", ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]],
  ["a.mov", ["-c:v", "prores", "-c:a", "pcm_s16le"]],
  ["a.mkv", ["-r", "24000/1001", "-c:v", "ffv1", "-c:a", "flac", "-ac", "2"]],
  ["a.avi", ["-c:v", "mpeg4", "-c:a", "pcm_s16le"]],
  ["a.mxf", ["-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", "48000"]],
  ["a.wav", ["-vn", "-ac", "2", "-ar", "22050"]],
  ["a.flac", ["-vn"]],
  ["a.ogg", ["-vn", "-c:a", "libvorbis"]],
  ["a.mp3", ["-vn", "-c:a", "libmp3lame"]],
];
for (const [name, words] of FILMS)
  test(`${name}: ffprobe finds the same streams`, { skip: noFfmpeg }, async () => {
    const path = ffmpeg(name, [...TEST_PICTURE, ...TEST_SOUND, ...words]);
    const probed = JSON.parse(
      said("ffprobe", ["-v", "error", "-of", "json", "-show_streams", "-show_format", path]),
    ) as {
      readonly streams: readonly Row[];
      readonly format: Row;
    };
    const data = await dataOf(media, path);
    const streams = (data.streams as Row[]).filter(({ kind }) => kind === "video" || kind === "audio");
    const theirs = probed.streams.filter((one) => one.codec_type === "video" || one.codec_type === "audio");
    assert.equal(streams.length, theirs.length);
    // MP3 has no clock: both reckon from its packets, and one of them with the silence at its ends.
    assert.ok(Math.abs((data.durationSeconds as number) - Number(probed.format.duration)) < 0.08);
    for (const their of theirs) {
      const our = streams.find(({ kind }) => kind === their.codec_type) ?? {};
      assert.equal(CODECS[String(our.codec)] ?? their.codec_name, their.codec_name);
      if (their.codec_type === "video") {
        const [frames = 0, seconds = 1] = String(their.r_frame_rate).split("/").map(Number);
        assert.deepEqual(
          [our.width, our.height, our.frameRate],
          [their.width, their.height, Math.round((frames / seconds) * 1e6) / 1e6],
        );
      } else assert.deepEqual([our.channels, our.sampleRate], [their.channels, Number(their.sample_rate)]);
    }
  });

/** `pdfinfo`'s lines by their names. */
function pdfinfo(words: readonly string[]): Record<string, string> {
  const lines = said("pdfinfo", ["-isodates", ...words]).split("\n");
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
}
const SENTENCES = "The sediment core was found.\nA sediment core is long.";

test("pdfinfo and pdftotext read the same of a PDF", { skip: noPoppler }, async () => {
  const path = join(folder, "a.pdf");
  writeFileSync(path, samplePdf(SENTENCES));
  const theirs = pdfinfo([path]);
  const data = await dataOf(pdf, path);
  assert.deepEqual([data.title, data.producer, data.version], [theirs.Title, theirs.Producer, theirs["PDF version"]]);
  assert.deepEqual(
    [String(data.pages), data.isTagged, data.isEncrypted],
    [theirs.Pages, theirs.Tagged === "yes", theirs.Encrypted === "yes"],
  );
  // pdfinfo leaves out what an offset from UTC has no minutes for.
  assert.equal(String(data.createdAt).replace(/:00$/, ""), theirs.CreationDate);
  const [first] = data.pageSizes as Row[];
  assert.ok(theirs["Page size"]?.startsWith(`${first?.widthPoints} x ${first?.heightPoints} pts`));
  const words = said("pdftotext", [path, "-"]).match(/\w+/g) ?? [];
  assert.equal((await dataOf(keywords, path)).words, words.length);
});

test("a PDF that only its owner may change is read; pdfinfo calls it encrypted, too", { skip: noQpdf }, async () => {
  const [plain, path] = [join(folder, "plain.pdf"), join(folder, "owned.pdf")];
  writeFileSync(plain, samplePdf(SENTENCES));
  said("qpdf", ["--encrypt", "", "owner", "256", "--", "--linearize", plain, path]);
  const theirs = pdfinfo([path]);
  const data = await dataOf(pdf, path);
  assert.match(theirs.Encrypted ?? "", /^yes/);
  assert.deepEqual([data.isEncrypted, data.isLinearized, data.title], [true, theirs.Optimized === "yes", theirs.Title]);
  assert.equal((await dataOf(keywords, path)).words, 10);
});
