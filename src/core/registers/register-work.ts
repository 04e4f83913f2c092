import { AppError, type Details } from "../errors.ts";
import { asOwner, type BuiltIns } from "../schedules/built-in.ts";
import type { Registers } from "./registers.ts";

const LIMIT = 200;

/**
 * A register's entries as what schedules can poll: those of one status, the oldest first, get another one, whose action then
 * begins. So requests of a day wait for the night.
 */
export function registerWork(registers: Pick<Registers, "each" | "change">): BuiltIns {
  return {
    register: {
      summary: "give entries of a register their next status: register, from, to, at most limit of them (200)",
      check: (input) => {
        pollOf(input);
      },
      async run(input, { owner, signal, print }) {
        const { register, from, to, limit } = pollOf(input);
        const principal = asOwner(owner);
        let changed = 0;
        for await (const { id, version } of registers.each(principal, register, { status: from })) {
          if (changed === limit) break;
          signal.throwIfAborted();
          try {
            await registers.change(principal, register, id, { from, to, version, reason: "by schedule" });
          } catch (error) {
            // Somebody was quicker: it is taken care of, or no longer wanted.
            if (error instanceof AppError && (error.code === "entry_conflict" || error.code === "entry_unknown"))
              continue;
            throw error;
          }
          changed += 1;
          await print(`entry ${id}: ${to}`);
        }
        return { changed };
      },
    },
  };
}

/** @throws AppError schedule_invalid. */
function pollOf(input: Details) {
  const { register, from, to, limit = LIMIT, ...others } = input;
  const refuse = (field: string, expected: string) =>
    new AppError("schedule_invalid", { action: "register", field, expected });
  for (const field of Object.keys(others)) throw refuse(field, "register, from, to, limit");
  if (typeof register !== "string" || register === "") throw refuse("register", "the name of a register");
  if (typeof from !== "string" || from === "") throw refuse("from", "the status that entries have");
  if (typeof to !== "string" || to === "") throw refuse("to", "the status that they are given");
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1)
    throw refuse("limit", "a whole number above 0");
  return { register, from, to, limit };
}
