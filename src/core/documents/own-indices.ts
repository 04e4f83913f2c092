import { randomBytes } from "node:crypto";
import { requireScope } from "../access/access.ts";
import { canonicalJson } from "../access/audit.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Document, DocumentIndex, DocumentOutcome, DocumentWrite, Exactness, IndexSource } from "./document.ts";
import type { DocumentStore, IndexChange, IndexState, StoredIndex } from "./document-store.ts";
import { isObject, type JsonObject } from "./field-values.ts";
import { mergedObject } from "./json-object.ts";
import { extendedMapping, type Mapping, mappingWith } from "./mapping.ts";

/** Documents in memory: as many as are of this length together, if the next are like the last. */
const PAGE_LENGTH = 1024 ** 2;
const FIRST_PAGE = 50;
const MAX_PAGE = 2_000;
const WRITES_AT_ONCE = 500;
const MAX_ID_BYTES = 512;

/** Indices that scripts make, fill and remove: anybody who may read sees them, operators change them. */
export interface OwnIndices extends IndexSource {
  /** @throws AppError document_index_exists, document_index_invalid. */
  create(name: string, mapping: Mapping): Promise<void>;
  /** Adds fields. @throws AppError document_index_unknown, document_index_invalid. */
  extend(name: string, added: Mapping): Promise<void>;
  /** @throws AppError document_index_unknown. */
  remove(name: string): Promise<void>;
}

export function ownIndices(store: DocumentStore, clock: Clock): OwnIndices {
  function indexOf({ name, mapping, createdAt }: StoredIndex): DocumentIndex {
    return {
      name,
      mapping,
      createdAt,
      documents: (_principal, ids) => store.documents(name, ids),
      async *scan() {
        for (let last = 0, limit = FIRST_PAGE; ; ) {
          const page = await store.page(name, last, limit);
          yield page;
          if (page.length < limit) return;
          last = page.at(-1)?.number ?? last;
          const length = page.reduce((sum, { source }) => sum + source.length, 0);
          limit = Math.min(MAX_PAGE, Math.max(1, Math.floor((PAGE_LENGTH * page.length) / length)));
        }
      },
      count: () => store.count(name),
      async write(principal, writes, exactness) {
        requireScope(principal, "operate");
        const outcomes: DocumentOutcome[] = [];
        for (let at = 0; at < writes.length; at += WRITES_AT_ONCE) {
          const some = writes.slice(at, at + WRITES_AT_ONCE).map(withId);
          const ids = some.map(({ id }) => id);
          const done = await store.change(name, ids, (state) => applied(state, some, exactness));
          if (!done) throw new AppError("document_index_unknown", { index: name });
          outcomes.push(...done);
        }
        return outcomes;
      },
    };
  }

  return {
    async find(name) {
      const found = await store.index(name);
      return found && indexOf(found);
    },
    list: async () => (await store.indices()).map(indexOf),
    async create(name, mapping) {
      requireName(name);
      if (!(await store.createIndex({ name, mapping, createdAt: clock.now() })))
        throw new AppError("document_index_exists", { index: name });
    },
    async extend(name, added) {
      const done = await store.change(name, [], ({ mapping, lastSeqNo }) => [
        { mapping: extendedMapping(mapping, added), put: [], removed: [], lastSeqNo },
        true,
      ]);
      if (!done) throw new AppError("document_index_unknown", { index: name });
    },
    async remove(name) {
      if (!(await store.removeIndex(name))) throw new AppError("document_index_unknown", { index: name });
    },
  };
}

