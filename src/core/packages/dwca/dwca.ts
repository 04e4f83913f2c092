import { AppError, type Details } from "../../errors.ts";
import { cellText, jsonText, quoted, specialTo } from "../cell-text.ts";
import { type MemberSink, PIECE_CHARS, type RowFormat } from "../row-format.ts";
import { type Cell, ExactNumber, type Field } from "../rows.ts";
import { type IdSet, idSet } from "./id-set.ts";
import { type Column, type DwcaFile, type Mapping, mapFields } from "./mapping.ts";
import { metaXml } from "./meta-xml.ts";
import type { DwcaSettings, MediaField } from "./settings.ts";

export interface DwcaRequest {
  readonly format: "csv" | "tsv";
  /** Template of eml.xml, with `{package_id}`, `{pub_date}` and `{date_stamp}`. */
  readonly eml?: string | undefined;
  /** Adds gbif.json, by which scripts tell the standing dump for GBIF from other packages. */
  readonly forGbif: boolean;
  /** A UUID, for eml.xml. */
  readonly packageId: string;
  /** Epoch milliseconds, for eml.xml and gbif.json. */
  readonly now: number;
}

/** How a file of the archive is written. */
interface OpenFile {
  readonly file: DwcaFile;
  readonly location: string;
  readonly terms: readonly string[];
  /** Lines of one record, without the id that begins each. */
  lines(row: readonly Cell[]): readonly string[];
  sink: MemberSink | undefined;
  rows: number;
}

/**
 * Rows of a portal as a Darwin Core Archive. What is checked of the text guide is checked while writing: ids are there and
 * unique, quoting and line ends are as meta.xml declares them, each column has one term.
 *
 * A file of an extension without a row is left out; the core stays, as an archive has one.
 */
export function dwcaFormat(settings: DwcaSettings, request: DwcaRequest): RowFormat {
  const delimiter = request.format === "tsv" ? "\t" : ",";
  const special = specialTo(delimiter);
  let ids: IdSet = idSet();
  let idIndex = 0;
  let files: OpenFile[] = [];

  const line = (cells: readonly string[]) => cells.map((cell) => quoted(cell, special)).join(delimiter);

  function plan(fields: readonly Field[]): void {
    const mapping: Mapping | undefined = mapFields(fields, settings);
    if (!mapping)
      throw new AppError("dwca_record_id", { expected: `a field ${settings.idField}`, found: "no such field" });
    idIndex = mapping.idIndex;
    files = mapping.files.map((file) => ({
      file,
      location: `${file.name}.${request.format}`,
      ...writerOf(file, line),
      sink: undefined,
      rows: 0,
    }));
  }

  return {
    wants: "rows",

    async begin(fields, sink) {
      plan(fields);
      for (const open of files) {
        open.sink = sink.member(open.location);
        await open.sink.write(`${line([settings.idField, ...open.terms.map(termName)])}\n`);
      }
    },

    async page({ content }, sink) {
      if (!("rows" in content)) throw new AppError("internal", { expected: "rows", found: "csv" });
      const texts = files.map(() => "");
      for (const open of files) open.sink ??= sink.member(open.location);
      for (const row of content.rows) {
        const id = cellText(row[idIndex] ?? null);
        if (id === "" || !ids.add(id))
          throw new AppError("dwca_record_id", { field: settings.idField, found: id === "" ? "none" : id });
        const start = quoted(id, special);
        for (const [at, open] of files.entries()) {
          for (const rest of open.lines(row)) {
            texts[at] += `${start}${rest}\n`;
            open.rows++;
          }
          if ((texts[at]?.length ?? 0) < PIECE_CHARS) continue;
          await open.sink?.write(texts[at] ?? "");
          texts[at] = "";
        }
      }
      for (const [at, open] of files.entries()) await open.sink?.write(texts[at] ?? "");
    },

    async end(sink) {
      for (const open of files) if (open.rows === 0 && !open.file.isCore) await sink.drop(open.location);
      const kept = files.filter((open) => open.rows > 0 || open.file.isCore);
      await sink.member("meta.xml").write(metaXml(kept, delimiter, request.eml !== undefined));
      if (request.eml !== undefined) await sink.member("eml.xml").write(filledIn(request.eml, request));
      if (request.forGbif) await sink.member("gbif.json").write(JSON.stringify({ time: request.now / 1_000 }));
    },

    state() {
      const seen = ids.state();
      return seen && { ids: seen, rows: files.map(({ rows }) => rows) };
    },

    resume(fields, state) {
      plan(fields);
      ids = idSet(state.ids as Details);
      for (const [at, open] of files.entries()) open.rows = (state.rows as readonly number[])[at] ?? 0;
    },
  };

  function writerOf({ content }: DwcaFile, toLine: typeof line): Pick<OpenFile, "terms" | "lines"> {
    if (content.kind === "record") {
      const { columns } = content;
      return {
        terms: columns.map(({ uri }) => uri),
        lines(row) {
          // Added up by hand: half the time of lists that are joined, and this is the innermost loop.
          let text = "";
          for (const column of columns) text += delimiter + quoted(columnText(column, row), special);
          return [text];
        },
      };
    }
    // Several fields of one extension share its columns: those of the first, then what the others add.
    const terms = [...new Map(content.sources.flatMap(({ media }) => media.terms.map((one) => [one.uri, one]))).keys()];
    return {
      terms,
      lines: (row) =>
        content.sources.flatMap(({ index, media }) =>
          itemsOf(row[index] ?? null).map((item) => {
            const values = new Map(media.terms.map((term) => [term.uri, mediaText(item, term)]));
            return `${delimiter}${toLine(terms.map((uri) => values.get(uri) ?? ""))}`;
          }),
        ),
    };
  }
}

