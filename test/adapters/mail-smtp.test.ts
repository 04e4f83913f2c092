import assert from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import { smtpMailer } from "../../src/adapters/mail/smtp.ts";
import { AppError } from "../../src/core/errors.ts";
import type { Mail, Mailer } from "../../src/core/notify/mailer.ts";
import { headOf, type MailServer, mailServer, smtpError } from "../support/mail-server.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  while (open.length > 0) await open.pop()?.close();
});
after(() => assert.equal(open.length, 0));

async function serve(options?: Parameters<typeof mailServer>[0]): Promise<MailServer> {
  const server = await mailServer(options);
  open.push(server);
  return server;
}
function mailer(url: string): Mailer {
  const made = smtpMailer({ url });
  open.push(made);
  return made;
}

const never = new AbortController().signal;
const MAIL: Mail = {
  messageId: "order.1@longshore.example",
  to: "ada@example.org",
  from: "Portal <portal@example.org>",
  subject: "Ready",
  text: "It is ready.\n",
  html: "<p>It is ready.</p>",
};
const refusedWith = (code: string) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

describe("mail over SMTP", () => {
  test("arrives as text and HTML, with sender, recipient, date and its own id", async () => {
    const server = await serve();
    await mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`).send(MAIL, never);
    const [mail] = server.received;
    assert.ok(mail);
    assert.deepEqual([mail.from, mail.to], ["portal@example.org", ["ada@example.org"]]);
    assert.equal(headOf(mail, "From"), "Portal <portal@example.org>");
    assert.equal(headOf(mail, "To"), "ada@example.org");
    assert.equal(headOf(mail, "Subject"), "Ready");
    assert.equal(headOf(mail, "Message-ID"), "<order.1@longshore.example>");
    assert.ok(Math.abs(Date.parse(headOf(mail, "Date") ?? "") - Date.now()) < 60_000);
    assert.match(headOf(mail, "Content-Type") ?? "", /^multipart\/alternative/);
    assert.ok(mail.source.indexOf("text/plain") < mail.source.indexOf("text/html"));
    assert.match(mail.source, /\r\nIt is ready\.\r\n/);
  });

  test("is encrypted as soon as the server offers it, and not sent when its certificate is not to be trusted", async () => {
    const server = await serve();
    await mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`).send(MAIL, never);
    assert.equal(server.received[0]?.isEncrypted, true);
    await assert.rejects(
      mailer(`smtp://127.0.0.1:${server.port}`).send(MAIL, never),
      refusedWith("remote_unavailable"),
    );
    assert.equal(server.received.length, 1);
  });

  test("is not sent in the clear when encryption is required", async () => {
    const server = await serve({ disabledCommands: ["AUTH", "STARTTLS"] });
    await assert.rejects(
      mailer(`smtp://127.0.0.1:${server.port}?requireTLS=true`).send(MAIL, never),
      refusedWith("remote_unavailable"),
    );
    await mailer(`smtp://127.0.0.1:${server.port}`).send(MAIL, never);
    assert.deepEqual(
      server.received.map(({ isEncrypted }) => isEncrypted),
      [false],
    );
  });

  test("logs in with the credentials of the address; a refused login is no refused mail", async () => {
    const server = await serve({
      disabledCommands: [],
      authOptional: false,
      onAuth: ({ username, password }, _session, done) =>
        username === "port al" && password === "s:e@cret" ? done(null, { user: 1 }) : done(smtpError(535, "no")),
    });
    const at = `@127.0.0.1:${server.port}?tls.rejectUnauthorized=false`;
    await mailer(`smtp://port%20al:s%3Ae%40cret${at}`).send(MAIL, never);
    assert.equal(server.received.length, 1);
    await assert.rejects(mailer(`smtp://portal:wrong${at}`).send(MAIL, never), refusedWith("remote_unavailable"));
  });

  test("a mailbox that does not exist refuses it for good, a greylisting one for now", async () => {
    const server = await serve({
      refuse: (recipient) => {
        if (recipient.startsWith("gone")) throw smtpError(550, "no such user");
        if (recipient.startsWith("grey")) throw smtpError(451, "try again later");
      },
    });
    const sender = mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`);
    await assert.rejects(sender.send({ ...MAIL, to: "gone@example.org" }, never), refusedWith("mail_refused"));
    await assert.rejects(sender.send({ ...MAIL, to: "grey@example.org" }, never), refusedWith("remote_unavailable"));
    await sender.send(MAIL, never);
    assert.equal(server.received.length, 1);
  });

  test("a server that is down is unavailable, and has the mail once it is up again", async () => {
    const server = await serve();
    const { port } = server;
    const sender = mailer(`smtp://127.0.0.1:${port}?tls.rejectUnauthorized=false`);
    await sender.send(MAIL, never);
    await server.close();
    await assert.rejects(sender.send(MAIL, never), refusedWith("remote_unavailable"));
    const again = await serve({ at: port });
    await sender.send(MAIL, never);
    assert.equal(again.received.length, 1);
  });

  test("nothing in it makes another header, another recipient or a file's content", async () => {
    const server = await serve();
    const sender = mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`);
    for (const to of [
      "a@example.org\r\nBcc: b@example.org",
      "a@example.org, b@example.org",
      "a@example.org;b@example.org",
      "Ada <a@example.org>",
      "a@example.org\0",
      "a b@example.org",
      '"a\r\n"@example.org',
      "@example.org",
      "a@",
      "a@b@example.org",
      "a@exa_mple.org",
      "<a@example.org>",
      "",
      `${"a".repeat(300)}@example.org`,
    ])
      await assert.rejects(sender.send({ ...MAIL, to }, never), refusedWith("mail_refused"), to);
    assert.equal(server.received.length, 0);

    await sender.send(
      {
        ...MAIL,
        from: "Portal\r\nBcc: evil@example.org <portal@example.org>",
        subject: "Ready\r\nBcc: evil@example.org\r\n\r\nbody",
        text: "\r\n.\r\nMAIL FROM:<evil@example.org>\r\n",
      },
      never,
    );
    const [mail] = server.received;
    assert.ok(mail);
    assert.deepEqual(mail.to, ["ada@example.org"]);
    assert.equal(headOf(mail, "Bcc"), undefined);
    assert.equal(headOf(mail, "Subject"), "Ready Bcc: evil@example.org body");
  });

  test("comes from one address, whatever stands before it", async () => {
    const server = await serve();
    const sender = mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`);
    // As RFC 5322 §3.2.4 quotes: `:` and `,` are specials, which would make a group or a list.
    const heads = {
      "Data of 127.0.0.1:5000 <p@example.org>": '"Data of 127.0.0.1:5000" <p@example.org>',
      "evil@example.net, <p@example.org>": '"evil@example.net," <p@example.org>',
      "Ada <evil@example.net> <p@example.org>": '"Ada <evil@example.net>" <p@example.org>',
      '"Data, Ltd" <p@example.org>': '"Data, Ltd" <p@example.org>',
      "p@example.org": "p@example.org",
    };
    for (const [from, head] of Object.entries(heads)) {
      await sender.send({ ...MAIL, from }, never);
      const mail = server.received.at(-1);
      assert.ok(mail);
      assert.deepEqual([mail.from, headOf(mail, "From")], ["p@example.org", head]);
    }
  });

  test("names and addresses of any script arrive", async () => {
    const server = await serve();
    const sender = mailer(`smtp://127.0.0.1:${server.port}?tls.rejectUnauthorized=false`);
    await sender.send(
      { ...MAIL, to: "ada@exämple.org", from: "Müseum <m@example.org>", subject: "Größe – 標本" },
      never,
    );
    const [mail] = server.received;
    assert.ok(mail);
    assert.deepEqual(mail.to, ["ada@exämple.org"]);
    // RFC 2047, decoded by hand: base64 or Q of UTF-8.
    const decoded = (headOf(mail, "Subject") ?? "")
      .replaceAll(/\?=\s+=\?/g, "?==?")
      .replaceAll(/=\?UTF-8\?([BQ])\?([^?]*)\?=/gi, (_whole, kind: string, text: string) =>
        kind.toUpperCase() === "B"
          ? Buffer.from(text, "base64").toString()
          : Buffer.from(
              text
                .replaceAll("_", " ")
                .replaceAll(/=([0-9A-F]{2})/gi, (_m, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
              "latin1",
            ).toString(),
      );
    assert.equal(decoded, "Größe – 標本");
  });

  test("hundreds go over a few connections", async () => {
    const server = await serve({ disabledCommands: ["AUTH", "STARTTLS"] });
    const sender = mailer(`smtp://127.0.0.1:${server.port}`);
    const mails = Array.from({ length: 300 }, (_, n) => ({ ...MAIL, messageId: `m${n}@x` }));
    await Promise.all(mails.map((mail) => sender.send(mail, never)));
    assert.equal(new Set(server.received.map((mail) => headOf(mail, "Message-ID"))).size, 300);
    assert.ok(server.connections() <= 20, `${server.connections()} connections`);
  });

  test("is not begun once the sender has stopped", async () => {
    const server = await serve();
    const reason = new Error("stopped");
    const sender = mailer(`smtp://127.0.0.1:${server.port}`);
    await assert.rejects(sender.send(MAIL, AbortSignal.abort(reason)), reason);
    assert.equal(server.connections(), 0);
  });
});