/** As Elasticsearch has it: names of folders and of parts of an address alike. */
function requireName(name: string): void {
  const reason =
    name !== name.toLowerCase()
      ? "must be lowercase"
      : /[\\/*?"<>| ,#:\p{Cc}]/u.test(name) || !name.isWellFormed()
        ? "must not contain the following characters ['\\\\','/','*','?','\"','<','>','|',' ',',','#',':']"
        : /^[-_+]/.test(name)
          ? "must not start with '_', '-', or '+'"
          : name === "." || name === ".." || name === ""
            ? "must not be '.' or '..'"
            : Buffer.byteLength(name) > 255
              ? "index name is too long, (> 255)"
              : undefined;
  if (reason !== undefined)
    throw new AppError("document_index_invalid", {
      type: "invalid_index_name_exception",
      reason: `Invalid index name [${name}], ${reason}`,
    });
}

type Named = DocumentWrite & { readonly id: string };

function withId(write: DocumentWrite): Named {
  return { ...write, id: write.id ?? randomBytes(15).toString("base64url") };
}

/** The writes in turn, each on what those before it have left. */
function applied(
  state: IndexState,
  writes: readonly Named[],
  { strict }: Exactness,
): readonly [IndexChange, readonly DocumentOutcome[]] {
  const documents = new Map<string, Omit<Document, "number"> | undefined>(state.documents);
  let { mapping, lastSeqNo } = state;

  function put(id: string, source: string): DocumentOutcome {
    const fields: unknown = JSON.parse(source);
    if (!isObject(fields)) throw new AppError("document_invalid", { reason: "A document is a JSON object." });
    mapping = mappingWith(mapping, fields as JsonObject, id, strict);
    const { version = 0 } = documents.get(id) ?? {};
    const document = { id, source, version: version + 1, seqNo: ++lastSeqNo };
    documents.set(id, document);
    return { id, version: document.version, seqNo: lastSeqNo, result: version === 0 ? "created" : "updated" };
  }

  function outcomeOf(write: Named): DocumentOutcome {
    const { id, ifSeqNo } = write as Named & { readonly ifSeqNo?: number };
    requireId(id);
    const found = documents.get(id);
    if (ifSeqNo !== undefined && found?.seqNo !== ifSeqNo) {
      const current = found ? `current document has seqNo [${found.seqNo}]` : "but no document was found";
      throw conflict(id, `required seqNo [${ifSeqNo}], ${current}`);
    }
    switch (write.op) {
      case "index":
        return put(id, write.source);
      case "create":
        if (found) throw conflict(id, `document already exists (current version [${found.version}])`);
        return put(id, write.source);
      case "update": {
        if (!found) {
          if (write.upsert === undefined)
            throw new AppError("document_unknown", { id, reason: `[${id}]: document missing` });
          return put(id, write.upsert);
        }
        const merged = mergedObject(found.source, write.doc);
        return isSame(merged, found.source)
          ? { id, version: found.version, seqNo: found.seqNo, result: "noop" }
          : put(id, merged);
      }
      case "delete": {
        if (!found) return { id, version: 1, seqNo: lastSeqNo, result: "not_found" };
        documents.set(id, undefined);
        return { id, version: found.version + 1, seqNo: ++lastSeqNo, result: "deleted" };
      }
    }
  }

  const outcomes = writes.map((write) => {
    try {
      return outcomeOf(write);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { id: write.id, error };
    }
  });
  const touched = [...documents].filter(([id, document]) => document !== state.documents.get(id));
  return [
    {
      mapping,
      put: touched.flatMap(([, document]) => document ?? []),
      removed: touched.flatMap(([id, document]) => (document ? [] : [id])),
      lastSeqNo,
    },
    outcomes,
  ];
}

/** To the value, not to the letter. */
function isSame(a: string, b: string): boolean {
  return a === b || canonicalJson(JSON.parse(a)) === canonicalJson(JSON.parse(b));
}

const conflict = (id: string, reason: string) =>
  new AppError("document_conflict", { id, reason: `[${id}]: version conflict, ${reason}` });

function requireId(id: string): void {
  const bytes = Buffer.byteLength(id);
  if (bytes > MAX_ID_BYTES)
    throw new AppError("document_invalid", {
      type: "illegal_argument_exception",
      reason: `id [${id}] is too long, must be no longer than ${MAX_ID_BYTES} bytes but was: ${bytes}`,
    });
  // Of neither could a database make anything.
  if (id === "" || id.includes("\0") || !id.isWellFormed())
    throw new AppError("document_invalid", {
      type: "illegal_argument_exception",
      reason: "if _id is specified it must not be empty, and be Unicode without NUL",
    });
}
