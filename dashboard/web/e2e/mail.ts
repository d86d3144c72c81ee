/** A mail server on this machine, and what it has taken in: Debian's python3-aiosmtpd, as the tests of notifications use it. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './system';

const START_MS = 30_000;

export class Mail {
  private constructor(private child: ChildProcess, private folder: string, private port: number) {}

  /** Resolves when it takes mail. */
  static async start(): Promise<Mail> {
    const folder = await mkdtemp(join(tmpdir(), 'waystream-mail-'));
    const port = await freePort();
    const child = spawn('aiosmtpd', ['-n', '-l', `127.0.0.1:${port}`, '-c', 'aiosmtpd.handlers.Mailbox', join(folder, 'mail')], { stdio: 'ignore' });
    await once(child, 'spawn');
    for (const end = Date.now() + START_MS; ;) {
      const socket = connect(port, '127.0.0.1');
      const open = await once(socket, 'connect').then(() => true, () => false);
      socket.destroy();
      if (open) return new Mail(child, folder, port);
      if (child.exitCode !== null || Date.now() > end) throw new Error('the mail server does not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Tells a system to send by it. */
  get settings(): NodeJS.ProcessEnv {
    return {
      WAYSTREAM_NOTIFY__SMTP__HOST: '127.0.0.1', WAYSTREAM_NOTIFY__SMTP__PORT: String(this.port), WAYSTREAM_NOTIFY__SMTP__ENCRYPTION: 'none',
      WAYSTREAM_NOTIFY__SMTP__FROM: 'fleet@waystream.example',
    };
  }

  /** Text files that came along with mails, by name. */
  async files(): Promise<Map<string, string>> {
    const inbox = join(this.folder, 'mail/new');
    const mails = await Promise.all((await readdir(inbox).catch(() => [])).map((name) => readFile(join(inbox, name), 'utf8')));
    const files = mails.flatMap((mail) => [...mail.matchAll(/filename="?([^"\r\n]+)"?[^]*?\r?\n\r?\n([A-Za-z0-9+/=\r\n]+)/g)]);
    return new Map(files.map(([, name, content]) => [name, Buffer.from(content, 'base64').toString()]));
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null) {
      this.child.kill();
      await once(this.child, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
