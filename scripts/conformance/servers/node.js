// SPDX-License-Identifier: Apache-2.0
'use strict';
const fs = require('fs');
const http = require('http');
const net = require('net');
const port = +process.env.CONF_PORT, unix = process.env.CONF_UNIX, root = process.env.CONF_ROOT;

function pieces(res, n, delay, text) {
  let i = 0;
  const next = () => {
    if (res.destroyed) return;
    if (i++ === n) return res.end();
    res.write(text);
    setTimeout(next, delay);
  };
  next();
}

function app(req, res) {
  const [path] = req.url.replace(/^http:\/\/[^/]*/, '').split('?');
  const [, first, second] = path.split('/');
  switch (first) {
    case 'hello': return res.end('hello\n');
    case 'status': res.statusCode = +second; return res.end(second === '204' || second === '304' ? undefined : 'status\n');
    case 'post': {
      let n = 0;
      req.on('data', (d) => { n += d.length; });
      return req.on('end', () => res.end(n + '\n'));
    }
    case 'early': res.writeHead(413, { Connection: 'close' }); return res.end('too much\n');
    case 'big': {
      const file = root + '/big';
      res.setHeader('Content-Length', fs.statSync(file).size);
      return fs.createReadStream(file).pipe(res);
    }
    case 'chunked': res.write('one\n'); res.write('two-two\n'); return res.end('three-three-three\n');
    case 'trailers':
      res.writeHead(200, { Trailer: 'X-Sum' });
      res.write('one\n');
      res.addTrailers({ 'X-Sum': 'abc' });
      return res.end('two\n');
    case 'stream': return pieces(res, 10, 50, 's'.repeat(1000));
    case 'sleep': return setTimeout(() => res.end('slept\n'), +second);
    case 'hints': return res.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => res.end('hinted\n'));
    default: res.statusCode = 404; return res.end('no such path\n');
  }
}

// The bytes of one response are what the socket wrote since the last one; with
// pipelining they come in order, so the difference at 'finish' is its own.
function logged(req, res) {
  const socket = req.socket;
  res.on('finish', () => setImmediate(() => {
    const total = socket.bytesWritten - (socket.logged || 0);
    socket.logged = socket.bytesWritten;
    console.log(`conf|${res.statusCode}|${total}|-|-|${req.method} ${req.url} HTTP/${req.httpVersion}`);
  }));
  res.on('close', () => {
    if (!res.writableFinished) console.log(`conf|${res.statusCode}|-|-|-|${req.method} ${req.url} HTTP/${req.httpVersion}`);
  });
  app(req, res);
}

for (const where of [{ host: '127.0.0.1', port }, { host: '::1', port }, { path: unix }]) {
  http.createServer(logged).on('upgrade', (req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('error', () => socket.destroy()).pipe(socket);
    console.log(`conf|101|-|-|-|${req.method} ${req.url} HTTP/${req.httpVersion}`);
  }).listen(where);
}
