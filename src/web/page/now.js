// SPDX-License-Identifier: Apache-2.0
// Now: what comes in and what becomes of it, from the daemon's own metrics, asked every two seconds.
import {getText, parseMetrics} from './api.js';
import {bytes, count, duration, el, fill} from './dom.js';

const kEvery = 2000;
const kKept = 60;  // samples of the small charts

const sum = (metrics, name, wanted = {}) => (metrics.get(name) || [])
    .filter((s) => Object.entries(wanted).every(([k, v]) => s.labels[k] === v))
    .reduce((total, s) => total + s.value, 0);
const by = (metrics, name, label) => {
  const out = new Map();
  for (const s of metrics.get(name) || []) out.set(s.labels[label], (out.get(s.labels[label]) || 0) + s.value);
  return out;
};

// The ends of a span, in the words of docs/metrics.md.
const ends = [
  {key: 'forwarded', name: 'kept', metric: 'tailgate_spans_forwarded_total', what: 'kept, and handed to the exporters'},
  {key: 'not_sampled', name: 'not sampled', metric: 'tailgate_spans_not_sampled_total', what: 'no policy kept the trace'},
  {key: 'dropped', name: 'dropped', metric: 'tailgate_spans_dropped_total', what: 'a drop policy dropped the trace'},
  {key: 'shed', name: 'shed', metric: 'tailgate_spans_shed_total', what: 'memory was short, or no exporter could take it'},
  {key: 'refused', name: 'refused', metric: 'tailgate_spans_refused_total', what: 'the sender was told'},
];

function sample(metrics, at) {
  const out = {at, metrics, received: sum(metrics, 'tailgate_spans_received_total'), held: sum(metrics, 'tailgate_buffer_spans')};
  for (const end of ends) out[end.key] = sum(metrics, end.metric);
  return out;
}

const rate = (a, b, key) => (a && b && b.at > a.at ? Math.max(0, (b[key] - a[key]) * 1000 / (b.at - a.at)) : 0);

// The rate over time as a line, with the newest at the right.
function spark(values, label) {
  const max = Math.max(...values, 1e-9);
  const points = values.map((v, i) => `${(i * 100 / (kKept - 1)).toFixed(1)},${(28 - v / max * 26).toFixed(1)}`).join(' ');
  return el('svg', {viewBox: '0 0 100 30', class: 'spark', preserveAspectRatio: 'none', role: 'img', 'aria-label': label},
      el('polyline', {points}));
}

// The law: a bar of everything received since the start, divided by its ends.
function law(now, rates) {
  const parts = [{key: 'held', name: 'held', value: now.held, what: 'in memory, not decided yet'},
    ...ends.map((end) => ({...end, value: now[end.key]}))];
  const total = parts.reduce((t, p) => t + p.value, 0);
  let at = 0;
  const bar = el('svg', {viewBox: '0 0 100 6', class: 'law', preserveAspectRatio: 'none', role: 'img',
    'aria-label': parts.map((p) => `${p.name} ${p.value}`).join(', ')},
  parts.map((p) => {
    const width = total ? p.value / total * 100 : 0;
    const rect = el('rect', {x: at, y: 0, width, height: 6, class: `end ${p.key}`}, el('title', {}, `${p.name}: ${p.value}`));
    at += width;
    return rect;
  }));
  const rows = parts.map((p) => el('tr', {},
      el('th', {scope: 'row'}, el('span', {class: `key ${p.key}`}), p.name),
      el('td', {class: 'n'}, p.key === 'held' ? '' : `${count(rates[p.key])}/s`),
      el('td', {class: 'n'}, count(p.value)),
      el('td', {class: 'n'}, total ? `${(p.value / total * 100).toFixed(1)} %` : ''),
      el('td', {class: 'hint'}, p.what)));
  return [bar, el('table', {class: 'plain'},
      el('thead', {}, el('tr', {}, el('th', {}, 'spans'), el('th', {class: 'n'}, 'now'), el('th', {class: 'n'}, 'since the start'),
          el('th', {class: 'n'}, 'share'), el('th', {}, 'that is'))),
      el('tbody', {}, rows))];
}

function meter(used, limit, label) {
  const share = limit ? Math.min(1, used / limit) : 0;
  return el('svg', {viewBox: '0 0 100 4', class: share > 0.9 ? 'meter full' : 'meter', preserveAspectRatio: 'none', role: 'img', 'aria-label': label},
      el('rect', {width: 100, height: 4, class: 'room'}), el('rect', {width: share * 100, height: 4, class: 'used'}));
}