/** One field's value as it is; of several, an object of those that are not null. */
function columnText({ sources }: Column, row: readonly Cell[]): string {
  const only = sources.length === 1 ? sources[0] : undefined;
  if (only) return cellText(row[only.index] ?? null);
  const members = sources.flatMap(({ index, key }) => {
    const cell = row[index] ?? null;
    return cell === null ? [] : [`${JSON.stringify(key)}: ${embedded(cell)}`];
  });
  return `{${members.join(", ")}}`;
}

/** Text that is JSON becomes part of the JSON around it, as it is: `"10"` is the number 10, `"007"` stays text. */
function embedded(cell: Cell): string {
  if (typeof cell !== "string") return jsonText(cell);
  return parsedOrNothing(cell) === undefined ? JSON.stringify(cell) : cell;
}

/** The objects of a media field: a list, a single one, or either as JSON text. What else stands there is no media. */
function itemsOf(cell: Cell): readonly { readonly [key: string]: Cell }[] {
  const value = typeof cell === "string" ? ((parsedOrNothing(cell) as Cell | undefined) ?? null) : cell;
  const list = Array.isArray(value) ? value : [value];
  return list.filter(
    (item): item is { readonly [key: string]: Cell } =>
      typeof item === "object" && item !== null && !Array.isArray(item) && !(item instanceof ExactNumber),
  );
}

function mediaText(item: { readonly [key: string]: Cell }, term: MediaField["terms"][number]): string {
  const mapped = term.key === undefined ? "" : cellText(own(item, term.key));
  if (mapped !== "") return term.template.replaceAll("{}", () => mapped);
  const named = own(item, term.term);
  return named === null ? term.otherwise : cellText(named);
}

function own(item: { readonly [key: string]: Cell }, key: string): Cell {
  return Object.hasOwn(item, key) ? (item[key] ?? null) : null;
}

function parsedOrNothing(text: string): unknown {
  if (!/^\s*(?:[[{"\d-]|true|false|null)/.test(text)) return undefined; // most text is none: not worth an exception
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The part of a term's URI that people know it by. */
function termName(uri: string): string {
  return uri.slice(Math.max(uri.lastIndexOf("/"), uri.lastIndexOf("#")) + 1);
}

/** Fills in the places that are known; other braces are the document's own. */
function filledIn(template: string, { packageId, now }: DwcaRequest): string {
  const stamp = new Date(now).toISOString();
  const values: Readonly<Record<string, string>> = {
    package_id: packageId,
    pub_date: stamp.slice(0, 10),
    date_stamp: `${stamp.slice(0, 19)}Z`,
  };
  return template.replace(/\{(package_id|pub_date|date_stamp)\}/g, (_whole, name: string) => values[name] ?? "");
}
