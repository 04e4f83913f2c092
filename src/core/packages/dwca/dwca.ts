import { AppError, type Details } from "../../errors.ts";
import { cellText } from "../cell-text.ts";
import { DelimitedText } from "../csv/delimited-text.ts";
import { cursorOver } from "../page-rows.ts";
import type { MemberSink, RowFormat } from "../row-format.ts";
import type { Field } from "../rows.ts";
import { type DwcaLines, dwcaLines } from "./dwca-lines.ts";
import { type IdSet, idSet } from "./id-set.ts";
import { type DwcaFile, type Mapping, mapFields } from "./mapping.ts";
import { metaXml } from "./meta-xml.ts";
import type { DwcaSettings } from "./settings.ts";

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
interface OpenFile extends DwcaLines {
  readonly file: DwcaFile;
  readonly location: string;
  readonly text: DelimitedText;
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
  let ids: IdSet = idSet();
  let fields: readonly Field[] = [];
  let idIndex = 0;
  let files: OpenFile[] = [];

  function plan(all: readonly Field[]): void {
    const mapping: Mapping | undefined = mapFields(all, settings);
    if (!mapping)
      throw new AppError("dwca_record_id", { expected: `a field ${settings.idField}`, found: "no such field" });
    fields = all;
    idIndex = mapping.idIndex;
    files = mapping.files.map((file) => {
      const text = new DelimitedText(delimiter, "");
      const location = `${file.name}.${request.format}`;
      return { file, location, text, ...dwcaLines(file, text), sink: undefined, rows: 0 };
    });
  }

  return {
    async begin(all, sink) {
      plan(all);
      for (const open of files) {
        open.sink = sink.member(open.location);
        open.text.line([settings.idField, ...open.terms.map(termName)]);
        await open.sink.write(open.text.take());
      }
    },

    async page({ content }, sink) {
      for (const open of files) open.sink ??= sink.member(open.location);
      for (const rows = cursorOver(content, fields); rows.next(); ) {
        const id = cellText(rows.cell(idIndex));
        if (id === "" || !ids.add(id))
          throw new AppError("dwca_record_id", { field: settings.idField, found: id === "" ? "none" : id });
        for (const open of files) {
          open.rows += open.add(rows, id);
          if (open.text.isFull) await open.sink?.write(open.text.take());
        }
      }
      for (const open of files) await open.sink?.write(open.text.take());
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

    resume(all, state) {
      plan(all);
      ids = idSet(state.ids as Details);
      for (const [at, open] of files.entries()) open.rows = (state.rows as readonly number[])[at] ?? 0;
    },
  };
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