function memory(metrics) {
  const used = by(metrics, 'tailgate_memory_used_bytes', 'holder');
  const budget = by(metrics, 'tailgate_memory_budget_bytes', 'holder');
  const rows = [...budget].map(([holder, limit]) => el('tr', {}, el('th', {scope: 'row'}, holder),
      el('td', {class: 'n'}, bytes(used.get(holder) || 0)), el('td', {class: 'n'}, `of ${bytes(limit)}`),
      el('td', {class: 'wide'}, holder === 'caches' ? el('span', {class: 'hint'}, 'set aside whole') : meter(used.get(holder) || 0, limit, `${holder}: ${bytes(used.get(holder) || 0)} of ${bytes(limit)}`))));
  return el('table', {class: 'plain'}, el('tbody', {}, rows,
      el('tr', {}, el('th', {scope: 'row'}, 'resident'), el('td', {class: 'n'}, bytes(sum(metrics, 'process_resident_memory_bytes'))),
          el('td', {class: 'hint', colspan: 2}, 'the whole process'))));
}

function exporters(before, now) {
  const names = [...by(now.metrics, 'tailgate_export_routed_spans_total', 'exporter').keys()];
  if (names.length === 0) return el('p', {class: 'hint'}, 'There is no exporter: kept traces go nowhere.');
  const of = (metric, exporter) => sum(now.metrics, metric, {exporter});
  return el('table', {}, el('thead', {}, el('tr', {},
      ['exporter', 'state', 'behind', 'sent', 'waiting', 'failed', 'dropped'].map((t, i) => el('th', {class: i > 1 ? 'n' : null}, t)))),
  el('tbody', {}, names.map((exporter) => {
    const open = of('tailgate_export_circuit_open', exporter) > 0;
    const behind = of('tailgate_export_oldest_seconds', exporter);
    const sent = before ? (of('tailgate_export_spans_total', exporter) - sum(before.metrics, 'tailgate_export_spans_total', {exporter})) *
        1000 / (now.at - before.at) : 0;
    const state = open ? 'away' : of('tailgate_export_set_aside_spans', exporter) > 0 ? 'some set aside' : behind > 30 ? 'slow' : 'good';
    return el('tr', {}, el('th', {scope: 'row'}, exporter), el('td', {}, el('span', {class: `state ${state === 'good' ? 'good' : 'bad'}`}, state)),
        el('td', {class: 'n'}, duration(behind * 1e9)), el('td', {class: 'n'}, `${count(Math.max(0, sent))}/s`),
        el('td', {class: 'n'}, bytes(of('tailgate_export_queue_bytes', exporter))),
        el('td', {class: 'n'}, count(of('tailgate_export_failed_spans_total', exporter))),
        el('td', {class: 'n'}, count(of('tailgate_export_dropped_spans_total', exporter))));
  })));
}

function policies(metrics) {
  const names = [...by(metrics, 'tailgate_policy_votes_total', 'policy').keys()];
  if (names.length === 0) return el('p', {class: 'hint'}, 'No policy has judged a trace yet.');
  const decisions = [...new Set((metrics.get('tailgate_policy_votes_total') || []).map((s) => s.labels.decision))];
  return el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'policy'),
      decisions.map((d) => el('th', {class: 'n'}, d.replace('_', ' '))), el('th', {class: 'n'}, 'kept traces'), el('th', {class: 'n'}, 'kept spans'))),
  el('tbody', {}, names.map((policy) => el('tr', {}, el('th', {scope: 'row'}, policy),
      decisions.map((decision) => el('td', {class: 'n'}, count(sum(metrics, 'tailgate_policy_votes_total', {policy, decision})))),
      el('td', {class: 'n'}, count(sum(metrics, 'tailgate_policy_kept_traces_total', {policy}))),
      el('td', {class: 'n'}, count(sum(metrics, 'tailgate_policy_kept_spans_total', {policy})))))));
}

function shadows(metrics) {
  const flips = metrics.get('tailgate_shadow_flips_total') || [];
  const names = [...new Set(flips.map((s) => s.labels.policy))];
  if (names.length === 0) return null;
  const flip = (policy, kind) => sum(metrics, 'tailgate_shadow_flips_total', {policy, flip: kind});
  return el('section', {}, el('h2', {}, 'Shadow policies'), el('table', {}, el('thead', {}, el('tr', {},
      ['policy', 'would keep traces', 'more than now', 'fewer than now'].map((t, i) => el('th', {class: i ? 'n' : null}, t)))),
  el('tbody', {}, names.map((policy) => el('tr', {}, el('th', {scope: 'row'}, policy),
      el('td', {class: 'n'}, count(sum(metrics, 'tailgate_shadow_kept_traces_total', {policy}))),
      el('td', {class: 'n'}, count(flip(policy, 'add'))), el('td', {class: 'n'}, count(flip(policy, 'lose'))))))));
}

