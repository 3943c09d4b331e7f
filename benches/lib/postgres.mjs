// PostgreSQL with its defaults (fsync and synchronous_commit on), in a folder of its own, doing what a like is.

import { execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { eventually } from '../../tests/lib/server.mjs';

const run = promisify(execFile);
const PROGRAMS = process.env.POSTGRES_PROGRAMS ?? '/usr/lib/postgresql/15/bin';

const SCHEMA = `
  create table video (id int primary key, likes bigint not null default 0, dislikes bigint not null default 0);
  create table rating (person int, video int, rating smallint not null, at timestamptz not null,
    primary key (person, video));
  create table event (id bigserial primary key, person int not null, video int not null, rating smallint not null,
    at timestamptz not null default now());
  insert into video select n from generate_series(1, 32) n;`;

/** One like: who thinks what of which video, how many do, and that it happened. */
const LIKE = `
\\set rating random(-1, 1)
begin;
insert into rating values (:client_id, :video, :rating, now())
  on conflict (person, video) do update set rating = excluded.rating, at = excluded.at;
update video set likes = likes + :rating, dislikes = dislikes - :rating where id = :video;
insert into event (person, video, rating) values (:client_id, :video, :rating);
commit;
`;

export class Postgres {
  static async start() {
    const folder = await mkdtemp(join(tmpdir(), 'djstream-postgres-'));
    const postgres = new Postgres(folder);
    await postgres.up();
    return postgres;
  }

  constructor(folder) {
    Object.assign(this, { folder, at: ['-h', folder, '-U', 'bench'] });
  }

  async up() {
    // It refuses to run as root.
    if (process.getuid() === 0) {
      const id = async (flag) => Number((await run('id', [flag, 'postgres'])).stdout);
      this.who = { uid: await id('-u'), gid: await id('-g') };
      await run('chown', ['postgres:postgres', this.folder]);
    }
    await chmod(this.folder, 0o700);
    const options = { ...this.who, cwd: this.folder };
    const data = join(this.folder, 'data');
    await run(join(PROGRAMS, 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'], options);
    const args = ['-D', data, '-k', this.folder, '-c', 'listen_addresses=', '-c', 'max_connections=64'];
    this.process = spawn(join(PROGRAMS, 'postgres'), args, { ...options, stdio: 'ignore' });
    this.ended = new Promise((done) => this.process.once('exit', done));
    await eventually('postgres', () => this.sql('select 1'));
    await this.sql(SCHEMA);
  }

  sql(text) {
    return run('psql', [...this.at, '-q', '-v', 'ON_ERROR_STOP=1', '-c', text, 'postgres'], { env: this.env() });
  }

  env() {
    return { ...process.env, PATH: `${PROGRAMS}:${process.env.PATH}` };
  }

  /** Likes a second that were committed, by 32 clients: all of one video, or each of another one. */
  async perSecond(seconds, { oneVideo }) {
    const script = join(this.folder, 'like.sql');
    await writeFile(script, (oneVideo ? '\\set video 1' : '\\set video :client_id + 1') + LIKE);
    const how = ['-n', '-c', '32', '-j', '2', '-M', 'prepared', '-T', String(seconds), '-f', script];
    const { stdout } = await run(join(PROGRAMS, 'pgbench'), [...this.at, ...how, 'postgres'], { env: this.env() });
    return Number(stdout.match(/tps = ([\d.]+)/)[1]);
  }

  async end() {
    this.process.kill('SIGINT');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}
