// SPDX-License-Identifier: Apache-2.0
//
// A backend for the first statsd: adds up what each flush brings and keeps the
// sums in a file.
'use strict';
const fs = require('fs');

exports.init = function (started, config, events) {
  const all = { counters: {}, gauges: {}, timers: {}, timer_counts: {} };
  events.on('flush', function (time, metrics) {
    const add = (to, from) => Object.keys(from).forEach((k) => { to[k] = (to[k] || 0) + from[k]; });
    add(all.counters, metrics.counters);
    add(all.timer_counts, metrics.timer_counters);
    Object.assign(all.gauges, metrics.gauges);
    Object.keys(metrics.timers).forEach((k) => { all.timers[k] = (all.timers[k] || []).concat(metrics.timers[k]); });
    fs.writeFileSync(config.dump + '.new', JSON.stringify(all));
    fs.renameSync(config.dump + '.new', config.dump);
  });
  return true;
};
