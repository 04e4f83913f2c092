/** What a generated field of an expression means, worked out while its text is put together, not by reading it. */
export interface GeneratedField {
  readonly text: string;
  readonly values: ReadonlySet<number>;
  readonly starred: boolean;
}

export interface Generated {
  readonly text: string;
  readonly fields: readonly [GeneratedField, GeneratedField, GeneratedField, GeneratedField, GeneratedField];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Valid expressions of all forms that crontab(5) has; many with few times, as people write them. */
export function generateExpression(random: (below: number) => number): Generated {
  const fields: Generated["fields"] = [
    field(0, 59, []),
    field(0, 23, []),
    field(1, 31, []),
    field(1, 12, MONTHS),
    field(0, 7, DAYS),
  ];
  return { text: fields.map(({ text }) => text).join(" "), fields };

  function field(first: number, last: number, names: readonly string[]): GeneratedField {
    const values = new Set<number>();
    const form = random(10);
    const items = form < 4 ? ["*"] : Array.from({ length: 1 + random(form === 9 ? 4 : 2) }, item);
    if (form < 4) add(first, last, 1);
    return { text: items.join(","), values, starred: items[0]?.startsWith("*") ?? false };

    function item(): string {
      const from = first + random(last - first + 1);
      const to = from + random(last - from + 1);
      const step = 1 + random(random(4) === 0 ? 70 : 12);
      switch (random(5)) {
        case 0:
          add(first, last, step);
          return `*/${step}`;
        case 1:
          add(from, to, 1);
          return `${spelled(from)}-${spelled(to)}`;
        case 2:
          add(from, to, step);
          return `${spelled(from)}-${spelled(to)}/${step}`;
        default:
          add(from, from, 1);
          return spelled(from);
      }
    }

    function add(from: number, to: number, step: number): void {
      for (let value = from; value <= to; value += step) values.add(last === 7 ? value % 7 : value);
    }

    function spelled(value: number): string {
      const name = names[value - first];
      if (name === undefined || random(2) === 0) return random(8) === 0 ? `0${value}` : `${value}`;
      return random(2) === 0 ? name : name.toUpperCase();
    }
  }
}
