/** A proxy as some companies have: HTTP passes, WebSocket doesn't. */

import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** `port`: that of one that was closed. */
export async function proxyWithoutWebSocket(to: string, port = 0): Promise<{ origin: string; close: () => void }> {
  const target = new URL(to);
  const server = createServer((incoming, outgoing) => {
    const { origin, ...headers } = incoming.headers;
    const passed = request(new URL(incoming.url ?? '/', target), {
      method: incoming.method, headers: { ...headers, host: target.host, ...(origin === undefined ? {} : { origin: target.origin }) },
    }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  server.on('upgrade', (_, socket) => socket.destroy());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
