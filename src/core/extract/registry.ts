import { AppError } from "../errors.ts";
import type { ExtractorFacts } from "./extractions.ts";
import type { Sandbox } from "./sandbox.ts";
import { SNIFFER } from "./sniff.ts";

/**
 * Extractors, and where they run.
 *
 * Adapters: `adapters/sandbox/built-in.ts`, `adapters/sandbox/registered.ts`.
 */
export interface ExtractorSet {
  /** In an order that stays. None of their code runs in this process for it. */
  facts(): Promise<readonly ExtractorFacts[]>;
  /** Knows all that `facts` names. */
  readonly sandbox: Sandbox;
}

/** Those that an operator has added: each is a folder on the server. */
export interface RegisteredExtractors extends ExtractorSet {
  /**
   * Takes up the extractor of a folder when it passes its checks; from then on this is how it is known and run.
   * @param folder below the one in which all of them lie; `""` for each that lies there.
   * @throws AppError extractor_invalid: then, what was known of it before stays.
   */
  register(folder: string): Promise<readonly ExtractorFacts[]>;
}

/** All extractors that there are. */
export type Registry = RegisteredExtractors;

/**
 * Built-in extractors first; `registered` may not bear their names. A run of an extractor that none of them knows has
 * failed with `gone`: an operator may take one away at any time.
 */
export function extractorRegistry(builtIn: ExtractorSet, registered: RegisteredExtractors | undefined): Registry {
  return {
    async facts() {
      return [...(await builtIn.facts()), ...((await registered?.facts()) ?? [])];
    },
    async register(folder) {
      if (registered) return registered.register(folder);
      throw new AppError("extractor_invalid", { folder, hint: "LONGSHORE_EXTRACTORS is not set" });
    },
    sandbox: {
      async *run(run) {
        const { extractor, groups } = run;
        const knows = async (set: ExtractorSet) => (await set.facts()).some(({ name }) => name === extractor);
        if (registered && (await knows(registered))) yield* registered.sandbox.run(run);
        else if (extractor === SNIFFER || (await knows(builtIn))) yield* builtIn.sandbox.run(run);
        else
          for (const _ of groups)
            yield { reason: "gone", message: `The extractor "${extractor}" was taken away after it was asked for.` };
      },
      async close() {
        await Promise.all([builtIn.sandbox.close(), registered?.sandbox.close()]);
      },
    },
  };
}
