/** Starts the real binary where nobody else listens, with a data folder of its own. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 120_000;
/** Where the listener for OsmAnd is, among the addresses that are told at the start. */
const OSMAND = /127\.\d+\.\d+\.\d+:5055/;
const LINK = /https?:\/\/\S+\/sign-in\?token=[\w-]+/;

/** One that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export class System {
  private child: ChildProcess | null = null;
  private output = '';

  private constructor(private binary: string, readonly data: string, private environment: NodeJS.ProcessEnv, readonly origin: string) {}

  /** `settings`: more variables of the environment. */
  static async create(settings: NodeJS.ProcessEnv = {}): Promise<System> {
    const { WAYSTREAM_BIN, WAYSTREAM_WEB_OUT: _, ...inherited } = process.env;
    if (!WAYSTREAM_BIN) throw new Error('set WAYSTREAM_BIN to the waystream binary');
    const web = await freePort();
    // Trackers keep their usual ports, on a loopback address that nobody else uses.
    const octet = (): number => 1 + Math.floor(Math.random() * 254);
    const environment: NodeJS.ProcessEnv = {
      ...inherited,
      ...settings,
      WAYSTREAM_GATEWAY__ADDRESS: `127.0.0.1:${web}`,
      // Receivers of notifications are on this machine too.
      WAYSTREAM_NOTIFY__ALLOW_PRIVATE_ADDRESSES: 'true',
      WAYSTREAM_CONNECTORS__ADDRESS: `127.${octet()}.${octet()}.${octet()}`,
    };
    return new System(WAYSTREAM_BIN, await mkdtemp(join(tmpdir(), 'waystream-e2e-')), environment, `http://127.0.0.1:${web}`);
  }

  /** Resolves when the dashboard answers. */
  async start(...args: string[]): Promise<void> {
    this.output = '';
    const child = spawn(this.binary, [...args, '--data', this.data], { env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    const hear = (chunk: Buffer): void => {
      this.output += chunk.toString();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    await this.until(async () => {
      if (child.exitCode !== null) throw new Error(`waystream ended with ${child.exitCode}:\n${this.output}`);
      return (await fetch(`${this.origin}/readyz`).catch(() => null))?.ok === true;
    }, 'it is ready');
  }

  /** Runs a command of the binary to its end, over the same data folder. */
  async command(...args: string[]): Promise<void> {
    const child = spawn(this.binary, [...args, '--data', this.data], { env: this.environment, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const [code] = await once(child, 'exit') as [number | null];
    if (code !== 0) throw new Error(`waystream ${args.join(' ')} ended with ${code}:\n${said}`);
  }

  /** The one-time link that it printed. */
  async link(): Promise<string> {
    await this.until(() => Promise.resolve(LINK.test(this.output)), 'it has printed a one-time link');
    return LINK.exec(this.output)?.[0] ?? '';
  }

  /** Address and port of the listener for OsmAnd. */
  get osmand(): string {
    const [listener] = OSMAND.exec(this.output) ?? [];
    if (listener === undefined) throw new Error(`no listener for OsmAnd:\n${this.output}`);
    return listener;
  }

  get isRunning(): boolean {
    return this.child !== null && this.child.exitCode === null;
  }

  async stop(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  async destroy(): Promise<void> {
    await this.stop();
    await rm(this.data, { recursive: true, force: true });
  }

  private async until(holds: () => Promise<boolean>, what: string): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`gave up waiting until ${what}:\n${this.output}`);
  }
}
