import { Writable } from "node:stream";
import { type Logger, pino, stdTimeFunctions } from "pino";
import type { Config } from "./settings/config.ts";

/** One logger for the whole process, on standard error: standard output is for results. */
export function openLog(config: Pick<Config, "logLevel" | "logFormat">): Logger {
  const options = { level: config.logLevel, base: null, timestamp: stdTimeFunctions.isoTime };
  return config.logFormat === "text" ? pino(options, asText(process.stderr)) : pino(options, process.stderr);
}

const LEVELS: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};

/** Turns pino's lines into lines for people: time, level, message, then the other fields as `name=value`. */
function asText(target: NodeJS.WritableStream): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      const { time, level, msg, err, ...fields } = JSON.parse(line);
      const rest = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
      const stack = err?.stack ? `\n${err.stack}` : "";
      target.write(`${[time, (LEVELS[level] ?? level).padEnd(5), msg, ...rest].join(" ")}${stack}\n`);
      done();
    },
  });
}

function shown(value: unknown): string {
  return typeof value === "string" && !/\s/.test(value) ? value : JSON.stringify(value);
}
