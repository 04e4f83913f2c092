const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** As `ctime(3)`, `date(1)` and RFC 5322 write times; only zones whose offset is beyond doubt. */
const WORDS =
  /^(?:[A-Z][a-z]{2},? )?(?:[A-Z][a-z]{2} [ \d]?\d|\d{1,2} [A-Z][a-z]{2})(?: \d{4})? \d\d:\d\d(?::\d\d)?( (?:UTC?|GMT|[ECMP][SD]T|[+-]\d{4}))?(?: \d{4})?$/;

/**
 * A depositor's time in ISO 8601 UTC. Written are `2020-09-13T12:26:40` (UTC without saying so), the same with a zone, or
 * `Tue Nov 29 14:09:05 PST 2016`. What cannot be read as a time beyond doubt is kept as it is: it is the depositor's word.
 */
export function timeText(text: string): string {
  const [, date, time = "00:00", zone = "Z"] = ISO.exec(text) ?? [];
  if (date !== undefined) return isDay(date) ? read(`${date}T${time}${zone}`, text) : text;
  const words = WORDS.exec(text);
  return words ? read(words[1] === undefined ? `${text} UTC` : text, text) : text;
}

/** `Date` would take the 31st of February for the 3rd of March. */
function isDay(date: string): boolean {
  if (Number(date.slice(8)) <= 28) return true;
  const day = new Date(`${date}T00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}

function read(time: string, otherwise: string): string {
  const epochMs = Date.parse(time);
  return Number.isNaN(epochMs) ? otherwise : new Date(epochMs).toISOString();
}
