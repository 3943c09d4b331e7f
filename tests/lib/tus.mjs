// One resumable upload (tus 1.0.0), step by step, so that a test can break it off anywhere.

import { eventually } from './server.mjs';

export class Upload {
  constructor(client, path, video) {
    Object.assign(this, { client, path, video });
  }

  static async create(client, length, metadata) {
    const encoded = Object.entries(metadata)
      .map(([key, value]) => `${key} ${Buffer.from(String(value)).toString('base64')}`)
      .join(',');
    const answer = await fetch(`${client.url}/api/uploads`, {
      method: 'POST',
      headers: { ...headers(client), 'upload-length': String(length), 'upload-metadata': encoded },
    });
    if (answer.status !== 201) {
      const text = await answer.text();
      throw Object.assign(new Error(`creating the upload: ${answer.status} ${text}`), { status: answer.status, text });
    }
    const { pathname } = new URL(answer.headers.get('location'), client.url);
    return new Upload(client, pathname, answer.headers.get('djstream-video'));
  }

  /** What the server has for certain; waits while it restarts. */
  offset() {
    return eventually(`the offset of ${this.path}`, async () => {
      const answer = await fetch(this.client.url + this.path, { method: 'HEAD', headers: headers(this.client) });
      return answer.status === 200 ? { value: Number(answer.headers.get('upload-offset')) } : undefined;
    }).then(({ value }) => value);
  }

  /** Sends some bytes that start at `from`; answers the status. */
  async send(bytes, from) {
    const answer = await fetch(this.client.url + this.path, {
      method: 'PATCH',
      headers: {
        ...headers(this.client),
        'upload-offset': String(from),
        'content-type': 'application/offset+octet-stream',
      },
      body: bytes,
    });
    await answer.arrayBuffer();
    this.video ??= answer.headers.get('djstream-video');
    return answer.status;
  }
}

const headers = (client) => ({ authorization: `Bearer ${client.token}`, 'tus-resumable': '1.0.0' });
