// SPDX-License-Identifier: Apache-2.0
// Policies: what is loaded, as the configuration has it, what each has kept, and a box to try one on stored traces, or on
// all that a journal has.
import {getJson, postJson} from './api.js';
import {bytes, count, duration, el, fill, say, time} from './dom.js';
import {go} from './main.js';
import {growth, sum, watch} from './samples.js';

const isShadow = (policy) => policy.name.endsWith(' (shadow)');

// The text may be longer than the server takes in an address: it stands where it is not sent.
const addressOf = (values, text) => `/?${new URLSearchParams({view: 'policies', ...values})}#${new URLSearchParams({text})}`;

// Returns the elements, and what writes the counts into them, so that what a person has opened stays open.
function loaded(list) {
  if (list.length === 0) return [el('p', {class: 'hint'}, 'No policy is loaded: every trace is not sampled.'), () => {}];
  const counts = new Map(list.map((p) => [p, el('span', {class: 'right'})]));
  const nodes = list.map((p) => el('details', {class: 'policy'}, el('summary', {}, el('b', {}, p.name), ' ',
      el('span', {class: 'hint'}, (/^type: (.*)$/m.exec(p.yaml) || ['', ''])[1]), ' ', counts.get(p)),
  el('pre', {tabindex: 0, 'aria-label': `Configuration of ${p.name}`}, p.yaml),
  isShadow(p) ? null : el('p', {}, el('a', {href: addressOf({form: 'policy'}, p.yaml)}, 'Try it, or a change of it, on stored traces'))));
  return [nodes, (now) => {
    for (const [p, node] of counts) {
      const policy = p.name.replace(/ \(shadow\)$/, ''), kind = isShadow(p) ? 'shadow' : 'policy';
      const of = (what) => sum(now.metrics, `tailgate_${kind}_kept_${what}_total`, {policy});
      const since = `${isShadow(p) ? 'would have kept' : 'kept'} ${count(of('traces'))} traces, ${count(of('spans'))} spans since the start`;
      const past = now.first && !isShadow(p) ? `${count(growth(now.first, now, 'tailgate_policy_kept_traces_total', {policy}))} traces in the last ${duration(Math.round((now.at - now.first.at) / 1000) * 1e9)}; ` : '';
      fill(node, past, since);
    }
  }];
}

const forms = [
  ['span', 'a condition on a span', 'attributes["http.response.status_code"] >= 500'],
  ['trace', 'a condition on the whole trace', 'duration > 2s and error_count >= 1'],
  ['policy', 'a policy, or a list of them, in YAML', '{name: slow, type: latency, latency: {threshold_ms: 1000}}'],
];
const ofs = [['stored', 'the stored traces'], ['received', 'all that came']];
const sinces = [['5m', '5 minutes'], ['15m', '15 minutes'], ['1h', 'hour'], ['24h', 'day'], ['', 'all that there is']];
const about = {
  stored: 'Only traces that were kept are stored, so what was dropped cannot be tried on these.',
  received: 'What was dropped is judged too, as long as the journal has it.',
  none: 'All that came can be tried when there is a journal that retains it: journal: {directory: DIR, retain: 30m}.',
};

