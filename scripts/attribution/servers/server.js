// SPDX-License-Identifier: Apache-2.0
// One thread with an event loop; files through libuv's pool. Arguments: port,
// port of the downstream server, folder.
'use strict';
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Worker, isMainThread, workerData } = require('worker_threads');

// Large: while the pool begins to write, this thread is still busy, and the
// process cannot tell how much of its CPU time was at the same time.
const FREE = 0, TAKEN = 1, CHUNK = 8 << 20;

// The worker holds the lock for 50 ms whenever a datagram asks for it.
function hold({ port, lock }) {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const s = dgram.createSocket('udp4');
  s.on('message', (_, peer) => {
    while (Atomics.compareExchange(lock, 0, FREE, TAKEN) !== FREE) Atomics.wait(lock, 0, TAKEN);
    s.send('h', peer.port, peer.address, () => {
      Atomics.wait(never, 0, 0, 50);
      Atomics.store(lock, 0, FREE);
      Atomics.notify(lock, 0, 1);
    });
  });
  s.bind(port, '127.0.0.1');
}

function serve(port, downstream, folder) {
  const lock = new Int32Array(new SharedArrayBuffer(4));
  const data = Buffer.alloc(CHUNK, 'x');
  new Worker(__filename, { workerData: { port, lock } });

  // Of the whole process: one request at a time, or it means nothing. What this
  // thread ran may have been at the same time as a thread of the pool.
  const cpu = () => { const u = process.cpuUsage(); return (u.user + u.system) * 1000; };
  const schedstat = (task, field) => +fs.readFileSync(`/proc/self/task/${task}/schedstat`, 'latin1').split(' ')[field];
  const own = () => schedstat(process.pid, 0);
  const runq = () => fs.readdirSync('/proc/self/task').reduce((sum, task) => sum + schedstat(task, 1), 0);
  const now = () => Number(process.hrtime.bigint());
  // Every client has a file of its own, so that they do not lock one another out.
  const files = {};
  const dataOf = (client) => (files[client] ??= fs.openSync(path.join(folder, `data-${client}`), 'w+'));

  const useDisk = async (file, until) => {
    for (let offset = 0; now() < until; offset = (offset + CHUNK) % (64 * CHUNK)) {
      await new Promise((done, fail) => fs.write(file, data, 0, CHUNK, offset, (e) => (e ? fail(e) : done())));
      await new Promise((done, fail) => fs.fsync(file, (e) => (e ? fail(e) : done())));
    }
  };
  const useMemory = (file, until) => {
    for (let offset = 0; now() < until; offset = (offset + CHUNK) % (512 * CHUNK)) fs.writeSync(file, data, 0, CHUNK, offset);
  };
  const work = {
    '/none': () => {},
    '/spin': (began) => { while (now() < began + 50e6); },
    '/sleep': () => new Promise((done) => setTimeout(done, 50)),
    '/lock': () => {
      while (Atomics.compareExchange(lock, 0, FREE, TAKEN) !== FREE) Atomics.wait(lock, 0, TAKEN);
      Atomics.store(lock, 0, FREE);
      Atomics.notify(lock, 0, 1);
    },
    '/net': () => new Promise((done, fail) => {
      http.get({ host: '127.0.0.1', port: downstream, path: '/' }, (r) => r.resume().on('end', done)).on('error', fail);
    }),
    '/disk': (began, client) => useDisk(dataOf(client), began + 50e6),
    '/memory': (began, client) => useMemory(dataOf(client), began + 150e6),
  };
  http.createServer(async (q, r) => {
    const [path, query] = q.url.split('?n=');
    const w = runq(), t = own(), c = cpu(), began = now();
    await work[path](began, query.split('-')[0]);
    const body = JSON.stringify({
      added_ns: now() - began, cpu_ns: cpu() - c, overlap_ns: own() - t, runq_ns: runq() - w, shared: true,
    });
    r.writeHead(200, { 'Content-Length': body.length });
    r.end(body);
  }).listen(port, '127.0.0.1');
}

if (isMainThread) serve(+process.argv[2], +process.argv[3], process.argv[4]);
else hold(workerData);
