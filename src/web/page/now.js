// SPDX-License-Identifier: Apache-2.0
// Now: what comes in and what becomes of it, from the daemon's own metrics.
import {bytes, count, duration, el, fill} from './dom.js';
import {by, growth, rate, sum, watch} from './samples.js';

const kDrawn = 60;  // samples of the small charts
const charts = {in: [], kept: []};  // kept while another view is shown

// The ends of a span, in the words of docs/metrics.md.
const ends = [
  {key: 'forwarded', name: 'kept', what: 'kept, and handed to the exporters'},
  {key: 'not_sampled', name: 'not sampled', what: 'no policy kept the trace'},
  {key: 'dropped', name: 'dropped', what: 'a drop policy dropped the trace'},
  {key: 'shed', name: 'shed', what: 'memory was short, or no exporter could take it'},
  {key: 'refused', name: 'refused', what: 'the sender was told'},
].map((end) => ({...end, metric: `tailgate_spans_${end.key}_total`}));

// The rate over time as a line, with the newest at the right.
function spark(values, label) {
  const max = Math.max(...values, 1e-9);
  const points = values.map((v, i) => `${((kDrawn - values.length + i) * 100 / (kDrawn - 1)).toFixed(1)},${(28 - v / max * 26).toFixed(1)}`).join(' ');
  return el('svg', {viewBox: '0 0 100 30', class: 'spark', preserveAspectRatio: 'none', role: 'img', 'aria-label': label},
      el('polyline', {points}));
}

// The law: a bar of everything received since the start, divided by its ends.
function law(now) {
  const parts = [{key: 'held', name: 'held', value: sum(now.metrics, 'tailgate_buffer_spans'), what: 'in memory, not decided yet'},
    ...ends.map((end) => ({...end, value: sum(now.metrics, end.metric)}))];
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
      el('td', {class: 'n'}, p.key === 'held' ? '' : `${count(rate(now.before, now, p.metric))}/s`),
      el('td', {class: 'n'}, count(p.value)),
      el('td', {class: 'n'}, total ? `${(p.value / total * 100).toFixed(1)} %` : ''),
      el('td', {class: 'hint'}, p.what)));
  return [bar, table(['spans', 'now', 'since the start', 'share', 'that is'], [1, 2, 3], rows, 'plain')];
}

// `numbers`: which columns are at the right.
function table(heads, numbers, rows, kind) {
  return el('div', {class: 'scroll'}, el('table', {class: kind}, el('thead', {}, el('tr', {},
      heads.map((text, i) => el('th', {scope: 'col', class: numbers.includes(i) ? 'n' : null}, text)))), el('tbody', {}, rows)));
}

function meter(used, limit, label) {
  const share = limit ? Math.min(1, used / limit) : 0;
  return el('svg', {viewBox: '0 0 100 4', class: share > 0.9 ? 'meter full' : 'meter', preserveAspectRatio: 'none', role: 'img', 'aria-label': label},
      el('rect', {width: 100, height: 4, class: 'room'}), el('rect', {width: share * 100, height: 4, class: 'used'}));
}

const holders = {requests: 'requests that are being read', traces: 'traces that are not decided yet', queues: 'kept spans that wait for exporters',
  caches: 'verdicts for late spans, and decisions for /explain: set aside whole', connections: 'TLS connections'};

function memory(metrics) {
  const used = by(metrics, 'tailgate_memory_used_bytes', 'holder');
  const row = (name, have, limit, what) => el('tr', {}, el('th', {scope: 'row'}, name),
      el('td', {class: 'n'}, bytes(have)), el('td', {class: 'n'}, `of ${bytes(limit)}`),
      el('td', {class: 'wide'}, name === 'caches' ? null : meter(have, limit, `${name}: ${bytes(have)} of ${bytes(limit)}`)), el('td', {class: 'hint'}, what));
  const rows = [...by(metrics, 'tailgate_memory_budget_bytes', 'holder')].map(([holder, limit]) => row(holder, used.get(holder) || 0, limit, holders[holder] || ''));
  rows.push(row('process', sum(metrics, 'process_resident_memory_bytes'), sum(metrics, 'tailgate_memory_limit_bytes'), 'resident, of memory_limit'));
  return el('div', {class: 'scroll'}, el('table', {class: 'plain'}, el('tbody', {}, rows)));
}

