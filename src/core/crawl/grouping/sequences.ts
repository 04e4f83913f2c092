import type { Details } from "../../errors.ts";
import { stemOf } from "../names.ts";
import type { Group } from "./groups.ts";

/** A name as text around a number: `shot.0007.dpx` is `shot.`, `0007`, `.dpx`. */
interface Reading {
  readonly head: string;
  readonly digits: string;
  readonly tail: string;
}

interface Frame {
  readonly file: number;
  readonly digits: string;
}

/** Files whose names differ in one number. */
interface Series extends Pick<Reading, "head" | "tail"> {
  readonly frames: Frame[];
}

/** Longer ones are no frame numbers, and not exact as numbers. */
const MOST_DIGITS = 15;
const MOST_GAPS_TOLD = 100;

/**
 * Numbered frames: `shot.0001.dpx`, `shot.0002.dpx`, … A name's number is the last one in its stem that tells it from
 * another file: in `scan_003_1024x768.png` the `003`. Numbers are padded as `printf("%04d")` does it, and each padding is a
 * sequence of its own: `shot.1.dpx` is not of the one above, `shot.10000.dpx` is. A number that fits two goes with the wider
 * padding. Frames that are missing between the first and the last are told; a single frame is no sequence.
 */
export function frameSequences(names: readonly string[]): readonly Group[] {
  // Names are read twice: a folder may have a million, and this way not more than a few words are kept of each.
  const likes = new Map<string, number>();
  for (const name of names) for (const key of readingsOf(name).map(keyOf)) likes.set(key, (likes.get(key) ?? 0) + 1);

  const alone: number[] = [];
  const series = new Map<string, Series>();
  for (const [file, name] of names.entries()) {
    const reading = readingsOf(name).find((one) => (likes.get(keyOf(one)) ?? 0) > 1);
    if (!reading) {
      alone.push(file);
      continue;
    }
    const { head, digits, tail } = reading;
    const known = series.get(keyOf(reading)) ?? { head, tail, frames: [] };
    known.frames.push({ file, digits });
    series.set(keyOf(reading), known);
  }

  const groups: Group[] = [];
  for (const { head, tail, frames: numbered } of series.values()) {
    const paddings = paddingsOf(numbered);
    for (const [padding, frames] of Map.groupBy(numbered, ({ digits }) => paddingOf(digits, paddings))) {
      const name = `${head}%${padding > 1 ? `0${padding}` : ""}d${tail}`;
      if (frames.length > 1) groups.push(sequence(name, frames));
      else alone.push(...frames.map(({ file }) => file));
    }
  }
  return [...groups, ...alone.map((file) => ({ files: [file], kind: "file" }))];
}

/** Every number of the stem, last first. */
function readingsOf(name: string): readonly Reading[] {
  const stem = stemOf(name);
  // `frame.0001`, whose ending is the number.
  const searched = /^\d+$/.test(name.slice(stem.length + 1)) ? name : stem;
  return [...searched.matchAll(/\d+/g)]
    .filter(([digits]) => digits.length <= MOST_DIGITS)
    .map(({ 0: digits, index }) => ({ head: name.slice(0, index), digits, tail: name.slice(index + digits.length) }))
    .reverse();
}

function keyOf({ head, tail }: Reading): string {
  return `${head}\0${tail}`;
}

/** Widths that zeros in front give away, widest first. */
function paddingsOf(series: readonly Frame[]): readonly number[] {
  const widths = series.filter(({ digits }) => digits.startsWith("0")).map(({ digits }) => digits.length);
  return [...new Set(widths)].filter((width) => width > 1).sort((a, b) => b - a);
}

/** The widest padding that would print the number so; 1 is none. */
function paddingOf(digits: string, paddings: readonly number[]): number {
  if (digits.startsWith("0")) return digits.length;
  return paddings.find((width) => width <= digits.length) ?? 1;
}

function sequence(name: string, frames: readonly Frame[]): Group {
  const sorted = frames.toSorted((a, b) => Number(a.digits) - Number(b.digits));
  const numbers = sorted.map(({ digits }) => Number(digits));
  return { files: sorted.map(({ file }) => file), kind: "sequence", details: { name, ...gapsIn(numbers) } };
}

/** @param numbers in order, each once. `gaps` are the first hundred, both ends included. */
function gapsIn(numbers: readonly number[]): Details {
  const first = numbers[0] ?? 0;
  const last = numbers.at(-1) ?? 0;
  const gaps: number[][] = [];
  for (const [at, number] of numbers.entries()) {
    const before = numbers[at - 1] ?? number - 1;
    if (number > before + 1 && gaps.length < MOST_GAPS_TOLD) gaps.push([before + 1, number - 1]);
  }
  return { first, last, missing: last - first + 1 - numbers.length, gaps };
}
