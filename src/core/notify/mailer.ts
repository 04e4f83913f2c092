export interface Mail {
  /** Identifies the mail: a delivery that is repeated bears the same one (RFC 5322 §3.6.4). Without angle brackets. */
  readonly messageId: string;
  /** One address. What is none, or holds more than an address, is refused before anything is sent. */
  readonly to: string;
  /** `Name <address>`, or an address. */
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly html?: string;
}

/**
 * Hands mails to a mail server.
 *
 * Adapter: `adapters/mail/smtp.ts`. Contract: `test/adapters/mail-smtp.test.ts` against a real SMTP server.
 */
export interface Mailer {
  /**
   * Resolves when the server has taken the mail.
   * @throws AppError mail_refused: this mail will never be taken (bad address, 5xx). remote_unavailable: try again later.
   */
  send(mail: Mail, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
