import { crc32, deflateRawSync } from "node:zlib";

function u16(...values: readonly number[]): Buffer {
  return Buffer.from(Uint16Array.from(values).buffer);
}
function u32(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

/** A member that is packed already: one too large to be held otherwise. */
export interface Deflated {
  readonly packed: Buffer;
  readonly checksum: number;
  readonly sizeBytes: number;
}

function isDeflated(content: string | Uint8Array | Deflated): content is Deflated {
  return typeof content === "object" && "packed" in content;
}

function packedOf(bytes: Buffer, isStored: boolean): Deflated {
  return { packed: isStored ? bytes : deflateRawSync(bytes), checksum: crc32(bytes), sizeBytes: bytes.length };
}

/** A ZIP of these members, as APPNOTE 6.3 has it: deflated, or stored when it is the first, named `mimetype`. */
export function zipOf(members: Readonly<Record<string, string | Uint8Array | Deflated>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(members)) {
    const isStored = name === "mimetype";
    const { packed, checksum, sizeBytes } = isDeflated(content) ? content : packedOf(Buffer.from(content), isStored);
    const facts = Buffer.concat([
      u16(20, 0x800, isStored ? 0 : 8, 0, 0x5a21),
      u32(checksum, packed.length, sizeBytes),
      u16(Buffer.byteLength(name), 0),
    ]);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), facts, Buffer.from(name), packed]);
    directory.push(
      Buffer.concat([Buffer.from("PK\x01\x02"), u16(20), facts, u16(0, 0, 0), u32(0, at), Buffer.from(name)]),
    );
    parts.push(local);
    at += local.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.concat([
    Buffer.from("PK\x05\x06"),
    u16(0, 0, directory.length, directory.length),
    u32(listed.length, at),
    u16(0),
  ]);
  return Buffer.concat([...parts, listed, end]);
}

export function docxOf(body: string, others: Readonly<Record<string, string>> = {}): Buffer {
  return zipOf({
    "[Content_Types].xml": "<Types/>",
    "word/document.xml": `<?xml version="1.0"?><w:document xmlns:w="x"><w:body>${body}</w:body></w:document>`,
    ...others,
  });
}

export function odtOf(text: string, others: Readonly<Record<string, string>> = {}): Buffer {
  return zipOf({
    mimetype: "application/vnd.oasis.opendocument.text",
    "content.xml": `<office:document-content xmlns:office="o" xmlns:text="t"><office:body><office:text>${text}</office:text></office:body></office:document-content>`,
    ...others,
  });
}

/** A PDF of these objects, numbered from 1, the first its catalogue (ISO 32000-1, 7.5). */
export function pdfOfObjects(objects: readonly string[], trailer = ""): Buffer {
  let pdf = "%PDF-1.6\n";
  const offsets = objects.map((object, i) => {
    const at = pdf.length;
    pdf += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = offsets.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
  const [size, tableAt] = [objects.length + 1, pdf.length];
  pdf += `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R ${trailer} >>\nstartxref\n${tableAt}\n%%EOF\n`;
  return Buffer.from(pdf, "latin1");
}

function stream(content: string, entries = ""): string {
  return `<< /Length ${content.length} ${entries} >>\nstream\n${content}\nendstream`;
}

/** Three pages, the last on its side and in units of 1/36 inch; what is on the first is said, in Helvetica. */
export function samplePdf(words: string): Buffer {
  const page = (more: string) => `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] ${more} >>`;
  const lines = words.split("\n").map((line) => `(${line}) Tj 0 -14 Td`);
  return pdfOfObjects(
    [
      "<< /Type /Catalog /Pages 2 0 R /MarkInfo << /Marked true >> /Lang (en-GB) /Metadata 7 0 R >>",
      "<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>",
      page("/Contents 6 0 R /Resources << /Font << /F 8 0 R >> >>"),
      page(""),
      page("/Rotate 90 /UserUnit 2"),
      stream(`BT /F 12 Tf 72 700 Td ${lines.join(" ")} ET`),
      stream(
        `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator><rdf:Seq><rdf:li>A. Adams</rdf:li><rdf:li>B. Brown</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`,
        "/Type /Metadata /Subtype /XML",
      ),
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
      "<< /Title (Core samples \\(draft\\)) /Producer (by hand) /CreationDate (D:20240506070809+02'00') /ModDate (D:2024) /Depth (12 m) >>",
    ],
    "/Info 9 0 R",
  );
}
