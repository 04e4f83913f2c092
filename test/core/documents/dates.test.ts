import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dateMath, dateReader } from "../../../src/core/documents/dates.ts";

const iso = (epochMs: number | undefined) => (epochMs === undefined ? undefined : new Date(epochMs).toISOString());

describe("dates", () => {
  // Elasticsearch's reference, "format": each example, and what `date -u -d` makes of it.
  const READ: readonly (readonly [formats: string, text: string, expected: string | undefined])[] = [
    ["strict_date_optional_time", "2024-05-01", "2024-05-01T00:00:00.000Z"],
    ["strict_date_optional_time", "2024-05", "2024-05-01T00:00:00.000Z"],
    ["strict_date_optional_time", "2024", "2024-01-01T00:00:00.000Z"],
    ["strict_date_optional_time", "2024-05-01T10", "2024-05-01T10:00:00.000Z"],
    ["strict_date_optional_time", "2024-05-01T10:11:12.123456789Z", "2024-05-01T10:11:12.123Z"],
    ["strict_date_optional_time", "2024-05-01T10:11:12+02:00", "2024-05-01T08:11:12.000Z"],
    ["strict_date_optional_time", "2024-05-01T10:11:12-0330", "2024-05-01T13:41:12.000Z"],
    ["strict_date_optional_time", "2024-5-1", undefined],
    ["strict_date_optional_time", "2024-05-01 10:11:12", undefined],
    ["strict_date_optional_time", "2023-02-29", undefined],
    ["strict_date_optional_time", "2024-02-29T24:00", undefined],
    ["date_optional_time", "2024-5-1T9:01", "2024-05-01T09:01:00.000Z"],
    ["epoch_millis", "1714557600000", "2024-05-01T10:00:00.000Z"],
    ["epoch_second", "-1", "1969-12-31T23:59:59.000Z"],
    ["epoch_second", "1714557600", "2024-05-01T10:00:00.000Z"],
    ["epoch_millis", "soon", undefined],
    ["yyyy-MM-dd HH:mm:ss||epoch_millis", "2024-05-01 10:11:12", "2024-05-01T10:11:12.000Z"],
    ["yyyy-MM-dd HH:mm:ss||epoch_millis", "0", "1970-01-01T00:00:00.000Z"],
    ["dd/MM/yyyy", "01/05/2024", "2024-05-01T00:00:00.000Z"],
    ["yyyy.MM.dd", "2024x05x01", undefined],
    ["d.M.yyyy 'um' H:mm", "1.5.2024 um 9:07", "2024-05-01T09:07:00.000Z"],
    ["basic_date_time_no_millis", "20240501T101112Z", "2024-05-01T10:11:12.000Z"],
  ];
  for (const [formats, text, expected] of READ)
    test(`${formats} reads ${text} as ${expected ?? "none"}`, () =>
      assert.equal(iso(dateReader(formats)(text)), expected));

  test("formats that cannot be read are refused by name", () => {
    for (const format of ["QQ", "", "yyyy-MM-dd[", "yyyy yyyy", "strict_week", "'open"])
      assert.throws(() => dateReader(format), { code: "document_index_invalid" }, format);
  });
});

describe("date math", () => {
  const read = dateReader("strict_date_optional_time||yyyy.MM.dd||yyyy-MM");
  const at = (text: string, end = false, now = "2001-01-01T12:00:00Z", offsetMinutes = 0) =>
    iso(dateMath(text, read, { now: Date.parse(now), end, offsetMinutes }));

  // Elasticsearch's reference, "Date math": with now at 2001-01-01 12:00:00.
  const EXAMPLES: Readonly<Record<string, string>> = {
    "now+1h": "2001-01-01T13:00:00.000Z",
    "now-1h": "2001-01-01T11:00:00.000Z",
    "now-1h/d": "2001-01-01T00:00:00.000Z",
    "2001.02.01||+1M/d": "2001-03-01T00:00:00.000Z",
    now: "2001-01-01T12:00:00.000Z",
    "now-14d/d": "2000-12-18T00:00:00.000Z",
    "now/w": "2001-01-01T00:00:00.000Z", // `cal`: a Monday
    "now-1d/w": "2000-12-25T00:00:00.000Z",
    "2001-03-31||-1M": "2001-02-28T00:00:00.000Z",
    "2000-02-29||+1y": "2001-02-28T00:00:00.000Z",
    "now/y": "2001-01-01T00:00:00.000Z",
    "now-2m+30s": "2001-01-01T11:58:30.000Z",
  };
  for (const [text, expected] of Object.entries(EXAMPLES)) test(`${text}`, () => assert.equal(at(text), expected));

  // The same, "Range query", on rounding and on parts that are missing.
  test("an upper bound is the end of what is rounded or left out", () => {
    assert.equal(at("2014-11-18||/M"), "2014-11-01T00:00:00.000Z");
    assert.equal(at("2014-11-18||/M", true), "2014-11-30T23:59:59.999Z");
    assert.equal(at("now/d", true), "2001-01-01T23:59:59.999Z");
    assert.equal(at("2014-11-18", true), "2014-11-18T23:59:59.999Z");
    assert.equal(at("2099-12", true), "2099-12-01T23:59:59.999Z");
    assert.equal(at("2014-11-18T10:20", true), "2014-11-18T10:20:59.999Z");
  });

  test("days begin in the zone that is named", () => {
    // TZ=Europe/Paris in winter: `date -u -d '2001-01-02 00:00 +0100'`
    assert.equal(at("now/d", false, "2001-01-01T23:30:00Z", 60), "2001-01-01T23:00:00.000Z");
    assert.equal(at("2001-01-02", false, "2001-01-01T23:30:00Z", 60), "2001-01-01T23:00:00.000Z");
    assert.equal(at("2001-01-02T00:00Z", false, "2001-01-01T23:30:00Z", 60), "2001-01-02T00:00:00.000Z");
  });

  test("what is no date math is none", () => {
    for (const text of ["now+", "now+1x", "nowish", "2001||+1d1", "soon", "now/", "", "||+1d"])
      assert.equal(at(text), undefined, text);
  });
});
