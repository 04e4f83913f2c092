import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came: heads, a blank line, the body. */
  readonly source: string;
  readonly isEncrypted: boolean;
}

export interface MailServer {
  readonly port: number;
  readonly received: ReceivedMail[];
  readonly connections: () => number;
  close(): Promise<void>;
}

/** A real SMTP server on this machine that keeps what it gets. `refuse` may throw to answer with an error of its own. */
export async function mailServer(
  options: SMTPServerOptions & { readonly refuse?: (recipient: string) => void; readonly at?: number } = {},
): Promise<MailServer> {
  const { refuse, at = 0, ...rest } = options;
  const received: ReceivedMail[] = [];
  let connections = 0;
  const server = new SMTPServer({
    authOptional: true,
    closeTimeout: 100,
    disabledCommands: ["AUTH"],
    onConnect: (_session, done) => {
      connections++;
      done();
    },
    onRcptTo({ address }, _session, done) {
      try {
        refuse?.(address);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    onData(stream, session, done) {
      text(stream).then((source) => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom ? mailFrom.address : "",
          to: rcptTo.map(({ address }) => address),
          source,
          isEncrypted: session.secure,
        });
        done();
      }, done);
    },
    ...rest,
  });
  server.on("error", () => undefined); // a client that breaks off is part of some tests
  await new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** A refusal as an SMTP server spells it. */
export function smtpError(code: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode: code });
}

/** Value of a head, unfolded. */
export function headOf(mail: ReceivedMail, name: string): string | undefined {
  const heads = (mail.source.split("\r\n\r\n")[0] ?? "").replaceAll(/\r\n[ \t]+/g, " ").split("\r\n");
  const head = heads.find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return head?.slice(name.length + 1).trim();
}