function box(params, out) {
  const form = params.get('form') || 'span', since = params.has('since') ? params.get('since') : '1h';
  const from = params.get('of') || 'stored';
  const text = el('textarea', {id: 'try-text', name: 'text', rows: 4, cols: 90, spellcheck: 'false', maxlength: 16384, value: params.get('text') || ''});
  const kind = el('select', {id: 'try-form', name: 'form'}, forms.map(([value, label]) => el('option', {value, selected: value === form}, label)));
  const hint = () => { text.placeholder = forms.find(([value]) => value === kind.value)[2]; };
  kind.addEventListener('change', hint);
  hint();
  const options = ofs.map(([value, label]) => el('option', {value, selected: value === from}, label));
  const what = el('select', {id: 'try-of', name: 'of'}, options), told = el('span', {}, about[from]);
  what.addEventListener('change', () => fill(told, about[what.value]));
  const setPast = (past) => {
    options[1].disabled = !past && from !== 'received';
    if (!past) fill(told, about.stored, ' ', about.none);
  };
  return [setPast, el('form', {class: 'search', 'aria-label': 'Try a policy on past traces', onsubmit: (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    go(addressOf({form: data.get('form'), of: data.get('of'), since: data.get('since'), run: '1'}, data.get('text')));
  }},
  el('div', {class: 'fields'},
      el('p', {class: 'field'}, el('label', {for: 'try-form'}, 'Try'), kind),
      el('p', {class: 'field'}, el('label', {for: 'try-of'}, 'on'), what),
      el('p', {class: 'field'}, el('label', {for: 'try-since'}, 'of the last'),
          el('select', {id: 'try-since', name: 'since'}, sinces.map(([value, label]) => el('option', {value, selected: value === since}, label)))),
      el('p', {class: 'field'}, el('button', {type: 'submit'}, 'Try'))),
  el('p', {class: 'field'}, el('label', {for: 'try-text'}, 'The policy or condition'), text),
  el('p', {class: 'hint'}, 'It is judged beside the loaded policies, which stay as they are. ', told),
  out)];
}

// A condition is judged as a policy around it, whose places mean nothing to who wrote the condition.
const told = (text, form) => (form === 'policy' ? text : text.replace(/^the policy:\d+:\d+: (\S+: )?(?=line |column )/, ''));

const row = (t) => el('tr', {}, el('td', {class: 'nowrap'}, time(Number(BigInt(t.start_ns) / 1000000n))),
    el('td', {}, el('a', {href: `/trace/${t.trace_id}`}, t.root_service || '(no root span)', ' ', el('b', {}, t.root_name))),
    el('td', {class: 'n'}, duration(Number(t.duration_ns))), el('td', {class: 'n'}, count(t.spans)),
    el('td', {class: 'n'}, t.errors ? el('span', {class: 'state bad'}, count(t.errors)) : '0'),
    el('td', {}, t.policy), el('td', {}, t.why));

function list(title, traces, all, open) {
  if (all === 0) return null;
  const heads = ['start', 'trace', 'duration', 'spans', 'errors', 'policy', 'why'];
  return el('details', {open}, el('summary', {}, `${title}: ${count(all)}${traces.length < all ? `, the first ${traces.length}` : ''}`),
      el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, heads.map((t, i) => el('th', {class: i > 1 && i < 5 ? 'n' : null}, t)))),
          el('tbody', {}, traces.map(row)))));
}

const share = (a, b) => (b === 0 ? '0 %' : `${(100 * a / b).toFixed(1)} %`);

// What would be kept of all that came, beside what was.
function pastOutcome(answer) {
  if (!answer.from) return [el('p', {class: 'hint'}, 'The journal has nothing of that time.'), answer.cut ? el('p', {class: 'warnings'}, answer.cut) : null];
  const all = (kept) => `${count(kept.traces)} traces (${share(kept.traces, answer.traces)}), ${count(kept.spans)} spans (${share(kept.spans, answer.spans)}), ${bytes(kept.bytes)}`;
  const sentence = `Of ${count(answer.traces)} traces that came it would keep ${all(answer.would_keep)}. Kept were ${all(answer.kept)}.`;
  say(sentence);
  const rows = (title, kept) => [['all', kept], ...Object.entries(kept.policies)].map(([name, n], i) => el('tr', {},
      el('td', {}, i ? '' : title), el('td', {}, i ? name : el('b', {}, name)),
      el('td', {class: 'n'}, count(n.traces)), el('td', {class: 'n'}, count(n.spans)), el('td', {class: 'n'}, bytes(n.bytes))));
  const warn = (is, text) => (is ? el('p', {class: 'warnings'}, text) : null);
  return [el('p', {class: 'outcome'}, el('b', {}, sentence)),
    el('p', {class: 'hint'}, `What came from ${time(Date.parse(answer.from))} to ${time(Date.parse(answer.to))}: ${count(answer.spans)} spans, ${bytes(answer.bytes)}.`),
    warn(answer.cut, `This is only the first of the time. ${answer.cut}`),
    warn(answer.left_out || answer.judged_early, `web.queries.trial_bytes has too little room for what is open at a time: ${count(answer.judged_early)} traces were judged early, and ${count(answer.left_out)} requests are left out.`),
    warn(answer.kept_cut, 'More was kept then than web.queries.trial_bytes has room for, so what was kept is not all.'),
    warn(answer.damaged, `${count(answer.damaged)} places of the journal could not be read.`),
    el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, ['what', 'policy', 'traces', 'spans', 'bytes'].map((t, i) => el('th', {class: i > 1 ? 'n' : null}, t)))),
        el('tbody', {}, rows('would be kept', answer.would_keep), rows('was kept', answer.kept)))),
    answer.newly_kept.length ? el('details', {open: true}, el('summary', {}, `Would be kept, and was not${answer.newly_kept.length < 100 ? '' : ', the first 100'}`),
        el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'trace'), el('th', {}, 'policy'))),
            el('tbody', {}, answer.newly_kept.map((t) => el('tr', {}, el('td', {}, el('a', {href: `/trace/${t.trace_id}`}, t.trace_id)), el('td', {}, t.policy)))))) : null];
}

