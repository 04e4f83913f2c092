import { after, test } from "node:test";
import { searchIndexConformance } from "../conformance/search-index.ts";
import { openIndexes, withoutEngine } from "../support/opensearch-server.ts";

const isMissing = withoutEngine("elasticsearch");

// What is the adapter's own is tested with OpenSearch.
if (isMissing) test("searches in Elasticsearch", { skip: isMissing }, () => {});
else {
  const engine = await openIndexes("elasticsearch");
  after(() => engine.stop());
  searchIndexConformance("elasticsearch", () => engine.open());
}
