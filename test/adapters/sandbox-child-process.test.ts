import { childProcessSandbox } from "../../src/adapters/sandbox/child-process.ts";
import { MISBEHAVING, sandboxConformance } from "../conformance/sandbox.ts";

sandboxConformance("child process", (making) =>
  childProcessSandbox({ ...making, modules: new Map([["misbehaving", MISBEHAVING]]) }),
);
