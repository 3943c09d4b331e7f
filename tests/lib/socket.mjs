// A person's notification socket, as a client keeps it: with a ticket, and the last id seen.

import WebSocket from 'ws';

import { eventually } from './server.mjs';

export class NotificationSocket {
  /** Opens one; `after` is the last id that was seen. */
  static async open(client, after) {
    const socket = new NotificationSocket();
    const { ticket } = await client.post('/api/notifications/ticket');
    const query = new URLSearchParams({ ticket, ...(after ? { after } : {}) });
    const url = `${client.url.replace('http', 'ws')}/api/notifications/socket?${query}`;
    socket.inner = new WebSocket(url, { origin: client.url });
    socket.frames = [];
    socket.closed = new Promise((done) => socket.inner.once('close', done));
    socket.inner.on('message', (text) => socket.frames.push(JSON.parse(text)));
    await new Promise((done, failed) => {
      socket.inner.once('open', done);
      socket.inner.once('error', failed);
    });
    socket.inner.on('error', () => {});
    return socket;
  }

  /** The first frame of which `check` is true, come or to come. */
  frame(what, check) {
    return eventually(`a notification: ${what}`, () => this.frames.find(check), { timeoutMs: 15_000 });
  }

  close() {
    this.inner.close();
    return this.closed;
  }
}
