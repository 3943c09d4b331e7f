// The public contract as a client sees it: one person's calls.

import { createHash } from 'node:crypto';

import { eventually } from './server.mjs';

export const PASSWORD = 'seven quiet blue bicycles';

export class Client {
  constructor(url, token) {
    Object.assign(this, { url, token });
  }

  /** Any call; answers status, headers and the parsed body. */
  async call(method, path, body, headers = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      redirect: 'manual',
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  /** A call that must succeed; waits out services that restart. */
  async must(method, path, body) {
    return eventually(`${method} ${path}`, async () => {
      const answer = await this.call(method, path, body);
      if (answer.status === 503) return undefined;
      if (answer.status >= 400) {
        const said = `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`;
        throw Object.assign(new Error(said), answer, { final: true });
      }
      return answer;
    }).then((answer) => answer.body);
  }

  get = (path) => this.must('GET', path);
  post = (path, body = {}) => this.must('POST', path, body);
  put = (path, body) => this.must('PUT', path, body);
  patch = (path, body) => this.must('PATCH', path, body);
  delete = (path) => this.must('DELETE', path);

  async register(username, extra = {}) {
    const answer = await this.post('/api/auth/register', {
      username,
      email: `${username}@example.org`,
      password: PASSWORD,
      returnRefreshToken: true,
      ...extra,
    });
    this.token = answer.accessToken;
    this.refreshToken = answer.refreshToken;
    this.user = answer.user;
    return this;
  }

  async login(login, password = PASSWORD) {
    const answer = await this.post('/api/auth/login', { login, password, returnRefreshToken: true });
    this.token = answer.accessToken;
    this.refreshToken = answer.refreshToken;
    this.user = answer.user;
    return this;
  }

  /** Uploads bytes with bare tus calls (creation, then one PATCH); answers the video's id. */
  async upload(bytes, metadata) {
    const encoded = Object.entries(metadata)
      .map(([key, value]) => `${key} ${Buffer.from(String(value)).toString('base64')}`)
      .join(',');
    const created = await fetch(`${this.url}/api/uploads`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.token}`,
        'tus-resumable': '1.0.0',
        'upload-length': String(bytes.length),
        'upload-metadata': encoded,
      },
    });
    if (created.status !== 201) throw new Error(`creating the upload: ${created.status} ${await created.text()}`);
    const location = new URL(created.headers.get('location'), this.url);
    const sent = await fetch(location, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${this.token}`,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      },
      body: bytes,
    });
    if (sent.status !== 204) throw new Error(`sending the bytes: ${sent.status} ${await sent.text()}`);
    return created.headers.get('djstream-video') ?? sent.headers.get('djstream-video');
  }

  /** Waits until a video is in one of these states, and answers it. */
  video(id, states = ['published'], options = { timeoutMs: 60_000 }) {
    return eventually(
      `video ${id} ${states}`,
      async () => {
        const video = await this.get(`/api/videos/${id}`);
        if (states.includes(video.state)) return video;
        if (video.state === 'failed') throw Object.assign(new Error(`failed: ${video.failure}`), { final: true });
        return undefined;
      },
      options,
    );
  }
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
