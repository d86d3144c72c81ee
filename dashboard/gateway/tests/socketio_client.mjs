// A client of another maker (socket.io-client from npm), driven by the tests: commands come in and events go out as JSON lines.
//
// Environment: URL, COOKIE, ORIGIN (may be missing), TRANSPORTS (comma-separated). Commands: {emit: [...], ack: bool},
// {acknowledge: bool} (whether frames are acknowledged at once; yes at first), {close: true}, {open: true}.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { io } = require('socket.io-client');

const say = (event, args = []) => process.stdout.write(JSON.stringify({ event, args }) + '\n');
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const extraHeaders = { Cookie: process.env.COOKIE ?? '' };
if (process.env.ORIGIN) extraHeaders.Origin = process.env.ORIGIN;

const socket = io(process.env.URL, {
  transports: (process.env.TRANSPORTS ?? 'websocket').split(','),
  extraHeaders,
  reconnectionDelay: 100,
  reconnectionDelayMax: 200,
});

let acknowledge = true;
let waiting; // The frame that was not acknowledged.
const shown = (seq) => {
  if (acknowledge) socket.emit('ack', seq);
  else waiting = seq;
};
socket.on('connect', () => say('connect', [socket.io.engine.transport.name]));
socket.on('connect_error', (error) => say('connect_error', [error.message]));
socket.on('disconnect', (reason) => say('disconnect', [reason]));
socket.on('f', (frame) => {
  const bytes = Buffer.from(frame);
  shown(bytes.readUInt32LE(8));
  say('f', [hex(bytes)]);
});
socket.on('r', (id, frame) => {
  const bytes = Buffer.from(frame);
  if (acknowledge) socket.emit('replay_ack', { id, seq: bytes.readUInt32LE(8) });
  say('r', [id, hex(bytes)]);
});
for (const event of ['slots', 'alert', 'catalog', 'detail', 'inside', 'replay_state', 'replay_alert']) {
  socket.on(event, (...args) => say(event, args));
}

socket.on('notice', (notice, shown) => {
  say('notice', [notice]);
  shown(true);
});

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const command = JSON.parse(line);
  if (command.acknowledge !== undefined) {
    acknowledge = command.acknowledge;
    if (acknowledge && waiting !== undefined) shown(waiting);
  }
  if (command.open) socket.connect();
  if (command.close) socket.close();
  if (command.emit) socket.emit(...command.emit, ...(command.ack ? [(answer) => say('answer', [answer])] : []));
});
input.on('close', () => process.exit(0));
