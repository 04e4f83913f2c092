import type { Principal } from "../access/access.ts";
import { canonicalJson } from "../access/audit.ts";
import { AppError, type DetailValue } from "../errors.ts";
import type { Declaration } from "../registers/declaration.ts";
import type { Entry } from "../registers/entry.ts";
import { VIEW_COLUMNS } from "../registers/register-store.ts";
import type { Registers, Sent } from "../registers/registers.ts";
import type { Document, DocumentIndex, DocumentOutcome, DocumentWrite, IndexSource, Narrowing } from "./document.ts";
import type { FieldMapping, Mapping } from "./mapping.ts";

const BATCH = 500;

const TYPES: Readonly<Record<string, string>> = {
  integer: "long",
  number: "double",
  boolean: "boolean",
  object: "object",
};
const SHOWN: Readonly<Record<(typeof VIEW_COLUMNS)[number], FieldMapping>> = {
  id: { type: "long" },
  status: { type: "keyword" },
  owner: { type: "keyword" },
  version: { type: "long" },
  attempts: { type: "long" },
  reason: { type: "keyword" },
  date: { type: "date", format: "yyyy-MM-dd HH:mm:ss" },
};

/**
 * Registers as indices: their entries with the columns of the register's view, in its order, so that scripts find by
 * position what they put there. Documents change entries by the register's own rules: another status is a step to it.
 */
export function registerIndices(registers: Registers): IndexSource {
  return {
    async find(name) {
      const found = await registers.get(name).catch((error: unknown) => {
        if (error instanceof AppError && error.code === "register_unknown") return undefined;
        throw error;
      });
      return found && registerIndex(registers, found.declaration);
    },
    list: async () => (await registers.list()).map(({ declaration }) => registerIndex(registers, declaration)),
  };
}

