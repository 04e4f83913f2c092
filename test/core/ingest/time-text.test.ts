import assert from "node:assert/strict";
import { test } from "node:test";
import { timeText } from "../../../src/core/ingest/time-text.ts";

// Expected values: GNU `date -u -d '<text>' +%FT%TZ` with TZ=UTC where it reads the text.
test("times are read as UTC unless they name a zone, wherever the server is", () => {
  const times = {
    "2020-09-13T12:26:40": "2020-09-13T12:26:40.000Z",
    "2020-09-13 12:26:40": "2020-09-13T12:26:40.000Z",
    "2020-09-13T12:26": "2020-09-13T12:26:00.000Z",
    "2020-09-13": "2020-09-13T00:00:00.000Z",
    "2020-09-13T12:26:40.123456": "2020-09-13T12:26:40.123Z",
    "2020-09-13T12:26:40Z": "2020-09-13T12:26:40.000Z",
    "2020-09-13T12:26:40+02:00": "2020-09-13T10:26:40.000Z",
    "2020-09-13 12:26:40 +0200": "2020-09-13T10:26:40.000Z",
    "2024-02-29": "2024-02-29T00:00:00.000Z",
    "Tue Nov 29 14:09:05 PST 2016": "2016-11-29T22:09:05.000Z",
    "Tue Nov 29 14:09:05 2016": "2016-11-29T14:09:05.000Z",
    "Tue Nov  1 14:09:05 UTC 2016": "2016-11-01T14:09:05.000Z",
    "Tue, 29 Nov 2016 14:09:05 GMT": "2016-11-29T14:09:05.000Z",
    "29 Nov 2016 14:09:05 +0100": "2016-11-29T13:09:05.000Z",
  };
  const zone = process.env.TZ;
  try {
    for (const place of ["UTC", "America/Los_Angeles", "Asia/Tokyo"]) {
      process.env.TZ = place;
      for (const [text, time] of Object.entries(times)) assert.equal(timeText(text), time, `${text} in ${place}`);
    }
  } finally {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  }
});

test("what is not a time beyond doubt is kept as the depositor wrote it", () => {
  for (const text of [
    "yesterday",
    "1600000000",
    "12",
    "Version 3",
    "2020-13-01",
    "2020-02-31",
    "2023-02-29T10:00:00",
    "2020-09-13T25:00:00",
    "13.09.2020 12:26",
    "09/13/2020",
    "Tue Nov 29 14:09:05 XYZ 2016",
  ])
    assert.equal(timeText(text), text);
});
