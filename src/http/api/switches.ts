import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { SUBSYSTEMS, subjectOf } from "../../core/switches/switch.ts";
import type { SwitchState } from "../../core/switches/switches.ts";
import type { ServerContext } from "../server-deps.ts";
import { pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

const Subject = z
  .string()
  .min(1)
  .max(4096)
  .default("all")
  .describe(`\`all\`, one of ${SUBSYSTEMS.join(", ")}, or an absolute path.`);

export const PauseBody = z.strictObject({
  switch: Subject,
  reason: z.string().min(1).max(1_000).exactOptional().describe("Why; shown to whoever is refused."),
});
export const ResumeBody = z.strictObject({ switch: Subject });

const SwitchSchema = z
  .object({
    id: z.string().describe("`all`, a subsystem, or a path that is paused."),
    running: z.boolean().describe("Whether it may run at this moment."),
    stoppedBy: z
      .object({
        switch: z.string().describe("The pause that holds it: its own, a wider one, or what the control file decides."),
        by: z.string().nullable().describe("Who paused it; null: the control file."),
        reason: z.string().nullable(),
        since: z.iso.datetime().nullable().describe("ISO 8601 in UTC."),
      })
      .nullable(),
  })
  .meta({ id: "Switch", description: "Whether a part of Longshore may run." });

const switchOnWire = ({ subject, halt }: SwitchState): z.output<typeof SwitchSchema> => ({
  id: subject,
  running: halt === undefined,
  stoppedBy: halt
    ? {
        switch: halt.subject,
        by: halt.by,
        reason: halt.reason,
        since: halt.since === null ? null : isoTime(halt.since),
      }
    : null,
});

const Switches = pageOf(SwitchSchema);

export const switchRoutes =
  ({ switches, audit }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const page = async () => ({ items: (await switches.list()).map(switchOnWire), next: null });

    app.get(
      "/switches",
      {
        config: { scope: "read" },
        schema: {
          tags: ["switches"],
          summary: "What may run: everything, each subsystem, and every path that is paused",
          querystring: NoQuery,
          response: { 200: Switches, ...problems },
        },
      },
      page,
    );

    app.post(
      "/switches/pause",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["switches"],
          summary: "Pause everything, a subsystem, or work on a path",
          description:
            "Jobs wait, those under way stop at their next step, and new requests are answered with 503 `paused`. Nothing is " +
            "lost.",
          querystring: NoQuery,
          body: PauseBody,
          response: { 200: Switches, ...problems },
        },
      },
      async ({ principal, body }) => {
        const subject = subjectOf(body.switch);
        await switches.pause(subject, principal.name, body.reason);
        await audit.record(principal.name, "switch.pause", `switch/${subject}`, { reason: body.reason ?? null });
        return page();
      },
    );

    app.post(
      "/switches/resume",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["switches"],
          summary: "Take a pause back",
          description:
            "Another pause, or the control file, may still stop it: the answer tells. Repeated, it does nothing.",
          querystring: NoQuery,
          body: ResumeBody,
          response: { 200: Switches, ...problems },
        },
      },
      async ({ principal, body }) => {
        const subject = subjectOf(body.switch);
        if (await switches.resume(subject)) await audit.record(principal.name, "switch.resume", `switch/${subject}`);
        return page();
      },
    );
  };
