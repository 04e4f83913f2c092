import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isMailAddress } from "../../../src/core/notify/address.ts";
import { filled, filledHtml, PLACES, type PlaceValues, readTemplates } from "../../../src/core/notify/templates.ts";

const values = (given: Partial<PlaceValues>) =>
  ({ ...Object.fromEntries(PLACES.map((place) => [place, ""])), ...given }) as PlaceValues;

describe("templates of notices", () => {
  test("have named places, and doubled braces for braces, as Python's str.format has them", () => {
    // python3 -c 'print("{{{resource_id}}} {{doi}} }}{{".format(resource_id="r"))'
    assert.equal(filled("{{{resource_id}}} {{doi}} }}{{", values({ resource_id: "r" })), "{r} {doi} }{");
  });

  test("take values as they are: what looks like a place in one is none", () => {
    assert.equal(filled("{resource_id}|{doi}", values({ resource_id: "{doi}$&", doi: "{{" })), "{doi}$&|{{");
  });

  test("in HTML show values as text", () => {
    const html = filledHtml(
      "<p>{resource_id}</p>{doi_body_html}",
      values({ resource_id: `<b a="1">&'`, doi_body_html: "<i>d</i>" }),
    );
    assert.equal(html, "<p>&lt;b a=&quot;1&quot;&gt;&amp;&#39;</p><i>d</i>");
  });

  test("are the built-in ones where a file gives none", () => {
    const given = readTemplates('{"subject":"S {doi}"}', "t.json");
    assert.equal(given.subject, "S {doi}");
    assert.equal(given.text, readTemplates(undefined, "").text);
    assert.match(given.text, /\{link\}/);
  });

  test("are refused at start when they cannot be used", () => {
    for (const json of [
      "{",
      "[]",
      '{"subjects":"x"}',
      '{"subject":1}',
      '{"subject":"{unknown}"}',
      '{"subject":"{"}',
      '{"subject":"a } b"}',
      '{"text":"{resource_id!r}"}',
      '{"text":"{}"}',
    ])
      assert.throws(() => readTemplates(json, "t.json"), { code: "config_invalid" }, json);
  });
});

test("a mail address is one address and nothing else", () => {
  for (const good of [
    "a@b",
    "ada.lovelace+portal@example.org",
    "o'brien@example.co.uk",
    "ÅSE@exämple.org",
    "標本@例え.jp",
    "a@[192.0.2.1]",
    "x_y@sub-domain.example.org",
  ])
    assert.ok(isMailAddress(good), good);
  for (const bad of [
    "",
    "a",
    "a@",
    "@b",
    "a@b@c",
    "a b@c",
    "a@b c",
    ".a@b",
    "a.@b",
    "a..b@c",
    "a@-b",
    "a@b-",
    "a@b..c",
    "a@b\n",
    "a,b@c",
    "<a@b>",
  ])
    assert.ok(!isMailAddress(bad), bad);
  // A pattern that reads this in more than one way would never come to its end.
  assert.equal(isMailAddress(`${"a.".repeat(120)}@${"b-".repeat(60)}`), false);
});