function exporters(now) {
  const names = [...by(now.metrics, 'tailgate_export_routed_spans_total', 'exporter').keys()];
  if (names.length === 0) return el('p', {class: 'hint'}, 'There is no exporter: kept traces go nowhere.');
  return table(['exporter', 'state', 'behind', 'sent', 'waiting', 'room', 'failed', 'dropped'], [2, 3, 4, 5, 6, 7], names.map((exporter) => {
    const of = (name) => sum(now.metrics, `tailgate_export_${name}`, {exporter});
    const behind = of('oldest_seconds');
    const state = of('circuit_open') > 0 ? 'away' : of('set_aside_spans') > 0 ? 'some set aside' : behind > 30 ? 'slow' : 'good';
    return el('tr', {}, el('th', {scope: 'row'}, exporter), el('td', {}, el('span', {class: `state ${state === 'good' ? 'good' : 'bad'}`}, state)),
        el('td', {class: 'n'}, duration(behind * 1e9)), el('td', {class: 'n'}, `${count(rate(now.before, now, 'tailgate_export_spans_total', {exporter}))}/s`),
        el('td', {class: 'n'}, bytes(of('queue_bytes'))), el('td', {class: 'n'}, bytes(of('queue_capacity_bytes'))),
        el('td', {class: 'n'}, count(of('failed_spans_total'))), el('td', {class: 'n'}, count(of('dropped_spans_total'))));
  }));
}

function policies(now) {
  const shadow = by(now.metrics, 'tailgate_shadow_flips_total', 'policy');  // these have no votes that count
  const names = [...by(now.metrics, 'tailgate_policy_votes_total', 'policy')].filter(([name, votes]) => votes > 0 || !shadow.has(name)).map(([name]) => name);
  if (names.length === 0) return el('p', {class: 'hint'}, 'No policy is loaded: every trace is not sampled.');
  const decisions = ['sampled', 'not_sampled', 'dropped'];
  return table(['policy', ...decisions.map((d) => `votes: ${d.replace('_', ' ')}`), 'kept traces', 'kept spans', 'kept bytes', 'kept now'], [1, 2, 3, 4, 5, 6, 7],
      names.map((policy) => {
        const of = (name, wanted) => sum(now.metrics, `tailgate_policy_${name}_total`, {policy, ...wanted});
        return el('tr', {}, el('th', {scope: 'row'}, policy),
            decisions.map((decision) => el('td', {class: 'n'}, count(of('votes', {decision})))),
            el('td', {class: 'n'}, count(of('kept_traces'))), el('td', {class: 'n'}, count(of('kept_spans'))), el('td', {class: 'n'}, bytes(of('kept_bytes'))),
            el('td', {class: 'n'}, `${count(rate(now.before, now, 'tailgate_policy_kept_traces_total', {policy}))} traces/s`));
      }));
}

function shadows(metrics) {
  const names = [...by(metrics, 'tailgate_shadow_flips_total', 'policy').keys()];
  if (names.length === 0) return null;
  const of = (policy, name, wanted) => sum(metrics, `tailgate_shadow_${name}_total`, {policy, ...wanted});
  return el('section', {}, el('h2', {}, 'Shadow policies'),
      table(['policy', 'would keep traces', 'spans', 'bytes', 'traces more than now', 'traces fewer than now'], [1, 2, 3, 4, 5],
          names.map((policy) => el('tr', {}, el('th', {scope: 'row'}, policy),
              el('td', {class: 'n'}, count(of(policy, 'kept_traces'))), el('td', {class: 'n'}, count(of(policy, 'kept_spans'))),
              el('td', {class: 'n'}, bytes(of(policy, 'kept_bytes'))), el('td', {class: 'n'}, count(of(policy, 'flips', {flip: 'add'}))),
              el('td', {class: 'n'}, count(of(policy, 'flips', {flip: 'lose'})))))),
      el('p', {class: 'hint'}, 'They are judged beside the loaded policies and keep nothing. ', el('a', {href: '/shadow'}, '/shadow'), ' names traces with errors that they would lose.'));
}

