// SPDX-License-Identifier: Apache-2.0
'use strict';
const http = require('http');
const [base, ...steps] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function play(step) {
  const [method, target, body] = step.split(' ');
  return new Promise((resolve, reject) => {
    const options = { method, agent, headers: {} };
    const size = +body.replace('chunked:', '');
    if (body !== '-' && !body.startsWith('chunked:')) options.headers['Content-Length'] = size;
    const req = http.request(base + target, options, (res) => {
      res.resume();
      res.on('end', resolve);
      res.on('error', reject);
    });
    req.on('error', reject);
    if (body !== '-') {
      req.write('n'.repeat(size / 2));
      req.write('n'.repeat(size - size / 2));
    }
    req.end();
  });
}

(async () => {
  for (const step of steps) await play(step);
  agent.destroy();
})();
