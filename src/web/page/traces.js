// SPDX-License-Identifier: Apache-2.0
// Traces: the search. The form is the address: every field is a parameter of it.
import {getJson, query} from './api.js';
import {count, duration, el, fill, hues, say, time} from './dom.js';
import {go} from './main.js';
import {kinds} from './tree.js';

const fields = ['service', 'operation', 'status', 'min', 'max', 'attributes', 'q', 'since', 'from', 'to', 'limit', 'include'];
const sinces = [['15m', 'the last 15 minutes'], ['1h', 'the last hour'], ['6h', 'the last 6 hours'], ['24h', 'the last day'], ['168h', 'the last 7 days'],
  ['all', 'all that is stored'], ['between', 'between two times']];
const intrinsics = ['name', 'status', 'statusMessage', 'kind', 'duration', 'traceDuration', 'rootName', 'rootServiceName', 'event:name', 'instrumentation:name',
  'instrumentation:version', 'resource.service.name', 'span:id', 'trace:id'];

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

// Writes into the list what may stand at the end of the input. `find` gives it, without what is before.
function help(input, list, find) {
  let timer = null;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        fill(list, (await find(input.value)).slice(0, 50).map((value) => el('option', {value})));
      } catch { /* it is only help */ }
    }, 150);
  });
}