// What a person should act on: each with the page of the documentation that says how.
export function warnings(now) {
  const out = [];
  const m = now.metrics;
  const grew = (name, wanted) => growth(now.first, now, name, wanted);
  const add = (text, page) => out.push({text, page});
  for (const s of m.get('tailgate_export_circuit_open') || []) {
    if (s.value > 0) add(`The backend of ${s.labels.exporter} does not answer. Kept traces wait in its queue.`, 'docs/operations.md');
  }
  for (const s of m.get('tailgate_export_set_aside_spans') || []) {
    const away = sum(m, 'tailgate_export_circuit_open', {exporter: s.labels.exporter}) > 0;  // which is said above
    if (s.value > 0 && !away) add(`${s.labels.exporter} has set ${count(s.value)} spans aside: the backend refuses them while it takes others.`, 'docs/exporters.md');
  }
  for (const s of m.get('tailgate_export_durable_damaged') || []) {
    if (s.value > 0) add(`The file of ${s.labels.exporter}'s durable queue was damaged and has been set aside.`, 'docs/exporters.md');
  }
  if (sum(m, 'tailgate_config_reloads_total', {result: 'failure'}) > 0) {
    add('Changed policies could not be loaded since the start. Until a later change is taken, those before it are in force; the log says why.', 'docs/operations.md');
  }
  if (grew('tailgate_export_dropped_spans_total')) add('Kept spans are being dropped: an exporter\'s queue is full.', 'docs/exporters.md');
  if (grew('tailgate_export_failed_spans_total')) add('A backend refuses spans for good. The log says why.', 'docs/exporters.md');
  if (grew('tailgate_spans_shed_total')) add('Spans are being shed: memory is short, or no exporter can take them.', 'docs/operations.md');
  if (grew('tailgate_spans_refused_total', {reason: 'no_memory'})) add('Requests are refused for want of memory. Senders try again.', 'docs/operations.md');
  if (grew('tailgate_traces_decided_total', {close_reason: 'memory'})) add('Traces are decided early because memory is short.', 'docs/operations.md');
  const late = sum(m, 'tailgate_late_error_spans_total');
  if (late > 0) add(`${count(late)} spans with errors came after their trace had been judged without them: decision_wait may be too short.`, 'docs/policies.md');
  return out;
}

function cards(now) {
  const m = now.metrics;
  const rates = {in: rate(now.before, now, 'tailgate_spans_received_total'), kept: rate(now.before, now, 'tailgate_spans_forwarded_total')};
  if (now.before) for (const key of ['in', 'kept']) charts[key] = [...charts[key], rates[key]].slice(-kDrawn);
  const started = sum(m, 'process_start_time_seconds');
  const build = (m.get('tailgate_build_info') || [{labels: {}}])[0].labels;
  const flow = (title, key, metric) => el('div', {class: 'card'}, el('h2', {}, title), el('p', {class: 'big'}, `${count(rates[key])} spans/s`),
      el('p', {class: 'hint'}, `${bytes(rate(now.before, now, metric))}/s of spans`), spark(charts[key], `${title}: spans a second, the last two minutes`));
  return [flow('coming in', 'in', 'tailgate_received_bytes_total'), flow('kept', 'kept', 'tailgate_policy_kept_bytes_total'),
    el('div', {class: 'card'}, el('h2', {}, 'held'), el('p', {class: 'big'}, `${count(sum(m, 'tailgate_buffer_traces'))} traces`),
        el('p', {class: 'hint'}, `${count(sum(m, 'tailgate_buffer_spans'))} spans, ${bytes(sum(m, 'tailgate_buffer_bytes'))}, not decided yet`)),
    el('div', {class: 'card'}, el('h2', {}, 'running'), el('p', {class: 'big'}, started ? duration(Math.round(now.at / 1000 - started) * 1e9) : ''),
        el('p', {class: 'hint'}, `version ${build.version || 'unknown'}, ${(build.commit || '').slice(0, 12)}`))];
}

// Fills anew, and leaves the keyboard, and what was scrolled aside, where they were.
function refill(node, ...children) {
  const places = () => [...node.querySelectorAll('a, .scroll')];
  const before = places(), at = before.indexOf(document.activeElement), lefts = before.map((place) => place.scrollLeft);
  fill(node, children);
  const after = places();
  after.forEach((place, i) => { if (lefts[i]) place.scrollLeft = lefts[i]; });
  if (at >= 0 && after.length) after[Math.min(at, after.length - 1)].focus({preventScroll: true});
}

export function showNow(main, params, failed) {
  const stop = new AbortController();
  const head = el('div', {class: 'cards'}), body = el('div', {});
  let drawn = false;
  fill(main, el('h1', {}, 'Now'), head, body);
  watch((now) => {
    drawn = true;
    fill(head, cards(now));
    const found = warnings(now);
    refill(body,
        found.length ? el('section', {class: 'warnings', 'aria-label': 'Warnings'}, el('h2', {}, 'To act on'),
            el('ul', {}, found.map((w) => el('li', {}, w.text, ' ', el('span', {class: 'hint'}, 'See ', el('code', {}, w.page), '.'))))) :
            el('p', {class: 'fine'}, '✓ Nothing to act on.'),
        el('section', {}, el('h2', {}, 'What became of every span'), law(now)),
        el('section', {}, el('h2', {}, 'Exporters'), exporters(now)),
        el('section', {}, el('h2', {}, 'Policies'), policies(now)),
        shadows(now.metrics),
        el('section', {}, el('h2', {}, 'Memory'), memory(now.metrics)));
  }, (error) => {
    if (drawn) fill(head, el('p', {class: 'error', role: 'alert'}, error.message));
    else failed(error);
  }, stop.signal);
  return () => stop.abort();
}
