import { Counter, Histogram, type Registry } from "prom-client";

/** Seconds: most requests take milliseconds, uploads may take days. */
const REQUEST_BUCKETS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600, 86_400];

/** What the servers of this process serve. */
export function httpMeters(registers: Registry[]) {
  const requests = new Histogram({
    name: "longshore_http_request_duration_seconds",
    help: "Requests served, from the first byte of the head to the last of the answer; status is the class, or aborted.",
    labelNames: ["method", "route", "status"],
    buckets: REQUEST_BUCKETS,
    registers,
  });
  const received = new Counter({
    name: "longshore_received_bytes_total",
    help: "Bytes of bundles received.",
    registers,
  });
  const labelNames = ["what"];
  const sent = new Counter({
    name: "longshore_sent_bytes_total",
    help: "Bytes of downloads sent, by what is downloaded: file, cart or package.",
    labelNames,
    registers,
  });
  const begun = new Counter({
    name: "longshore_downloads_total",
    help: "Downloads begun with their first byte.",
    labelNames,
    registers,
  });
  const broken = new Counter({
    name: "longshore_downloads_aborted_total",
    help: "Downloads, or parts of them, that ended before their last byte.",
    labelNames,
    registers,
  });

  return {
    received: (bytes: number) => received.inc(bytes),
    download: (what: "file" | "cart" | "package") => ({
      begun: () => begun.inc({ what }),
      sent: (bytes: number) => sent.inc({ what }, bytes),
      broken: () => broken.inc({ what }),
    }),
    request({ method, route, status, durationMs }: ServedRequest) {
      const answered = status === undefined ? "aborted" : `${Math.floor(status / 100)}xx`;
      requests.observe({ method, route, status: answered }, durationMs / 1000);
    },
  };
}

export interface ServedRequest {
  readonly method: string;
  readonly route: string;
  readonly status: number | undefined;
  readonly durationMs: number;
}
