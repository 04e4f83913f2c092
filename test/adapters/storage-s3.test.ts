import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { STAGING } from "../../src/adapters/storage/fs/layout.ts";
import { s3ObjectStorage } from "../../src/adapters/storage/s3.ts";
import { objectStorageConformance } from "../conformance/object-storage.ts";
import { type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";

const BUCKET = "longshore";
const isMissing = withoutS3();

if (isMissing) test("an archive in S3", { skip: isMissing }, () => {});
else withServer(await startS3Server());

function withServer(server: S3Server): void {
  const { url, accessKeyId, secretAccessKey } = server;
  const access = { endpoint: url, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } };
  const settings = { ...access, pathStyle: true };
  let client: S3Client;
  before(async () => {
    client = new S3Client({ ...access, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    client.destroy();
    await server.stop();
  });

  async function leftBehind(prefix: string): Promise<readonly string[]> {
    const staging = { Bucket: BUCKET, Prefix: `${prefix}/${STAGING}` };
    const { Contents = [] } = await client.send(new ListObjectsV2Command(staging));
    const parts = { Bucket: BUCKET, Prefix: `${prefix}/` };
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(parts));
    return [...Contents, ...Uploads].map(({ Key = "" }) => Key);
  }

  objectStorageConformance(
    "s3",
    async () => {
      const prefix = randomUUID();
      const isHeldBack = (path: string) => !path.includes("/");
      return {
        open: () => s3ObjectStorage({ place: `${BUCKET}/${prefix}`, settings, isHeldBack }),
        leftovers: () => leftBehind(prefix),
      };
    },
    { manyFiles: 1_300 },
  );
}