const quoted = (value) => (/[\s"]/.test(value) ? JSON.stringify(value) : value);
const names = async (prefix, signal) => (await getJson(`/api/attributes${query({prefix, limit: 50})}`, signal)).attributes;
const values = async (name, prefix, signal) => (await getJson(`/api/values${query({name, prefix, limit: 50})}`, signal)).values;

async function attributeHelp(text, signal) {
  const {before, word} = lastWord(text);
  const at = word.indexOf('=');
  if (at < 0) return (await names(word, signal)).map((a) => `${before}${a}=`);
  const name = word.slice(0, at);
  return (await values(name, word.slice(at + 1).replace(/^"/, ''), signal)).map((v) => `${before}${name}=${quoted(v)}`);
}

const words = {status: ['error', 'ok', 'unset'], kind: kinds};

// In TraceQL: the name that is being written, and after `name =` its values. What looks like a number or a boolean is
// offered without quotes and with them: the store knows values as texts, and a text of digits is found in quotes alone.
async function traceqlHelp(text, signal) {
  const value = /^(.*?((?:span|resource|event|link|instrumentation)?\.)([^\s=!<>~&|{}()]+)\s*!?=\s*)("?)([^"{}&|]*)$/.exec(text);
  if (value) {
    const found = await values(value[3], value[5], signal);
    const bare = (v) => !value[4] && /^(-?\d+(\.\d+)?|true|false)$/.test(v);
    return found.flatMap((v) => (bare(v) ? [v, JSON.stringify(v)] : [JSON.stringify(v)]).map((one) => value[1] + one));
  }
  const word = /^(.*?\b(status|kind)\s*!?=\s*)([a-z]*)$/.exec(text);
  if (word) return words[word[2]].filter((one) => one.startsWith(word[3])).map((one) => word[1] + one);
  const name = /^(.*?[{(&|\s])((?:span|resource|event|link|instrumentation)?\.)?([^\s=!<>~&|{}()"]*)$/.exec(text);
  if (!name) return [];
  if (name[2]) return (await names(name[3], signal)).map((a) => `${name[1]}${name[2]}${a}`);
  return [...intrinsics, 'span.', 'resource.', 'event.', 'link.'].filter((one) => one.startsWith(name[3]) && one !== name[3]).map((one) => name[1] + one);
}

// Addresses hold Unix times, of which the size tells the unit, as in the query; people see their own clock.
function local(text) {
  if (!/^\d{1,19}$/.test(text)) return '';
  const n = Number(text), ms = n < 1e11 ? n * 1e3 : n < 1e14 ? n : n < 1e17 ? n / 1e3 : n / 1e6;
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

function form(params, signal) {
  const get = (name) => params.get(name) || '';
  const services = el('datalist', {id: 'services'}), operations = el('datalist', {id: 'operations'}), attributes = el('datalist', {id: 'attributes'}), traceql = el('datalist', {id: 'traceql'});
  const service = el('input', {name: 'service', list: 'services', value: get('service'), autocomplete: 'off', spellcheck: 'false'});
  const operation = el('input', {name: 'operation', list: 'operations', value: get('operation'), autocomplete: 'off', spellcheck: 'false'});
  const words = el('input', {name: 'attributes', list: 'attributes', value: get('attributes'), size: 40, autocomplete: 'off', spellcheck: 'false', placeholder: 'http.response.status_code=500'});
  const q = el('input', {name: 'q', list: 'traceql', value: get('q'), size: 60, autocomplete: 'off', spellcheck: 'false', placeholder: '{ resource.service.name = "checkout" && duration > 1s }'});
  help(words, attributes, (text) => attributeHelp(text, signal));
  help(q, traceql, (text) => traceqlHelp(text, signal));
  complete(services, '/api/services', 'services', signal);
  const loadOperations = () => complete(operations, `/api/operations${query({service: service.value})}`, 'operations', signal);
  service.addEventListener('change', loadOperations);
  loadOperations();
  const since = el('select', {name: 'since'}, options(sinces, params.has('from') || params.has('to') ? 'between' : get('since') || '1h'));
  const time = (name) => el('input', {name, type: 'datetime-local', step: 1, value: local(get(name))});
  const between = [field('From', time('from')), field('to', time('to'))];
  const show = () => { for (const one of between) one.hidden = since.value !== 'between'; };
  since.addEventListener('change', show);
  show();
  return el('form', {class: 'search', role: 'search', 'aria-label': 'Search for traces', onsubmit: (event) => {
    event.preventDefault();
    const asked = {view: 'traces'};
    for (const [name, value] of new FormData(event.target)) if (value.trim() !== '') asked[name] = value.trim();
    for (const name of ['from', 'to']) {
      const ms = asked.since === 'between' && asked[name] ? new Date(asked[name]).getTime() : NaN;
      if (Number.isNaN(ms)) delete asked[name];
      else asked[name] = String(ms);
    }
    if (asked.since === 'between') asked.since = asked.from || asked.to ? '' : 'all';
    if (asked.since === '1h') delete asked.since;
    if (asked.limit === '20') delete asked.limit;
    go(`/${query(asked)}`);
  }},
  services, operations, attributes, traceql,
  el('div', {class: 'fields'},
      field('Service', service), field('Operation', operation),
      field('Status', el('select', {name: 'status'}, options([['', 'any'], ['error', 'error'], ['ok', 'ok'], ['unset', 'unset']], get('status')))),
      field('Span lasts at least', el('input', {name: 'min', size: 8, value: get('min'), placeholder: '1s'})),
      field('at most', el('input', {name: 'max', size: 8, value: get('max'), placeholder: '1m'})),
      field('Attributes', words), field('and TraceQL', q),
      field('Of', since), between,
      field('Show', el('select', {name: 'include'}, options([['', 'stored traces'], ['remembered', 'stored ones, and dropped ones that are remembered']], get('include')))),
      field('At most', el('input', {name: 'limit', size: 5, inputmode: 'numeric', value: get('limit') || '20'})),
      el('p', {class: 'field'}, el('button', {type: 'submit'}, 'Find traces'))));
}

const pointKind = (t) => (!t.stored ? 'remembered' : t.errors ? 'error' : '');

// Duration over time, on a logarithmic scale. Each point is a link; its size is the number of spans.
function scatter(traces, width) {
  const height = 220, left = 70, bottom = 24;
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
      class: `point ${pointKind(t)}`, tabindex: -1,
      onclick: () => go(`/trace/${t.trace_id}`)},
    el('title', {}, `${t.root_service} ${t.root_name}: ${duration(t.duration_ns)}, ${t.spans} spans, ${time(t.start_ms)}`));
    return point;
  });
  return el('svg', {viewBox: `0 0 ${width} ${height}`, class: 'scatter', role: 'img', 'aria-label': `Durations of ${traces.length} traces over time; the list below has the same`},
      lines, el('text', {x: left, y: height - 6}, time(from).slice(0, 19)), el('text', {x: width - 10, y: height - 6, 'text-anchor': 'end'}, time(to).slice(0, 19)), points);
}

function row(t) {
  const colours = hues((t.services || []).map((s) => s.name));
  return el('tr', {class: t.stored ? null : 'remembered'},
      el('td', {class: 'nowrap'}, time(t.start_ms)),
      el('td', {}, el('a', {href: `/trace/${t.trace_id}`}, t.root_service || '(no root span)', ' ', el('b', {}, t.root_name)),
          el('span', {class: 'services'}, (t.services || []).slice(0, 8).map((s) => el('span', {class: 'service', vars: {'--hue': colours.get(s.name)}, title: `${s.spans} spans, ${s.errors} with errors`}, s.name)))),
      el('td', {class: 'n'}, duration(t.duration_ns)),
      el('td', {class: 'n'}, count(t.spans)),
      el('td', {class: 'n'}, t.errors ? el('span', {class: 'state bad'}, `${count(t.errors)}`) : '0'),
      el('td', {}, t.stored ? t.policy || '' : `${(t.verdict || 'open').replace('_', ' ')}, remembered only`),
      el('td', {class: 'mono nowrap'}, t.trace_id.slice(0, 8)));
}

function results(found, width) {
  const notes = [];
  if (found.cut) notes.push(el('p', {class: 'warnings'}, `${found.cut} There may be more.`));
  if (found.damage) notes.push(el('p', {class: 'warnings'}, found.damage));
  if (found.traces.length === 0) return [...notes, el('p', {class: 'hint'}, found.store === false ?
      'There is no exporter of type store, so nothing is stored here. Add store: {directory: DIR} to exporters.' : 'No trace matches.')];
  return [...notes,
    el('p', {class: 'hint'}, `${count(found.traces.length)} traces; ${count(found.inspected.traces)} were looked at in ${duration(found.took_ms * 1e6)}.`),
    el('figure', {}, scatter(found.traces, width), el('figcaption', {class: 'hint'}, [['', 'kept'], ['error', 'kept, with errors'], ['remembered', 'not stored, its decision is remembered']]
        .filter(([kind]) => found.traces.some((t) => pointKind(t) === kind)).map(([kind, text]) => el('span', {class: 'legend'}, el('svg', {viewBox: '0 0 12 12', class: 'sample', 'aria-hidden': 'true'},
            el('circle', {cx: 6, cy: 6, r: 5, class: `point ${kind}`})), text)), 'larger: more spans')),
    el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, ['start', 'trace', 'duration', 'spans', 'errors', 'kept by', 'id'].map((t, i) =>
        el('th', {scope: 'col', class: i > 1 && i < 5 ? 'n' : null}, t)))), el('tbody', {}, found.traces.map(row))))];
}

export function showTraces(main, params, failed) {
  const stop = new AbortController();
  const out = el('div', {'aria-live': 'off'});
  fill(main, el('h1', {}, 'Traces'), form(params, stop.signal), out);
  const asked = {};
  for (const name of fields) if (params.get(name)) asked[name] = params.get(name);
  if (!asked.since && !asked.from && !asked.to) asked.since = '1h';
  if (asked.since === 'all') delete asked.since;
  fill(out, el('p', {class: 'hint'}, 'searching …'));
  getJson(`/api/search${query(asked)}`, stop.signal).then((found) => {
    for (const t of found.traces) {
      t.start_ms = Number(BigInt(t.start_ns) / 1000n) / 1000;
      t.duration_ns = Number(t.duration_ns);
    }
    const draw = () => fill(out, results(found, Math.max(320, out.clientWidth)));
    draw();
    addEventListener('resize', draw, {signal: stop.signal});
    say(`${found.traces.length} traces found`);
  }).catch((error) => {
    if (error.name === 'AbortError') return;
    if (error.status !== 400 && error.status !== 503) return failed(error);
    fill(out, el('p', {class: 'error', role: 'alert'}, error.message));
  });
  return () => stop.abort();
}