// What a person should act on: each with the page of the documentation that says how.
export function warnings(before, now) {
  const out = [];
  const m = now.metrics;
  const grew = (name, wanted) => sum(m, name, wanted) > (before ? sum(before.metrics, name, wanted) : 0);
  const add = (text, page) => out.push({text, page});
  for (const s of m.get('tailgate_export_circuit_open') || []) {
    if (s.value > 0) add(`The backend of ${s.labels.exporter} does not answer. Kept traces wait in its queue.`, 'docs/operations.md');
  }
  for (const s of m.get('tailgate_export_set_aside_spans') || []) {
    if (s.value > 0) add(`${s.labels.exporter} has set ${count(s.value)} spans aside: the backend refuses them while it takes others.`, 'docs/exporters.md');
  }
  for (const s of m.get('tailgate_export_durable_damaged') || []) {
    if (s.value > 0) add(`The file of ${s.labels.exporter}'s durable queue was damaged and has been set aside.`, 'docs/exporters.md');
  }
  if (sum(m, 'tailgate_config_reloads_total', {result: 'failure'}) > 0) add('Changed policies could not be loaded: the old ones are in force. The log says why.', 'docs/operations.md');
  if (grew('tailgate_export_dropped_spans_total')) add('Kept spans are being dropped: an exporter\'s queue is full.', 'docs/exporters.md');
  if (grew('tailgate_export_failed_spans_total')) add('A backend refuses spans for good. The log says why.', 'docs/exporters.md');
  if (grew('tailgate_spans_shed_total')) add('Spans are being shed: memory is short, or no exporter can take them.', 'docs/operations.md');
  if (grew('tailgate_spans_refused_total', {reason: 'no_memory'})) add('Requests are refused for want of memory. Senders try again.', 'docs/operations.md');
  if (sum(m, 'tailgate_traces_decided_total', {close_reason: 'memory'}) > 0 && grew('tailgate_traces_decided_total', {close_reason: 'memory'})) {
    add('Traces are decided early because memory is short.', 'docs/operations.md');
  }
  if (sum(m, 'tailgate_late_error_spans_total') > 0) {
    add(`${count(sum(m, 'tailgate_late_error_spans_total'))} spans with errors came after their trace had been judged without them: decision_wait may be too short.`, 'docs/policies.md');
  }
  return out;
}

export function showNow(main, params, failed) {
  const stop = new AbortController();
  const chart = {received: [], forwarded: []};
  let before = null, timer = null, warned = null;
  const head = el('div', {class: 'cards'}), body = el('div', {});
  fill(main, el('h1', {}, 'Now'), head, body);

  const draw = (now) => {
    const rates = {received: rate(before, now, 'received')};
    for (const end of ends) rates[end.key] = rate(before, now, end.key);
    if (before) {
      for (const key of ['received', 'forwarded']) chart[key] = [...chart[key], rates[key]].slice(-kKept);
    }
    const open = sum(now.metrics, 'tailgate_buffer_traces');
    const started = sum(now.metrics, 'process_start_time_seconds');
    const build = (now.metrics.get('tailgate_build_info') || [{labels: {}}])[0].labels;
    fill(head,
        el('div', {class: 'card'}, el('h2', {}, 'coming in'), el('p', {class: 'big'}, `${count(rates.received)} spans/s`),
            spark(chart.received, 'spans a second, the last two minutes')),
        el('div', {class: 'card'}, el('h2', {}, 'kept'), el('p', {class: 'big'}, `${count(rates.forwarded)} spans/s`),
            spark(chart.forwarded, 'kept spans a second, the last two minutes')),
        el('div', {class: 'card'}, el('h2', {}, 'held'), el('p', {class: 'big'}, `${count(open)} traces`),
            el('p', {class: 'hint'}, `${count(now.held)} spans, ${bytes(sum(now.metrics, 'tailgate_buffer_bytes'))}`)),
        el('div', {class: 'card'}, el('h2', {}, 'running'), el('p', {class: 'big'}, started ? duration((now.at - started * 1000) * 1e6) : ''),
            el('p', {class: 'hint'}, `${build.version || ''} ${(build.commit || '').slice(0, 12)}`)));
    const found = warnings(warned, now);
    warned = now;
    fill(body,
        found.length ? el('section', {class: 'warnings', 'aria-label': 'Warnings'}, el('h2', {}, 'To act on'),
            el('ul', {}, found.map((w) => el('li', {}, w.text, ' ', el('span', {class: 'hint'}, `See ${w.page}.`))))) :
            el('p', {class: 'fine'}, 'Nothing to act on.'),
        el('section', {}, el('h2', {}, 'What became of every span'), law(now, rates)),
        el('section', {}, el('h2', {}, 'Exporters'), exporters(before, now)),
        el('section', {}, el('h2', {}, 'Policies'), policies(now.metrics)),
        shadows(now.metrics),
        el('section', {}, el('h2', {}, 'Memory'), memory(now.metrics)));
    before = now;
  };

  const tick = async () => {
    try {
      draw(sample(parseMetrics(await getText('/api/metrics', stop.signal)), Date.now()));
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!before) return failed(error);
      fill(head, el('p', {class: 'error', role: 'alert'}, error.message));
    }
    timer = setTimeout(tick, kEvery);
  };
  tick();
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}
