import { z } from "zod";
import { httpUrl, text } from "./setting-forms.ts";

/** How S3 is spoken to, whatever is kept there; a part of `STORE_SETTINGS`. */
export const S3_SETTINGS = {
  LONGSHORE_S3_ENDPOINT: httpUrl
    .optional()
    .describe("S3 server, when it is not Amazon's: https://s3.example.org. All s3:// addresses are on it."),
  LONGSHORE_S3_REGION: text.prefault("us-east-1").describe("Region that requests to it are signed for."),
  LONGSHORE_S3_ACCESS_KEY_ID: text
    .optional()
    .describe("Access key for it. What the AWS SDK finds on the machine when not set."),
  LONGSHORE_S3_SECRET_ACCESS_KEY: text.optional().describe("The access key's secret.").meta({ secret: true }),
  LONGSHORE_S3_PATH_STYLE: z
    .enum(["true", "false"])
    .optional()
    .describe(
      "Whether buckets are named in the path, not in the host's name: true or false. true when not set and there is an endpoint.",
    ),
} as const;

export function s3Config(e: z.output<z.ZodObject<typeof S3_SETTINGS>>) {
  const { LONGSHORE_S3_ACCESS_KEY_ID: accessKeyId, LONGSHORE_S3_SECRET_ACCESS_KEY: secretAccessKey } = e;
  const hasKey = accessKeyId !== undefined && secretAccessKey !== undefined;
  const hasEndpoint = e.LONGSHORE_S3_ENDPOINT !== undefined;
  return {
    endpoint: e.LONGSHORE_S3_ENDPOINT,
    region: e.LONGSHORE_S3_REGION,
    credentials: hasKey ? { accessKeyId, secretAccessKey } : undefined,
    pathStyle: e.LONGSHORE_S3_PATH_STYLE === undefined ? hasEndpoint : e.LONGSHORE_S3_PATH_STYLE === "true",
  } as const;
}
