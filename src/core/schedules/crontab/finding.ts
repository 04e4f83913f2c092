import { AppError } from "../../errors.ts";

/** Where a text begins: both from 1, the column in UTF-16 code units, as editors count. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What can be wrong with a crontab, or with times alone. Errors make all of it unusable; warnings are its author's to judge. */
export type FindingCode =
  // errors
  | "value_out_of_range"
  | "value_unknown"
  | "field_missing"
  | "macro_unknown"
  | "assignment_invalid"
  | "user_missing"
  | "user_unknown"
  | "command_too_long"
  | "line_unusable"
  | "zone_unknown"
  | "no_equivalent"
  | "option_unknown"
  // warnings
  | "never_fires"
  | "range_backwards"
  | "step_too_large"
  | "every_minute"
  | "extra_field"
  | "command_missing"
  | "percent_unescaped"
  | "redirect_typo"
  | "redirect_without_rights"
  | "log_overwritten"
  | "lock_missing"
  | "folder_of_file"
  | "user_unexpected"
  | "name_unusual"
  | "variable_literal"
  | "variable_fixed"
  | "carriage_return"
  | "newline_missing"
  | "option_dropped";

export interface Finding extends Position {
  readonly severity: "error" | "warning";
  readonly code: FindingCode;
  /** `minute`, `hour`, `day of month`, `month`, `day of week`, `user`, `command`, `environment`, `line`, or an option as `/sc`. */
  readonly field: string;
  /** As written, at most 80 characters of it. */
  readonly value: string;
  /** What may stand there: `0-59`, `0-7 or sun-sat`. */
  readonly expected: string;
  /** A sentence that says line, field, value and what was expected. */
  readonly message: string;
  readonly hint?: string;
}

const VALUE_CHARACTERS = 80;

/** @param about says what is wrong with the value, as in `minute "61" **is not 0-59**`. */
export function finding(
  severity: Finding["severity"],
  code: FindingCode,
  at: Position,
  what: { readonly field: string; readonly value: string; readonly expected: string },
  about: string,
  hint?: string,
): Finding {
  const value = what.value.length > VALUE_CHARACTERS ? `${what.value.slice(0, VALUE_CHARACTERS - 1)}…` : what.value;
  const named = value === "" ? what.field : `${what.field} "${value}"`;
  return {
    severity,
    code,
    line: at.line,
    column: at.column,
    field: what.field,
    value,
    expected: what.expected,
    message: `Line ${at.line}: ${named} ${about}.`,
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The same position, so many characters further on. */
export function further(at: Position, characters: number): Position {
  return { line: at.line, column: at.column + characters };
}

export function errorsOf(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ severity }) => severity === "error");
}

export function warningsOf(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ severity }) => severity === "warning");
}

/** All findings as one error, for those who cannot go on with them. */
export function crontabInvalid(findings: readonly Finding[]): AppError {
  const [first] = errorsOf(findings);
  return new AppError("crontab_invalid", {
    ...(first === undefined ? {} : { reason: first.message }),
    findings: findings.map((one) => ({ ...one })),
  });
}
