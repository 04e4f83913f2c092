import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../core/clock.ts";
import { type Leading, leadership, whileLeading } from "../core/nodes/leadership.ts";
import type { LeaseStore } from "../core/nodes/leases.ts";
import type { Services, WorkLog } from "./services.ts";

/** A name that no other process has, nor had: one that was started anew must not take itself for the one that died. */
export function nodeName(): string {
  return `${hostname()}:${process.pid}:${randomBytes(3).toString("hex")}`;
}

/** Takes part in what one of all nodes does at a time, until it is stopped; then others follow at once. */
export function startDuties(
  services: Pick<Services, "node" | "startSchedules" | "startUpkeep" | "startLooks" | "indexingDuty">,
  leases: LeaseStore,
  clock: Clock,
  log: WorkLog & { duty?(duty: string, leads: boolean): void },
): { stop(): Promise<void> } {
  const { lead } = leadership({
    leases,
    node: services.node,
    clock,
    onTrouble: log.trouble,
    ...(log.duty && { onChange: log.duty }),
  });
  const indexing = services.indexingDuty(log);
  const duties: readonly Leading[] = [
    lead(
      "scheduler",
      whileLeading(() => services.startSchedules(log)),
    ),
    lead(
      "upkeep",
      whileLeading(() => services.startUpkeep(log)),
    ),
    lead(
      "drops",
      whileLeading(() => services.startLooks(log)),
    ),
    ...(indexing ? [lead("indexing", indexing)] : []),
  ];
  return {
    async stop() {
      await Promise.all(duties.map((duty) => duty.stop()));
    },
  };
}
