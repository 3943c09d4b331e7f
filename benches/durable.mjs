// How fast things are made durable, each figure beside a peer. `benches/durable` says what it needs.

import { Likes } from './lib/likes.mjs';
import { Postgres } from './lib/postgres.mjs';
import { Rabbit } from './lib/rabbit.mjs';
import { Redis } from './lib/redis.mjs';
import { cpuSeconds, median, print, printRatio } from './lib/shared.mjs';
import { pushesBesideBareFile, sizeAfterOverwrites, timesAtBacklogs } from './lib/store.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5);

/** So many rounds, in each of which everybody has a turn; answers each one's figures. */
async function alternately(turns) {
  const figures = turns.map(() => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, turn] of turns.entries()) figures[index].push(await turn());
  }
  return figures;
}

async function likes() {
  const [ours, postgres, redis] = [await Likes.start(), await Postgres.start(), await Redis.start()];
  try {
    const processes = await ours.server.children();
    const used = () => Promise.all(processes.map(({ pid }) => cpuSeconds(pid)));
    const cpu = processes.map(() => 0);
    const like = (oneVideo) => async () => {
      const before = await used();
      const rate = await ours.perSecond(SECONDS, { oneVideo });
      const after = await used();
      after.forEach((seconds, n) => { cpu[n] += seconds - before[n]; });
      await ours.check();
      return rate;
    };
    const [one, theirOne, theirs, many, theirMany] = await alternately([
      like(true),
      () => postgres.perSecond(SECONDS, { oneVideo: true }),
      () => redis.perSecond(SECONDS),
      like(false),
      () => postgres.perSecond(SECONDS, { oneVideo: false }),
    ]);
    print('likes of one video by 32 people, HTTP', median(one), '/s');
    print('the same in PostgreSQL 15, 32 clients', median(theirOne), '/s');
    printRatio('ratio to PostgreSQL, one video', one, theirOne, 'at least 4');
    print('likes of 32 videos by 32 people, HTTP', median(many), '/s');
    print('the same in PostgreSQL 15, 32 clients', median(theirMany), '/s');
    printRatio('ratio to PostgreSQL, 32 videos', many, theirMany, 'at least 1');
    print('Redis XADD, appendfsync always, 32 clients', median(theirs), '/s');
    printRatio('ratio to Redis, one video', one, theirs, 'at least 0.8');
    const seconds = 2 * ROUNDS * SECONDS;
    processes.forEach(({ role }, n) => print(`  of a core, meanwhile: ${role}`, (cpu[n] / seconds) * 100, '%'));
  } finally {
    await Promise.all([ours.end(), postgres.end(), redis.end()]);
  }
}

async function queue() {
  const rabbit = await Rabbit.start();
  try {
    const [theirs, pairs] = await alternately([() => rabbit.perSecond(SECONDS), pushesBesideBareFile]);
    const [ours, bare] = [pairs.map(({ pushed }) => pushed), pairs.map(({ bare }) => bare)];
    print('queue push, 256 producers, 200 bytes', median(ours), '/s');
    print('RabbitMQ, quorum queue, confirmed, 2,048 in flight', median(theirs), '/s');
    printRatio('ratio to RabbitMQ', ours, theirs, 'at least 3');
    print('bare file, one fdatasync a group, 256 producers', median(bare), '/s');
    printRatio('ratio to the bare file', ours, bare, 'at least 0.8');
  } finally {
    await rabbit.end();
  }
  const { short, long } = await timesAtBacklogs();
  print('pop and complete, backlog of 1,000', median(short), 'µs');
  print('pop and complete, backlog of 1,000,000', median(long), 'µs');
  print('ratio', median(long) / median(short), '×', 'at most 1.2');
}

async function size() {
  const { records, overwrites, openedInSeconds, timesLiveData, grownBy } = await sizeAfterOverwrites();
  print(`opening ${records} records again after ${overwrites} overwrites`, openedInSeconds, 's', 'at most 3');
  print('size on the disk to live data, journal aside', timesLiveData, '×', 'at most 4');
  print('size after all to size after a third of them', grownBy, '×', 'flat');
}

const parts = { likes, queue, size };
const wanted = process.argv.slice(2);
for (const [name, part] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) await part();
}
