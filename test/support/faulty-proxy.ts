import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";

/** A TCP proxy whose connections break or stall on demand: what networks do, on real sockets. */
export interface FaultyProxy {
  readonly url: string;
  /** Connections that were broken so far. */
  readonly cuts: number;
  /** Bytes that went to the server so far. */
  readonly sentBytes: number;
  /** Bytes that came from the server and were passed on so far. */
  readonly receivedBytes: number;
  /** Every new connection is broken once `bytes()` have passed through it, both directions together. */
  cutAfter(bytes: () => number): void;
  /** Once this many bytes in all have gone to the server, no more do. @returns when that has happened. */
  stallAfter(bytes: number): Promise<void>;
  /**
   * What goes to the server next and has this in it is answered there, and its connection broken before the answer comes
   * through: nobody here knows whether it has been done. @returns when that has happened.
   */
  loseAnswer(to: string): Promise<void>;
  /** Every connection is broken, and every new one, as long as it lasts. */
  sever(): void;
  /** No more faults; what was held back goes on. */
  heal(): void;
  close(): Promise<void>;
}

export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let cutAfter: () => number = () => Number.POSITIVE_INFINITY;
  let stallAfter = Number.POSITIVE_INFINITY;
  let stalled = Promise.withResolvers<void>();
  let healed = Promise.withResolvers<void>();
  let cuts = 0;
  let sentBytes = 0;
  let receivedBytes = 0;

  let isSevered = false;
  let losing: { readonly to: string; readonly lost: () => void } | undefined;

  const server = createServer((client) => {
    if (isSevered) {
      cuts++;
      client.destroy();
      return;
    }
    const upstream = dial(Number(port), hostname);
    const limit = cutAfter();
    let passed = 0;
    let whenAnswered: (() => void) | undefined;
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {}); // a broken connection is what this is for
      socket.on("close", () => {
        sockets.delete(socket);
        peer.destroy();
      });
      socket.on("end", () => peer.end());
    }
    function forward(chunk: Buffer, to: Socket): void {
      const rest = chunk.subarray(0, Math.max(0, limit - passed));
      const isTaken = to.write(rest);
      if (to === client) {
        receivedBytes += rest.length;
        // A client that reads no more is sent no more: otherwise all it has asked for would count as received.
        if (!isTaken) client.once("drain", () => upstream.resume());
        if (!isTaken) upstream.pause();
      }
      passed += chunk.length;
      if (passed < limit || client.destroyed) return;
      cuts++;
      client.destroy();
      upstream.destroy();
    }
    client.on("data", async (chunk: Buffer) => {
      if (sentBytes >= stallAfter) {
        client.pause();
        stalled.resolve();
        await healed.promise;
        client.resume();
      }
      if (losing && chunk.includes(losing.to)) {
        whenAnswered = losing.lost;
        losing = undefined;
      }
      sentBytes += chunk.length;
      forward(chunk, upstream);
    });
    upstream.on("data", (chunk: Buffer) => {
      if (!whenAnswered) return forward(chunk, client);
      cuts++;
      client.destroy();
      upstream.destroy();
      whenAnswered();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
    get sentBytes() {
      return sentBytes;
    },
    get receivedBytes() {
      return receivedBytes;
    },
    cutAfter(bytes) {
      cutAfter = bytes;
    },
    stallAfter(bytes) {
      stallAfter = bytes;
      stalled = Promise.withResolvers();
      healed = Promise.withResolvers();
      return stalled.promise;
    },
    loseAnswer: (to) =>
      new Promise((lost) => {
        losing = { to, lost };
      }),
    sever() {
      isSevered = true;
      for (const socket of sockets) socket.destroy();
    },
    heal() {
      isSevered = false;
      cutAfter = () => Number.POSITIVE_INFINITY;
      stallAfter = Number.POSITIVE_INFINITY;
      losing = undefined;
      healed.resolve();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
