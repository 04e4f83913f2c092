import { randomUUID } from "node:crypto";
import { after, before, type TestContext } from "node:test";
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { STAGING } from "../../src/adapters/storage/fs/layout.ts";
import { s3ObjectStorage } from "../../src/adapters/storage/s3.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { type S3Proxy, s3Proxy } from "./s3-proxy.ts";
import { BUCKET, type S3Server } from "./s3-server.ts";

type Parts = Parameters<typeof s3ObjectStorage>[0];

export interface S3Archives {
  readonly client: S3Client;
  readonly settings: Parts["settings"];
  /** One that nothing lies at: bucket and prefix. */
  newPlace(): string;
  /** An archive, closed after the test: at a new place, on the server, as far as nothing else is said. */
  opened(t: TestContext, parts?: Partial<Parts> & { readonly url?: string }): Promise<ObjectStorage>;
  /** A proxy before the server, closed after the test. */
  meddling(t: TestContext): Promise<S3Proxy>;
  /** Up to 1,000, below the place. */
  keysAt(place: string): Promise<readonly string[]>;
  /** Markers, notes, what is held back, and parts of objects that were never put together. */
  leftBehind(place: string): Promise<readonly string[]>;
}

/** Archives in a bucket of a real server, which is stopped after the file's tests. */
export function s3Archives(server: S3Server): S3Archives {
  const { url: endpoint, accessKeyId, secretAccessKey } = server;
  const access = { endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } };
  const settings = { ...access, pathStyle: true };
  const client = new S3Client({ ...access, forcePathStyle: true });
  before(async () => {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    client.destroy();
    await server.stop();
  });
  const newPlace = () => `${BUCKET}/${randomUUID()}`;
  const below = (place: string, more = "") => ({ Bucket: BUCKET, Prefix: `${place.slice(BUCKET.length + 1)}/${more}` });

  return {
    client,
    settings,
    newPlace,
    async opened(t, { place = newPlace(), url = endpoint, ...more } = {}) {
      const at = { ...settings, endpoint: url };
      const storage = await s3ObjectStorage({ place, settings: at, isHeldBack: isAtTop, ...more });
      t.after(() => storage.close());
      return storage;
    },
    async meddling(t) {
      const proxy = await s3Proxy(endpoint);
      t.after(() => proxy.close());
      return proxy;
    },
    async keysAt(place) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command(below(place)));
      return Contents.map(({ Key = "" }) => Key.slice(below(place).Prefix.length));
    },
    async leftBehind(place) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command(below(place, STAGING)));
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(below(place)));
      return [...Contents, ...Uploads].map(({ Key = "" }) => Key);
    },
  };
}

/** What an archive holds back until an object is published. */
export const isAtTop = (path: string) => !path.includes("/");
