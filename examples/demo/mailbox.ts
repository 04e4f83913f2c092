import { type AddressInfo, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

export interface Mailbox {
  readonly port: number;
  /** The next mail to arrive, or one that nobody has taken yet: its subject and its plain text. */
  next(): Promise<{ readonly subject: string; readonly text: string }>;
  stop(): void;
}

/** The least of a mail server (RFC 5321) that mails can be sent to: it takes whatever comes, for anybody. */
export async function openMailbox(): Promise<Mailbox> {
  const arrived: string[] = [];
  let wake = () => {};

  async function converse(socket: Socket): Promise<void> {
    const say = (line: string) => socket.write(`${line}\r\n`);
    const mail: string[] = [];
    let isData = false;
    say("220 demo ready");
    for await (const line of createInterface({ input: socket })) {
      if (isData && line !== ".") {
        mail.push(line.replace(/^\./, "")); // §4.5.2: a dot that begins a line was doubled
      } else if (isData) {
        isData = false;
        arrived.push(mail.splice(0).join("\n"));
        wake();
        say("250 taken");
      } else if (/^DATA/i.test(line)) {
        isData = true;
        say("354 go on, end with a dot");
      } else if (/^QUIT/i.test(line)) {
        say("221 bye");
        socket.end();
      } else say("250 demo");
    }
  }

  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("close", () => sockets.delete(socket)));
    converse(socket).catch((error: Error) => socket.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async next() {
      for (;;) {
        const mail = arrived.shift();
        if (mail !== undefined) return { subject: /^Subject: (.*)$/m.exec(mail)?.[1] ?? "", text: plainText(mail) };
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The first part of a mail, as readers show it (quoted-printable, RFC 2045 §6.7). */
function plainText(mail: string): string {
  const boundary = /boundary="([^"]+)"/.exec(mail)?.[1];
  const part = boundary === undefined ? mail : (mail.split(`--${boundary}`)[1] ?? "").trimStart();
  const cut = part.indexOf("\n\n");
  const [head, body] = [part.slice(0, cut), part.slice(cut + 2).trim()];
  if (!/quoted-printable/i.test(head)) return body;
  const bytes = body
    .replaceAll(/=\n/g, "")
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
