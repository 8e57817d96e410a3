// SPDX-License-Identifier: Apache-2.0
// The daemon's metrics, asked every two seconds while a view shows them. What was asked in the last minutes is kept over
// a change of the view, so that counters can be told for these minutes and not only since the start.
import {getText, parseMetrics} from './api.js';

const kEvery = 2000, kMinutes = 5;
const kPast = ['spans_received', 'received_bytes', 'spans_refused', 'spans_forwarded', 'spans_not_sampled', 'spans_dropped',
  'spans_shed', 'export_dropped_spans', 'export_failed_spans', 'export_spans', 'traces_decided', 'late_error_spans', 'policy_kept_traces',
  'policy_kept_spans', 'policy_kept_bytes', 'policy_votes'].map((name) => `tailgate_${name}_total`);
let samples = [];  // oldest first; the counters of kPast alone

export const sum = (metrics, name, wanted = {}) => (metrics.get(name) || [])
    .filter((s) => Object.entries(wanted).every(([k, v]) => s.labels[k] === v))
    .reduce((total, s) => total + s.value, 0);

export const by = (metrics, name, label) => {
  const out = new Map();
  for (const s of metrics.get(name) || []) out.set(s.labels[label], (out.get(s.labels[label]) || 0) + s.value);
  return out;
};

// Calls draw({at, metrics, before, first}) for each answer: `before` is the sample before this one, `first` the oldest of
// the last minutes; both are null at first.
export function watch(draw, failed, signal) {
  let timer = null;
  const tick = async () => {
    try {
      const metrics = parseMetrics(await getText('/api/metrics', signal)), at = Date.now();
      const start = sum(metrics, 'process_start_time_seconds');
      samples = samples.filter((s) => s.start === start && s.at > at - kMinutes * 60000);
      draw({at, metrics, before: samples.at(-1) || null, first: samples[0] || null});
      samples.push({at, start, metrics: new Map(kPast.map((name) => [name, metrics.get(name) || []]))});
    } catch (error) {
      if (error.name === 'AbortError') return;
      failed(error);
    }
    timer = setTimeout(tick, kEvery);
  };
  tick();
  signal.addEventListener('abort', () => clearTimeout(timer));
}

// How much a counter grew since a sample, and how fast.
export const growth = (past, now, name, wanted) => (past ? Math.max(0, sum(now.metrics, name, wanted) - sum(past.metrics, name, wanted)) : 0);
export const rate = (past, now, name, wanted) => (past && now.at > past.at ? growth(past, now, name, wanted) * 1000 / (now.at - past.at) : 0);
