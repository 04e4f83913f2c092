/** Options of both generations of the Python SDK, in TypeScript's spelling. */
export interface XtractEndpointOptions {
  /** `globus`; or `local`, which says the same of this machine. */
  readonly repoType: string;
  /**
   * Id of a Globus collection. It means folders of the server's own when it is the server's collection, and whatever it is
   * when the server has no way to Globus.
   */
  readonly globusEpId: string;
  /** Absolute in the collection; or endpoints' URLs (`s3://bucket/prefix`, `archive:`, …), whatever the collection. */
  readonly dirs: readonly string[];
  readonly grouper: string;
  /** Folder of the server that records are written to, as one JSON file for each family. */
  readonly metadataDirectory?: string;
  /** What `metadataDirectory` was called before. */
  readonly localMdataPath?: string;
  /** Sent on and not needed: extractors run where the server is. */
  readonly funcxEpId?: string;
}

/** Where to crawl, and where what is extracted there goes. */
export class XtractEndpoint {
  readonly repoType: string;
  readonly globusEpId: string;
  readonly dirs: readonly string[];
  readonly grouper: string;
  readonly metadataDirectory: string | undefined;
  readonly funcxEpId: string | undefined;

  constructor(options: XtractEndpointOptions) {
    this.repoType = options.repoType;
    this.globusEpId = options.globusEpId;
    this.dirs = options.dirs;
    this.grouper = options.grouper;
    this.metadataDirectory = options.metadataDirectory ?? options.localMdataPath;
    this.funcxEpId = options.funcxEpId;
  }
  get localMdataPath(): string | undefined {
    return this.metadataDirectory;
  }
}
