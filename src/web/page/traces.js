// SPDX-License-Identifier: Apache-2.0
// Traces: the search. The form is the address: every field is a parameter of it.
import {getJson, query} from './api.js';
import {count, duration, el, fill, hue, say, time} from './dom.js';
import {go} from './main.js';

const fields = ['service', 'operation', 'status', 'min', 'max', 'attributes', 'q', 'since', 'from', 'to', 'limit', 'include'];
const sinces = [['15m', '15 minutes'], ['1h', 'hour'], ['6h', '6 hours'], ['24h', 'day'], ['168h', '7 days']];

function field(label, input, hint) {
  input.id = `f-${input.name}`;
  return el('p', {class: 'field'}, el('label', {for: input.id}, label), input, hint ? el('span', {class: 'hint'}, hint) : null);
}

const options = (list, chosen) => list.map(([value, text]) => el('option', {value, selected: value === chosen}, text));

// Fills a datalist with what the store knows, so that names need not be typed.
async function complete(list, path, key, signal) {
  try {
    const found = await getJson(path, signal);
    fill(list, found[key].slice(0, 500).map((value) => el('option', {value: typeof value === 'string' ? value : value.name})));
  } catch { /* it is only help */ }
}

// The last word of "a=b c=d": what is completed.
function lastWord(text) {
  const match = /(?:^|\s)(\S*)$/.exec(text);
  return {before: text.slice(0, text.length - match[1].length), word: match[1]};
}

function attributeHelp(input, list, signal) {
  let timer = null;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const {before, word} = lastWord(input.value);
      const [name, value] = word.split('=', 2);
      try {
        if (value === undefined) {
          const found = await getJson(`/api/attributes${query({prefix: name, limit: 50})}`, signal);
          fill(list, found.attributes.map((a) => el('option', {value: `${before}${a}=`})));
        } else {
          const found = await getJson(`/api/values${query({name, limit: 50})}`, signal);
          fill(list, found.values.map((v) => el('option', {value: `${before}${name}=${/[\s"]/.test(v) ? JSON.stringify(v) : v}`})));
        }
      } catch { /* it is only help */ }
    }, 150);
  });
}

function form(params, signal) {
  const get = (name) => params.get(name) || '';
  const services = el('datalist', {id: 'services'}), operations = el('datalist', {id: 'operations'}), attributes = el('datalist', {id: 'attributes'});
  const service = el('input', {name: 'service', list: 'services', value: get('service'), autocomplete: 'off', spellcheck: 'false'});
  const operation = el('input', {name: 'operation', list: 'operations', value: get('operation'), autocomplete: 'off', spellcheck: 'false'});
  const words = el('input', {name: 'attributes', list: 'attributes', value: get('attributes'), size: 40, autocomplete: 'off', spellcheck: 'false', placeholder: 'http.response.status_code=500'});
  const q = el('input', {name: 'q', value: get('q'), size: 60, autocomplete: 'off', spellcheck: 'false', placeholder: '{ resource.service.name = "checkout" && duration > 1s }'});
  attributeHelp(words, attributes, signal);
  complete(services, '/api/services', 'services', signal);
  const loadOperations = () => complete(operations, `/api/operations${query({service: service.value})}`, 'operations', signal);
  service.addEventListener('change', loadOperations);
  if (service.value) loadOperations();
  const custom = params.has('from') || params.has('to');
  return el('form', {class: 'search', role: 'search', 'aria-label': 'Search for traces', onsubmit: (event) => {
    event.preventDefault();
    const values = {view: 'traces'};
    for (const [name, value] of new FormData(event.target)) if (value.trim() !== '') values[name] = value.trim();
    if (values.since === 'custom') delete values.since;
    if (values.since === '1h') delete values.since;
    if (values.limit === '20') delete values.limit;
    values.run = '1';
    go(`/${query(values)}`);
  }},
  services, operations, attributes,
  el('div', {class: 'fields'},
      field('Service', service), field('Operation', operation),
      field('Status', el('select', {name: 'status'}, options([['', 'any'], ['error', 'error'], ['ok', 'ok'], ['unset', 'unset']], get('status')))),
      field('Duration at least', el('input', {name: 'min', size: 8, value: get('min'), placeholder: '1s'})),
      field('at most', el('input', {name: 'max', size: 8, value: get('max'), placeholder: '1m'})),
      field('Attributes', words), field('TraceQL, as well', q),
      field('Of the last', el('select', {name: 'since'}, options([...sinces, ['custom', custom ? 'time below' : 'all that is stored']], custom ? 'custom' : get('since') || '1h'))),
      custom ? [field('From', el('input', {name: 'from', value: get('from'), size: 24})), field('to', el('input', {name: 'to', value: get('to'), size: 24}))] : null,
      field('Decisions', el('select', {name: 'include'}, options([['', 'stored traces'], ['remembered', 'dropped ones that are remembered, too']], get('include')))),
      field('Limit', el('input', {name: 'limit', size: 5, inputmode: 'numeric', value: get('limit') || '20'})),
      el('p', {class: 'field'}, el('button', {type: 'submit'}, 'Find traces'))));
}

