import { type Cell, ExactNumber } from "./rows.ts";

/**
 * A cell in a file of text: nothing for null; booleans as `True` and `False`, as ckanpackager's users know them; lists and
 * objects as JSON.
 */
export function cellText(cell: Cell): string {
  if (typeof cell === "string") return cell;
  if (cell === null) return "";
  if (typeof cell === "boolean") return cell ? "True" : "False";
  return jsonText(cell);
}

/** JSON with every digit of exact numbers, and letters of any script as they are. */
export function jsonText(cell: Cell): string {
  if (cell === null || typeof cell !== "object") return JSON.stringify(cell);
  if (cell instanceof ExactNumber) return cell.text;
  if (Array.isArray(cell)) return `[${cell.map(jsonText).join(",")}]`;
  const members = Object.entries(cell).map(([key, value]) => `${JSON.stringify(key)}:${jsonText(value)}`);
  return `{${members.join(",")}}`;
}
