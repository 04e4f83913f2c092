import { createTransport } from "nodemailer";
import { AppError } from "../../core/errors.ts";
import { requireMailAddress } from "../../core/notify/address.ts";
import type { Mailer } from "../../core/notify/mailer.ts";

const CONNECT_MS = 15_000;
const SILENCE_MS = 60_000;
const CONNECTIONS = 4;
/** What a mail under way is still given when the process ends. */
const ENDING_MS = 5_000;

/**
 * A mail server over SMTP (RFC 5321), connections kept for further mails.
 *
 * @param url `smtp://user:password@host:587` (STARTTLS whenever the server offers it; `?requireTLS=true` insists on it) or
 * `smtps://host:465`. Certificates are checked; `?tls.rejectUnauthorized=false` does without.
 */
export function smtpMailer({ url }: { readonly url: string }): Mailer {
  const address = new URL(url);
  const transport = createTransport({
    url: address.href,
    pool: true,
    maxConnections: CONNECTIONS,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    // A mail is made of texts: nothing of it may name files or addresses to be fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  return {
    async send({ messageId, to, from, subject, text, html }, signal) {
      requireMailAddress(to);
      signal.throwIfAborted();
      const sending = transport.sendMail({
        messageId: `<${messageId}>`,
        to: { name: "", address: to },
        from: sender(oneLine(from)),
        subject: oneLine(subject),
        text,
        ...(html === undefined ? {} : { html }),
      });
      const over = new AbortController();
      try {
        await Promise.race([sending, ending(signal, over.signal)]);
      } catch (error) {
        sending.catch(() => undefined);
        throw error === signal.reason ? error : translated(error, address.host);
      } finally {
        over.abort();
      }
    },
    async close() {
      transport.close();
    },
  };
}

/** Line ends would begin another header. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]+/g, " ").trim();
}

/** Rejects some time after the abort: what is nearly done is let to its end, so that it is not done twice. */
function ending(signal: AbortSignal, over: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const aborted = () => void setTimeout(() => reject(signal.reason), ENDING_MS).unref();
    signal.addEventListener("abort", aborted, { once: true, signal: over });
  });
}

/**
 * What stands before the last angle bracket is a name whatever it holds: a colon of a host's port would begin a group of
 * addresses there, a comma another sender (RFC 5322 §3.4).
 */
function sender(from: string): { readonly name: string; readonly address: string } {
  const [, name = "", address = from] = /^(.*)<([^<>]*)>$/.exec(from) ?? [];
  return { name: name.trim().replace(/^"(.*)"$/, "$1"), address: address.trim() };
}

interface SmtpError {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly message: string;
}

/**
 * 5yz about sender, recipient or content is for ever (RFC 5321 §4.2.1). A refused login, a full server or a broken
 * connection is not about this mail: it waits.
 */
function translated(thrown: unknown, server: string): AppError {
  const error = thrown as SmtpError;
  const status = error.responseCode ?? 0;
  const isAboutMail = error.code === "EENVELOPE" || error.code === "EMESSAGE";
  const isForever = isAboutMail && status >= 500 && status < 600 && status !== 503;
  const reason = error.response ?? error.code ?? error.message;
  return new AppError(isForever ? "mail_refused" : "remote_unavailable", { server, reason }, { cause: thrown });
}