// Duration over time, on a logarithmic scale. Each point is a link; its size is the number of spans.
function scatter(traces) {
  const width = 1000, height = 220, left = 70, bottom = 24;
  const starts = traces.map((t) => t.start_ms);
  const from = Math.min(...starts), to = Math.max(...starts, from + 1000);
  const durations = traces.map((t) => Math.max(1e3, t.duration_ns));
  const low = Math.floor(Math.log10(Math.min(...durations))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...durations))));
  const x = (ms) => left + (ms - from) / (to - from) * (width - left - 20);
  const y = (ns) => height - bottom - (Math.log10(Math.max(1e3, ns)) - low) / (high - low) * (height - bottom - 14);
  const lines = [];
  for (let p = low; p <= high; ++p) {
    lines.push(el('g', {}, el('line', {x1: left, x2: width, y1: y(10 ** p), y2: y(10 ** p), class: 'grid'}),
        el('text', {x: left - 8, y: y(10 ** p) + 4, 'text-anchor': 'end'}, duration(10 ** p))));
  }
  const points = traces.map((t) => {
    const point = el('circle', {cx: x(t.start_ms), cy: y(t.duration_ns), r: 4 + Math.min(8, Math.log2(1 + t.spans)),
      class: t.errors ? 'point error' : t.stored ? 'point' : 'point remembered', tabindex: -1,
      onclick: () => go(`/trace/${t.trace_id}`)},
    el('title', {}, `${t.root_service} ${t.root_name}: ${duration(t.duration_ns)}, ${t.spans} spans, ${time(t.start_ms)}`));
    return point;
  });
  return el('svg', {viewBox: `0 0 ${width} ${height}`, class: 'scatter', role: 'img', 'aria-label': `Durations of ${traces.length} traces over time; the list below has the same`},
      lines, el('text', {x: left, y: height - 6}, time(from).slice(0, 19)), el('text', {x: width - 10, y: height - 6, 'text-anchor': 'end'}, time(to).slice(0, 19)), points);
}

function row(t) {
  return el('tr', {class: t.stored ? null : 'remembered'},
      el('td', {class: 'nowrap'}, time(t.start_ms)),
      el('td', {}, el('a', {href: `/trace/${t.trace_id}`}, t.root_service || '(no root span)', ' ', el('b', {}, t.root_name)),
          el('span', {class: 'services'}, (t.services || []).slice(0, 8).map((s) => el('span', {class: 'service', vars: {'--hue': hue(s.name)}, title: `${s.spans} spans, ${s.errors} with errors`}, s.name)))),
      el('td', {class: 'n'}, duration(t.duration_ns)),
      el('td', {class: 'n'}, count(t.spans)),
      el('td', {class: 'n'}, t.errors ? el('span', {class: 'state bad'}, `${count(t.errors)}`) : '0'),
      el('td', {}, t.stored ? t.policy || '' : `${(t.verdict || 'open').replace('_', ' ')}, remembered only`),
      el('td', {class: 'mono'}, t.trace_id.slice(0, 8)));
}

function results(found) {
  const notes = [];
  if (found.cut) notes.push(el('p', {class: 'warnings'}, `${found.cut} There may be more.`));
  if (found.damage) notes.push(el('p', {class: 'warnings'}, found.damage));
  if (found.traces.length === 0) return [...notes, el('p', {class: 'hint'}, found.store === false ?
      'There is no exporter of type store, so nothing is stored here. Add store: {directory: DIR} to exporters.' : 'No trace matches.')];
  return [...notes,
    el('p', {class: 'hint'}, `${count(found.traces.length)} traces; ${count(found.inspected.traces)} were looked at in ${duration(found.took_ms * 1e6)}.`),
    scatter(found.traces),
    el('table', {}, el('thead', {}, el('tr', {}, ['start', 'trace', 'duration', 'spans', 'errors', 'kept by', 'id'].map((t, i) =>
        el('th', {class: i > 1 && i < 5 ? 'n' : null}, t)))), el('tbody', {}, found.traces.map(row)))];
}

export function showTraces(main, params, failed) {
  const stop = new AbortController();
  const out = el('div', {'aria-live': 'off'});
  fill(main, el('h1', {}, 'Traces'), form(params, stop.signal), out);
  const asked = {};
  for (const name of fields) if (params.get(name)) asked[name] = params.get(name);
  if (!asked.since && !asked.from && !asked.to) asked.since = '1h';
  fill(out, el('p', {class: 'hint'}, 'searching …'));
  getJson(`/api/search${query(asked)}`, stop.signal).then((found) => {
    for (const t of found.traces) {
      t.start_ms = Number(BigInt(t.start_ns) / 1000n) / 1000;
      t.duration_ns = Number(t.duration_ns);
    }
    fill(out, results(found));
    say(`${found.traces.length} traces found`);
  }).catch((error) => {
    if (error.name === 'AbortError') return;
    if (error.status !== 400 && error.status !== 503) return failed(error);
    fill(out, el('p', {class: 'error', role: 'alert'}, error.message));
  });
  return () => stop.abort();
}
