import type { RecordData } from "../extractor.ts";
import { COUNT, listSchema, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

/** Distinct values of all columns that are counted, for modes. */
const DISTINCT_IN_ALL = 200_000;
const DISTINCT_PER_COLUMN = 10_000;
const VALUE_CHARS = 200;
const MODES = 10;

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

export const COLUMN_SCHEMA = objectSchema({
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
  modes: orNull({ ...listSchema(objectSchema({ value: TEXT, count: COUNT })), description: "the commonest first" }),
});

export interface ColumnBudget {
  distinct: number;
}

/** What all columns of a table share. */
export function columnBudget(): ColumnBudget {
  return { distinct: DISTINCT_IN_ALL };
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

  add(raw: string): void {
    const cell = raw.trim();
    if (isMissing(cell)) {
      this.#missing += 1;
      return;
    }
    const type = typeOfCell(cell);
    this.#types.set(type, (this.#types.get(type) ?? 0) + 1);
    if (type === "integer" || type === "number") this.#addNumber(Number(cell));
    if (this.#isCounting) this.#countValue(cell);
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
    } else {
      this.#isCounting = false;
      this.#budget.distinct += this.#values.size;
      this.#values.clear();
    }
  }

  record(name: string): RecordData {
    const counts = [...this.#types];
    const mean = (this.#sum + this.#lost) / this.#numbers;
    const modes = [...this.#values].toSorted(([, a], [, b]) => b - a).slice(0, MODES);
    return {
      name: name.toWellFormed(),
      type: this.#type(),
      types: Object.fromEntries(counts),
      count: counts.reduce((sum, [, count]) => sum + count, 0),
      missing: this.#missing,
      min: this.#numbers > 0 ? this.#min : null,
      max: this.#numbers > 0 ? this.#max : null,
      mean: this.#numbers > 0 && Number.isFinite(mean) ? mean : null,
      distinct: this.#isCounting ? this.#values.size : null,
      modes: this.#isCounting ? modes.map(([value, count]) => ({ value, count })) : null,
    };
  }

  #type(): CellType | "empty" {
    const found = [...this.#types.keys()];
    if (found.length === 0) return "empty";
    if (found.length === 1) return found[0] ?? "text";
    return found.every((type) => type === "integer" || type === "number") ? "number" : "text";
  }
}
