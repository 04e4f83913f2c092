/** What is counted of one download. */
export interface DownloadMeter {
  /** It begins with the first byte. */
  begun(): void;
  sent(bytes: number): void;
  /** The connection ended before the last byte. */
  broken(): void;
}

export interface ServedRequest {
  readonly method: string;
  /** The route's pattern, never the path: paths have ids in them. */
  readonly route: string;
  /** `undefined`: the client left before the answer was complete. */
  readonly status: number | undefined;
  readonly durationMs: number;
}

/** What servers count, and what they show of everything that is counted in this process: see `src/telemetry`. */
export interface Metrics {
  /** Counts bytes of bundles as they come in. */
  received(bytes: number): void;
  download(what: "file" | "cart" | "package"): DownloadMeter;
  /** Counts a request that is over. */
  request(served: ServedRequest): void;
  readonly contentType: string;
  /** Prometheus text exposition. */
  render(): Promise<string>;
}
