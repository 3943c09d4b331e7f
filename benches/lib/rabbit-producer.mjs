// One process of producers: so many persistent messages in flight, each confirmed. Arguments: url, queue, in flight,
// bytes. Says every 100 ms how many have been confirmed so far.

import amqp from 'amqplib';

const [url, queue, inFlight, bytes] = process.argv.slice(2);
const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
const body = Buffer.alloc(Number(bytes), 'x');
let confirmed = 0;

function publish() {
  channel.sendToQueue(queue, body, { persistent: true }, (refused) => {
    if (refused) throw refused;
    confirmed += 1;
    publish();
  });
}

for (let n = 0; n < Number(inFlight); n += 1) publish();
setInterval(() => process.send(confirmed), 100);
process.on('disconnect', () => process.exit(0));