function registerIndex(registers: Registers, declaration: Declaration): DocumentIndex {
  const { name, fieldNames } = declaration;
  const columns = [...new Set([...(declaration.view?.columns ?? [...fieldNames, "status", "date"]), ...fieldNames])];

  async function entryOf(principal: Principal, id: string): Promise<Entry | undefined> {
    if (!/^[1-9]\d{0,14}$/.test(id)) return undefined;
    return registers.entry(principal, name, Number(id)).catch((error: unknown) => {
      if (error instanceof AppError && error.code === "entry_unknown") return undefined;
      throw error;
    });
  }

  async function* entries(principal: Principal, narrowing: Narrowing): AsyncGenerator<readonly Document[]> {
    let batch: Document[] = [];
    for await (const entry of registers.each(principal, name, narrowed(declaration, narrowing))) {
      batch.push(documentOf(entry, columns));
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
    yield batch;
  }

  async function outcomeOf(principal: Principal, write: DocumentWrite): Promise<DocumentOutcome> {
    const { id } = write;
    const found = id === undefined ? undefined : await entryOf(principal, id);
    if (write.ifSeqNo !== undefined && found?.version !== write.ifSeqNo)
      throw new AppError("entry_conflict", { register: name, id: id ?? "", expected: `version ${write.ifSeqNo}` });
    const version = write.ifSeqNo === undefined ? {} : { version: write.ifSeqNo };

    if (write.op === "delete") {
      if (!found) return { id: write.id, version: 1, seqNo: 0, result: "not_found" };
      await registers.remove(principal, name, found.id);
      return { id: write.id, version: found.version + 1, seqNo: found.version + 1, result: "deleted" };
    }
    if (!found) {
      if (write.op === "update" && write.upsert === undefined)
        throw new AppError("entry_unknown", { register: name, id: write.id });
      if (id !== undefined || write.op === "update")
        throw new AppError("entry_invalid", { register: name, reason: "ids are the register's own: send none" });
      const { status, reason: _, fields } = sentIn(declaration, write.source);
      const made = await registers.create(principal, name, status === undefined ? fields : { ...fields, status });
      return outcome(made, "created");
    }
    if (write.op === "create") throw new AppError("entry_exists", { register: name, entry: found.id });
    const isWhole = write.op === "index";
    const { status, reason, fields } = sentIn(declaration, write.op === "update" ? write.doc : write.source);
    const to = status === undefined || status === found.status ? {} : { to: String(status) };
    const changed = Object.entries(fields).some(
      ([field, value]) => canonicalJson(value) !== canonicalJson(found.fields[field] ?? null),
    );
    const isMissing = isWhole && Object.keys(found.fields).some((field) => fields[field] === undefined);
    if (!changed && !isMissing && to.to === undefined) return outcome(found, "noop");
    return outcome(
      await registers.change(principal, name, found.id, {
        ...((changed || isMissing) && { fields, isWhole }),
        ...to,
        ...version,
        ...(typeof reason === "string" && { reason }),
      }),
      "updated",
    );
  }

  return {
    name,
    mapping: mappingOf(declaration, columns),
    createdAt: null,
    async documents(principal, ids) {
      const found = [];
      for (const id of ids) found.push(await entryOf(principal, id));
      return found.flatMap((entry) => (entry ? [documentOf(entry, columns)] : []));
    },
    scan: entries,
    async count(principal) {
      const counts = await registers.counts(principal, name).catch((error: unknown) => {
        if (error instanceof AppError && error.code === "entry_refused") return undefined;
        throw error;
      });
      if (counts) return Object.values(counts).reduce((sum, count) => sum + count, 0);
      let own = 0;
      for await (const batch of entries(principal, new Map())) own += batch.length;
      return own;
    },
    async write(principal, writes) {
      const outcomes: DocumentOutcome[] = [];
      for (const write of writes)
        outcomes.push(
          await outcomeOf(principal, write).catch((error: unknown) => {
            if (!(error instanceof AppError) || error.retryable) throw error;
            return { id: write.id ?? "", error };
          }),
        );
      return outcomes;
    },
  };
}

const outcome = ({ id, version }: Entry, result: "created" | "updated" | "noop"): DocumentOutcome => ({
  id: String(id),
  version,
  seqNo: version,
  result,
});

/** What a store can look for: one value each, of fields that are text, as it is there. */
function narrowed({ fields }: Declaration, narrowing: Narrowing) {
  const only = [...narrowing].flatMap(([field, [value, ...others]]) =>
    value === undefined || others.length > 0 ? [] : [[field, value] as const],
  );
  const status = only.find(([field]) => field === "status")?.[1];
  const texts = only.filter(([field]) => Object.hasOwn(fields, field) && fields[field]?.type === "string");
  return { ...(status !== undefined && { status }), fields: Object.fromEntries(texts) };
}

/** A document without what entries have by themselves: whoever read it may send it back. */
function sentIn({ fields: declared }: Declaration, source: string) {
  const { status, reason, ...others } = JSON.parse(source) as Readonly<Record<string, DetailValue>>;
  const fields: Sent = Object.fromEntries(
    Object.entries(others).filter(
      ([field]) => Object.hasOwn(declared, field) || !(VIEW_COLUMNS as readonly string[]).includes(field),
    ),
  );
  return { status, reason, fields };
}

function documentOf(entry: Entry, columns: readonly string[]): Document {
  const { id, fields, status, owner, version, attempts, reason, createdAt } = entry;
  // As the views of registers write it.
  const date = new Date(createdAt).toISOString().slice(0, 19).replace("T", " ");
  const own: Readonly<Record<string, DetailValue>> = { id, status, owner, version, attempts, reason, date };
  const source = Object.fromEntries(
    columns.map((column) => [column, (Object.hasOwn(own, column) ? own[column] : fields[column]) ?? null]),
  );
  return { id: String(id), source: JSON.stringify(source), version, seqNo: version, number: id };
}

function mappingOf({ fields }: Declaration, columns: readonly string[]): Mapping {
  const shown: Readonly<Record<string, FieldMapping>> = SHOWN;
  const properties = columns.map((column) => {
    const own = Object.hasOwn(fields, column) ? undefined : shown[column];
    return [column, own ?? fieldMapping(fields[column] ?? {})] as const;
  });
  return { dynamic: "strict", properties: Object.fromEntries(properties) };
}

/** @param schema JSON Schema of the field. */
function fieldMapping(schema: Readonly<Record<string, unknown>>): FieldMapping {
  const type = [schema.type].flat().find((one) => one !== "null");
  if (schema.format === "date" || schema.format === "date-time") return { type: "date", ignore_malformed: true };
  return { type: TYPES[String(type)] ?? "keyword" };
}
