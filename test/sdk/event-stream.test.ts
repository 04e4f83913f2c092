import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventStream } from "../../src/sdk/event-stream.ts";

async function read(...chunks: (string | Uint8Array)[]) {
  const bytes = (async function* () {
    for (const chunk of chunks) yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
  })();
  return Array.fromAsync(eventStream(bytes));
}

describe("event stream reader", () => {
  // The examples of WHATWG HTML §9.2.6 "Interpreting an event stream" and the outcomes it states for them.
  test("lines of data are joined", async () => {
    assert.deepEqual(await read("data: YHOO\ndata: +2\ndata: 10\n\n"), [
      { id: undefined, event: "message", data: "YHOO\n+2\n10" },
    ]);
  });

  test("comments are passed over, an id is kept, an empty id resets it, one blank after the colon goes", async () => {
    const text = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert.deepEqual(await read(text), [
      { id: "1", event: "message", data: "first event" },
      { id: "", event: "message", data: "second event" },
      { id: "", event: "message", data: " third event" },
    ]);
  });

  test("a message without its closing blank line is dropped, and data may be empty", async () => {
    assert.deepEqual(
      (await read("data\n\ndata\ndata\n\ndata:")).map(({ data }) => data),
      ["", "\n"],
    );
  });

  test("wherever the bytes are cut and however lines end, the messages are the same", async () => {
    const bytes = new TextEncoder().encode(
      "id: 7\r\nevent: note\r\ndata: Grüße 🚢\r\n\r\nevent: end\rdata: {}\r\rid: 8\n\n",
    );
    const whole = await read(bytes);
    assert.deepEqual(whole, [
      { id: "7", event: "note", data: "Grüße 🚢" },
      { id: "7", event: "end", data: "{}" },
    ]);
    for (let cut = 0; cut <= bytes.length; cut++)
      assert.deepEqual(await read(bytes.subarray(0, cut), bytes.subarray(cut)), whole, `cut at ${cut}`);
    assert.deepEqual(await read(...[...bytes].map((byte) => Uint8Array.of(byte))), whole);
  });
});
