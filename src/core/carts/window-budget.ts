const KIB = 1024;

/** A download that runs alone reads so much at a time; more is no faster. */
export const LARGEST_WINDOW = 1024 * KIB;
/** Less than this is never given: reading would cost more than it saves. */
export const SMALLEST_WINDOW = 64 * KIB;
/** A window takes at most this part of what is left, so that those who come first leave something to the others. */
const PART = 16;

/** Memory for windows, shared by all downloads of a process: few of them read much at a time, many read little. */
export interface WindowBudget {
  /**
   * Memory for one window: a power of two, at most `wanted`. Nobody waits for it: when nothing is left, what is given is
   * the smallest window, beyond the budget.
   */
  take(wanted: number): number;
  giveBack(sizeBytes: number): void;
  /** So little is left that nobody should read further ahead than it sends. */
  readonly scarce: boolean;
}

export function windowBudget(totalBytes: number): WindowBudget {
  let left = totalBytes;
  return {
    take(wanted) {
      const given = Math.max(SMALLEST_WINDOW, powerOfTwo(Math.min(wanted, LARGEST_WINDOW, left / PART)));
      left -= given;
      return given;
    },
    giveBack(sizeBytes) {
      left += sizeBytes;
    },
    get scarce() {
      return left < SMALLEST_WINDOW;
    },
  };
}

/** The largest one that is not larger; 0 below 1. */
function powerOfTwo(bytes: number): number {
  return bytes < 1 ? 0 : 2 ** Math.floor(Math.log2(bytes));
}
