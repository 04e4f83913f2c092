import type { RecordData } from "../extractor.ts";
import { COUNT, listSchema, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

/** Distinct values of all columns that are counted, for modes. */
const DISTINCT_IN_ALL = 200_000;
const DISTINCT_PER_COLUMN = 10_000;
const VALUE_CHARS = 200;
const MODES = 10;
const MODE_CHARS_IN_ALL = 1_000_000;
/** Tables with more columns are matrices, whose columns have no names. */
export const MAX_COLUMNS = 4096;

/** How a missing value is written; compared in lower case. */
const MISSING = new Set(["", "na", "n/a", "nan", "null", "none", "-", "#n/a", "?", "."]);
const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const BOOLEAN = /^(true|false|yes|no)$/i;
/** ISO 8601, as far as tables have it. */
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

export type CellType = "integer" | "number" | "boolean" | "date" | "text";

export function isMissing(cell: string): boolean {
  return cell.length <= 4 && MISSING.has(cell.trim().toLowerCase());
}

export function typeOfCell(cell: string): CellType {
  const code = cell.charCodeAt(0);
  const mayBeNumber = (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2b || code === 0x2e;
  if (mayBeNumber) {
    if (INTEGER.test(cell)) return "integer";
    if (DECIMAL.test(cell)) return "number";
    return DATE.test(cell) ? "date" : "text";
  }
  return cell.length <= 5 && BOOLEAN.test(cell) ? "boolean" : "text";
}

/** A cell of a table that knows what it holds; `undefined` where nothing is. */
export interface Cell {
  readonly type: CellType;
  readonly text: string;
  /** Of an integer or number. */
  readonly number?: number;
}

/** What a column's record has. */
export const COLUMN_FIELDS: RecordData = {
  name: TEXT,
  type: {
    enum: ["integer", "number", "boolean", "date", "text", "empty"],
    description: "of all values that are there",
  },
  types: mapSchema({ ...COUNT, description: "how many values are of each type" }),
  count: { ...COUNT, description: "values that are there" },
  missing: COUNT,
  min: orNull({ ...NUMBER, description: "of the numbers" }),
  max: orNull(NUMBER),
  mean: orNull(NUMBER),
  distinct: orNull({ ...COUNT, description: "null when there are too many to count" }),
  modes: orNull({
    ...listSchema(objectSchema({ value: TEXT, count: COUNT })),
    description: "the commonest first; null when there are too many to count, or to tell",
  }),
};
export const COLUMN_SCHEMA = objectSchema(COLUMN_FIELDS);

/** What is left for all columns of a file together. */
export interface ColumnBudget {
  distinct: number;
  /** Of modes that are told. */
  modeChars: number;
  /** That are described. */
  columns: number;
}

export function columnBudget(): ColumnBudget {
  return { distinct: DISTINCT_IN_ALL, modeChars: MODE_CHARS_IN_ALL, columns: MAX_COLUMNS };
}

/** Counts one column's values as they pass. */
export class ColumnStatistics {
  readonly #budget: ColumnBudget;
  readonly #types = new Map<CellType, number>();
  readonly #values = new Map<string, number>();
  #isCounting = true;
  #missing = 0;
  #numbers = 0;
  #sum = 0;
  /** What the sum lost in rounding (Neumaier): a mean of many small values next to large ones stays right. */
  #lost = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  constructor(budget: ColumnBudget) {
    this.#budget = budget;
  }

  /** A cell of a table that is text: what it holds is told from how it is written. */
  add(raw: string): void {
    const cell = raw.trim();
    if (isMissing(cell)) {
      this.#missing += 1;
      return;
    }
    const type = typeOfCell(cell);
    this.#addPresent(type, type === "integer" || type === "number" ? Number(cell) : undefined, cell);
  }

  addCell(cell: Cell | undefined): void {
    if (cell === undefined) this.#missing += 1;
    else this.#addPresent(cell.type, cell.number, cell.text);
  }

  addMissing(count: number): void {
    this.#missing += count;
  }

  /** Of a value that has no words, such as bytes. */
  addOpaque(): void {
    this.#addPresent("text", undefined, "");
    this.#stopCounting();
  }

  #addPresent(type: CellType, value: number | undefined, text: string): void {
    this.#types.set(type, (this.#types.get(type) ?? 0) + 1);
    if (value !== undefined) this.#addNumber(value);
    if (this.#isCounting) this.#countValue(text);
  }

  #addNumber(value: number): void {
    if (!Number.isFinite(value)) return;
    this.#numbers += 1;
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  #countValue(cell: string): void {
    const key = cell.length > VALUE_CHARS ? cell.slice(0, VALUE_CHARS) : cell;
    const count = this.#values.get(key);
    if (count !== undefined) this.#values.set(key, count + 1);
    else if (this.#values.size < DISTINCT_PER_COLUMN && this.#budget.distinct > 0) {
      this.#budget.distinct -= 1;
      // A copy: a slice would keep all the text it was cut from.
      this.#values.set(Buffer.from(key).toString(), 1);
    } else this.#stopCounting();
  }

  #stopCounting(): void {
    this.#isCounting = false;
    this.#budget.distinct += this.#values.size;
    this.#values.clear();
  }

  record(name: string): RecordData {
    const counts = [...this.#types];
    const mean = (this.#sum + this.#lost) / this.#numbers;
    const modes = this.#modes();
    return {
      name: name.toWellFormed(),
      type: this.#type(),
      types: Object.fromEntries(counts),
      count: counts.reduce((sum, [, count]) => sum + count, 0),
      missing: this.#missing,
      // JSON has no minus zero: + 0 makes it the other.
      min: this.#numbers > 0 ? this.#min + 0 : null,
      max: this.#numbers > 0 ? this.#max + 0 : null,
      mean: this.#numbers > 0 && Number.isFinite(mean) ? mean : null,
      distinct: this.#isCounting ? this.#values.size : null,
      modes,
    };
  }

  #modes(): readonly RecordData[] | null {
    if (!this.#isCounting || this.#budget.modeChars <= 0) return null;
    const modes = [...this.#values].toSorted(([, a], [, b]) => b - a).slice(0, MODES);
    for (const [value] of modes) this.#budget.modeChars -= value.length;
    return modes.map(([value, count]) => ({ value, count }));
  }

  #type(): CellType | "empty" {
    const found = [...this.#types.keys()];
    if (found.length === 0) return "empty";
    if (found.length === 1) return found[0] ?? "text";
    return found.every((type) => type === "integer" || type === "number") ? "number" : "text";
  }
}
