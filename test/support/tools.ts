import { spawnSync } from "node:child_process";

/**
 * Whether a foreign tool is on this machine; for the `skip` of tests that compare with it.
 * @param probe a command that succeeds when the tool is there. @param origin where to get it.
 * @returns `false`, or why the test is skipped. With `LONGSHORE_TEST_TOOLS=required` a missing tool is an error instead:
 * the full check installs them all, and must not pass because one is gone.
 */
export function without(tool: string, probe: readonly [string, ...string[]], origin: string): string | false {
  const [program, ...words] = probe;
  if (spawnSync(program, words, { stdio: "ignore" }).status === 0) return false;
  const reason = `${tool} is not on this machine (${origin})`;
  if (process.env.LONGSHORE_TEST_TOOLS === "required") throw new Error(reason);
  return reason;
}
