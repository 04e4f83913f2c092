import assert from "node:assert/strict";
import { test } from "node:test";
import { effectiveSettings, loadConfig } from "../../src/settings/config.ts";

const engineOf = (url: string) => loadConfig({ LONGSHORE_SEARCH_URL: url }).searchEngine;

test("the address of a search engine ends with the name that its indexes begin with", () => {
  assert.deepEqual(engineOf("http://127.0.0.1:9200"), { url: "http://127.0.0.1:9200", prefix: "longshore" });
  assert.deepEqual(engineOf("https://ada:s%20t@search.example.org:9200/archive"), {
    url: "https://ada:s%20t@search.example.org:9200",
    prefix: "archive",
  });
  assert.deepEqual(engineOf("http://proxy/opensearch/"), { url: "http://proxy/opensearch", prefix: "longshore" });
  assert.deepEqual(engineOf("http://proxy/opensearch/a.b-1"), { url: "http://proxy/opensearch", prefix: "a.b-1" });
  assert.equal(loadConfig({}).searchEngine, undefined);
});

test("addresses that are none, and names that engines do not take, are refused without showing the password", () => {
  for (const url of ["search", "ftp://h/x", "http://h/Archive", "http://h/_all", "http://h/a*", "http://h/a?b=secret"])
    assert.throws(
      () => engineOf(url),
      ({ details }) => /^LONGSHORE_SEARCH_URL: expected (?!.*secret)/.test(details.problems[0]),
      url,
    );
});

test("the password of a search engine is masked", () => {
  const shown = effectiveSettings({ LONGSHORE_SEARCH_URL: "https://ada:secret@h:9200/x" });
  assert.equal(shown.find(({ name }) => name === "LONGSHORE_SEARCH_URL")?.value, "https://ada:********@h:9200/x");
});
