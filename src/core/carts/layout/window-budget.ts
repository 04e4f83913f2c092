const KIB = 1024;

/** What a download that runs alone reads at a time; more is no faster. */
export const LARGEST_WINDOW = 1024 * KIB;
/** Less than this is never given: reading would cost more than it saves. */
export const SMALLEST_WINDOW = 64 * KIB;
/** A window takes at most this part of what is to be had, so that those who come first leave something to the others. */
const PART = 8;

/** Memory for windows, shared by all downloads of a process: few of them read much at a time, many read little. */
export interface WindowBudget {
  /**
   * Memory for one window, a power of two of bytes that may hold anything; `wanted` at most. Nobody waits for it: when
   * nothing is left, it is the smallest window, beyond the budget.
   */
  take(wanted: number): Uint8Array<ArrayBuffer>;
  /** Memory that nobody looks at any more: it is used again. */
  giveBack(memory: Uint8Array<ArrayBuffer>): void;
  /** Memory that somebody may still look at: it no longer counts, and is left to the garbage collector. */
  leave(sizeBytes: number): void;
  /** So little is left that nobody should read further ahead than the next window. */
  readonly scarce: boolean;
}

/** @param totalBytes of all windows, and of the memory that waits to be used again. */
export function windowBudget(totalBytes: number): WindowBudget {
  /** Of the total, not taken; negative when more was taken. */
  let left = totalBytes;
  /** By size, all of it together not more than `left`. */
  const spare = new Map<number, Uint8Array<ArrayBuffer>[]>();
  let spareBytes = 0;
  /** The other half is for many small windows. */
  const plenty = () => left - totalBytes / 2;

  function reuse(sizeBytes: number): Uint8Array<ArrayBuffer> | undefined {
    const memory = spare.get(sizeBytes)?.pop();
    if (memory) spareBytes -= sizeBytes;
    return memory;
  }

  return {
    take(wanted) {
      const sizeBytes = Math.max(SMALLEST_WINDOW, powerOfTwo(Math.min(wanted, LARGEST_WINDOW, plenty() / PART)));
      left -= sizeBytes;
      const memory = reuse(sizeBytes) ?? Buffer.allocUnsafeSlow(sizeBytes);
      for (const other of spare.keys()) while (spareBytes > left && drop(reuse(other)));
      return memory;
    },
    giveBack(memory) {
      const sizeBytes = memory.byteLength;
      left += sizeBytes;
      if (spareBytes + sizeBytes > left) {
        drop(memory);
        return;
      }
      const others = spare.get(sizeBytes);
      if (others) others.push(memory);
      else spare.set(sizeBytes, [memory]);
      spareBytes += sizeBytes;
    },
    leave(sizeBytes) {
      left += sizeBytes;
    },
    get scarce() {
      return plenty() < SMALLEST_WINDOW;
    },
  };
}

/** Frees it now: the garbage collector would let tens of MiB pile up first. @returns whether there was anything. */
function drop(memory: Uint8Array<ArrayBuffer> | undefined): boolean {
  memory?.buffer.transfer(0);
  return memory !== undefined;
}

/** The largest one that is not larger; 0 below 1. */
function powerOfTwo(bytes: number): number {
  return bytes < 1 ? 0 : 2 ** Math.floor(Math.log2(bytes));
}
