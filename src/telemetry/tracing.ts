import type { Archive } from "../core/archive/archive.ts";
import type { CatalogueStore } from "../core/catalogue/catalogue-store.ts";
import type { TaskTracker } from "../core/jobs/task-tracker.ts";
import { type JobHandler, PutOff } from "../core/jobs/worker.ts";
import type { OutboxChannel } from "../core/outbound/outbox-delivery.ts";
import { type Span, type Tracer, traced, withinTrace } from "../core/tracing.ts";

/** Work with spans around it. What it is part of comes with the job and with the message, through the database. */
export function tracing(tracer: Tracer) {
  const tracedJob = (handler: JobHandler): JobHandler => ({
    ...handler,
    async run(context) {
      const { id, kind, lane, attempts, trace } = context.job;
      const facts = {
        "longshore.job.id": id,
        "longshore.job.kind": kind,
        "longshore.job.lane": lane,
        "longshore.job.attempt": attempts,
      };
      const span = tracer.begin(`job ${kind}`, { kind: "consumer", parent: trace ?? null, facts });
      const steps = tracedTasks(tracer, context.tasks, span);
      try {
        const result = await withinTrace(span.trace, () => handler.run({ ...context, tasks: steps.tasks }));
        steps.end();
        span.end();
        return result;
      } catch (error) {
        // To wait is no failure.
        const outcome = error instanceof PutOff ? { facts: { "longshore.job.put_off_ms": error.pauseMs } } : { error };
        steps.end(outcome);
        span.end(outcome);
        throw error;
      }
    },
  });

  return {
    handlers: (handlers: Readonly<Record<string, JobHandler>>) =>
      Object.fromEntries(Object.entries(handlers).map(([kind, handler]) => [kind, tracedJob(handler)])),

    channels: (channels: Readonly<Record<string, OutboxChannel>>) =>
      Object.fromEntries(
        Object.entries(channels).map(([channel, inner]): [string, OutboxChannel] => [
          channel,
          {
            ...inner,
            deliver: (message, signal) =>
              traced(
                tracer,
                `deliver ${channel}`,
                { kind: "consumer", parent: message.trace ?? null, facts: { "longshore.message.channel": channel } },
                () => inner.deliver(message, signal),
              ),
          },
        ]),
      ),

    archive: (archive: Archive): Archive => ({
      ...archive,
      publish: (tree, object) => traced(tracer, "archive publish", {}, () => archive.publish(tree, object)),
    }),

    catalogue: (store: CatalogueStore): CatalogueStore => ({
      ...store,
      add: (...what) => traced(tracer, "catalogue add", {}, () => store.add(...what)),
    }),
  };
}

/** The job's tasks as steps of its span: each lasts until the next begins. */
function tracedTasks(tracer: Tracer, tasks: TaskTracker, job: Span) {
  let step: Span | undefined;
  const end = (outcome?: Parameters<Span["end"]>[0]) => {
    step?.end(outcome);
    step = undefined;
  };
  return {
    end,
    tasks: {
      ...tasks,
      async begin(name, total) {
        end();
        await tasks.begin(name, total);
        step = tracer.begin(`task ${name}`, { parent: job.trace });
      },
    } satisfies TaskTracker as TaskTracker,
  };
}