function outcome(answer) {
  if (!answer.store) return el('p', {class: 'hint'}, 'There is no exporter of type store, so nothing is stored here. Add store: {directory: DIR} to exporters.');
  const sentence = `Of ${count(answer.traces)} stored traces it keeps ${count(answer.kept_traces)} (${share(answer.kept_traces, answer.traces)}), ` +
      `and ${share(answer.kept_spans, answer.spans)} of their spans.`;
  say(sentence);
  return [el('p', {class: 'outcome'}, el('b', {}, sentence)),
    answer.cut ? el('p', {class: 'warnings'}, `These are the newest only. ${answer.cut}`) : null,
    answer.damage ? el('p', {class: 'warnings'}, answer.damage) : null,
    answer.unreadable ? el('p', {class: 'warnings'}, `${count(answer.unreadable)} traces could not be read.`) : null,
    answer.policies.length > 1 ? el('table', {}, el('thead', {}, el('tr', {}, ['policy', 'decided', 'sampled', 'not sampled', 'dropped'].map((t, i) => el('th', {class: i ? 'n' : null}, t)))),
        el('tbody', {}, answer.policies.map((p) => el('tr', {}, el('td', {}, p.name),
            [p.decided, p.sampled, p.not_sampled, p.dropped].map((n) => el('td', {class: 'n'}, count(n))))))) : null,
    list('Kept', answer.kept, answer.kept_traces, true),
    list('Not kept', answer.not_kept, answer.traces - answer.kept_traces, false)];
}

export function showPolicies(main, params, failed) {
  const stop = new AbortController();
  const policies = el('div', {}), out = el('div', {class: 'tried'});
  const [setPast, form] = box(params, out), of = params.get('of') || 'stored';
  fill(main, el('h1', {}, 'Policies'), policies, el('h2', {id: 'try'}, 'Try a policy'), form);
  getJson('/api/policies', stop.signal).then((answer) => {
    const [nodes, draw] = loaded(answer.policies);
    fill(policies, nodes);
    setPast(answer.past);
    watch(draw, () => {}, stop.signal);
  }).catch(failed);
  if (params.get('run') && params.get('text')) {
    fill(out, el('p', {class: 'hint'}, 'judging …'));
    postJson('/api/try', {form: params.get('form') || 'span', text: params.get('text'), of, since: params.get('since') || ''}, stop.signal)
        .then((answer) => fill(out, of === 'received' ? pastOutcome(answer) : outcome(answer)))
        .catch((error) => { if (error.name !== 'AbortError') fill(out, el('pre', {class: 'error', role: 'alert'}, told(error.message, params.get('form') || 'span'))); });
  }
  return () => stop.abort();
}
