/** What a client has sent: values by name, and in which of the two ways. */
export interface SentForm {
  readonly fields: ReadonlyMap<string, string>;
  /** As the original's documentation has it, rather than as its clients do. */
  readonly isDocument: boolean;
}

/**
 * Reads a body: form fields, urlencoded or multipart, as the clients send them; a JSON object, URL-quoted or not, as the
 * documentation shows. Of a field that comes twice the first one counts; files are none.
 * @returns in words what is wrong with it, when it is neither. They tell nothing of its content, which holds a secret.
 */
export async function sentForm(body: Buffer, contentType: string | undefined): Promise<SentForm | string> {
  if (/^multipart\/form-data\b/i.test(contentType ?? "")) return multipart(body, contentType ?? "");
  const text = body.toString("utf8").trim();
  if (!/^(\{|%7B)/i.test(text)) return { fields: firstOfEach(new URLSearchParams(text)), isDocument: false };
  const fields = documentFields(text);
  return fields ? { fields, isDocument: true } : "The body is not a JSON object";
}

async function multipart(body: Buffer, contentType: string): Promise<SentForm | string> {
  try {
    const form = await new Response(new Uint8Array(body), { headers: { "content-type": contentType } }).formData();
    const texts = [...form].filter((entry): entry is [string, string] => typeof entry[1] === "string");
    return { fields: firstOfEach(texts), isDocument: false };
  } catch (error) {
    if (error instanceof TypeError) return "The body is not multipart/form-data"; // as the Fetch standard has it
    throw error;
  }
}

function documentFields(text: string): ReadonlyMap<string, string> | undefined {
  try {
    // Python's `quote` leaves no plus as it is, and its `quote_plus` makes one of a space.
    const json = text.startsWith("{") ? text : decodeURIComponent(text.replaceAll("+", " "));
    const members = Object.entries(JSON.parse(json) as Record<string, unknown>).filter(([, value]) => value !== null);
    return new Map(members.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof URIError) return undefined;
    throw error;
  }
}

function firstOfEach(entries: Iterable<readonly [string, string]>): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of entries) if (!fields.has(name)) fields.set(name, value);
  return fields;
}
