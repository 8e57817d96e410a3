// SPDX-License-Identifier: Apache-2.0
// One trace: why it was kept, the waterfall, and the span that is chosen.
import {getJson} from './api.js';
import {copyButton, count, duration, el, fill, hue, say, time} from './dom.js';
import {readTrace, textOf, valueOf, visible} from './tree.js';

const kRow = 24;  // pixels; page.css has the same

function why(e) {
  if (!e) return el('p', {class: 'hint'}, 'The decision about this trace is not remembered any more.');
  const decided = e.state === 'decided';
  const rows = (e.votes || []).map((v) => el('tr', {},
      el('th', {scope: 'row'}, v.policy), el('td', {}, el('span', {class: `state ${v.vote === 'sampled' ? 'good' : 'none'}`}, v.vote.replace('_', ' '))),
      el('td', {}, v.why || ''), el('td', {class: 'mono'}, v.attribute || ''),
      el('td', {class: 'mono'}, v.span_id ? el('a', {href: `?span=${v.span_id}`, 'data-span': v.span_id}, v.span_id) : '')));
  const facts = [
    ['decided', decided ? `${time(Date.parse(e.decided))}, because of ${e.close_reason.replace(/_/g, ' ')}` : 'not yet: the trace is open'],
    e.threshold && e.threshold !== '0' ? ['chance', `threshold ${e.threshold}, random ${e.random}: kept where random is at least the threshold`] : null,
    e.shed_threshold ? ['shedding', `new traces had to pass ${e.shed_threshold}`] : null,
    e.shed ? ['not delivered', e.shed] : null,
    e.missing_parents_count ? ['missing', `${e.missing_parents_count} parents that spans name have not come: ${e.missing_parents.join(', ')}`] : null,
    e.late_spans ? ['late', `${e.late_spans} spans came after the verdict, ${e.late_errors} with errors`] : null,
    e.exporters && e.exporters.length ? ['given to', e.exporters.join(', ')] : null,
  ].filter(Boolean);
  return [el('dl', {class: 'facts'}, facts.map(([name, text]) => [el('dt', {}, name), el('dd', {}, text)])),
    rows.length ? el('table', {}, el('thead', {}, el('tr', {}, ['policy', 'vote', 'because', 'attribute', 'span'].map((t) => el('th', {}, t)))), el('tbody', {}, rows)) : null];
}

function verdictLine(e, stored) {
  if (!e) return stored ? 'kept' : '';
  if (e.state !== 'decided') return 'not decided yet';
  if (e.verdict === 'sampled') return e.policy ? `kept by ${e.policy}` : 'kept';
  return e.policy ? `${e.verdict.replace('_', ' ')} by ${e.policy}` : e.verdict.replace('_', ' ');
}

function remembered(main, id, e) {
  fill(main, el('h1', {}, e.root ? `${e.root.service} ${e.root.name}` : 'A trace without a root span'),
      el('p', {class: 'ids'}, el('span', {class: 'mono'}, id), copyButton(() => id, 'trace id')),
      el('p', {class: e.state === 'decided' ? 'warnings' : 'hint'}, e.state === 'decided' ? e.verdict === 'sampled' ?
          'This trace was kept, but it is not in the store (any more): this is what is remembered of it.' :
          'The spans of this trace are gone: this is what is remembered of it.' : 'This trace is still open: its spans are in memory until it is decided.'),
      el('dl', {class: 'facts'}, [['verdict', verdictLine(e, false)], ['spans', `${count(e.spans)}, ${count(e.errors)} with errors`], ['duration', duration(e.duration_ms * 1e6)],
        ['first span came', time(Date.parse(e.first_seen))]].map(([n, t]) => [el('dt', {}, n), el('dd', {}, t)])),
      el('section', {}, el('h2', {}, 'Why'), why(e)));
}

// Searchable and copyable attributes.
function attributeTable(list, title) {
  if (list.length === 0) return null;
  const body = el('tbody', {});
  const draw = (filter) => fill(body, list.filter((a) => !filter || `${a.key} ${textOf(a.value)}`.toLowerCase().includes(filter)).map((a) => el('tr', {},
      el('th', {scope: 'row'}, a.key), el('td', {class: 'value'}, textOf(a.value)), el('td', {}, copyButton(() => textOf(a.value), a.key)))));
  draw('');
  const filter = list.length > 8 ? el('input', {type: 'search', placeholder: 'filter', 'aria-label': `Filter ${title}`, oninput: (event) => draw(event.target.value.toLowerCase())}) : null;
  return el('details', {open: true}, el('summary', {}, title, ' ', el('span', {class: 'hint'}, list.length)), filter, el('table', {class: 'plain attributes'}, body));
}

function details(trace, span) {
  const raw = span.raw;
  const attributes = (raw.attributes || []).map((kv) => ({key: kv.key, value: valueOf(kv.value)}));
  const scope = [['name', span.scope.name], ['version', span.scope.version]].filter(([, v]) => v).map(([key, value]) => ({key, value}))
      .concat((span.scope.attributes || []).map((kv) => ({key: kv.key, value: valueOf(kv.value)})));
  const own = span.critical.reduce((t, [a, b]) => t + b - a, 0);
  return [
    el('h2', {}, el('span', {class: 'service', vars: {'--hue': hue(span.service)}}, span.service), ' ', span.name),
    el('p', {class: 'ids'}, el('span', {class: 'mono'}, span.id), copyButton(() => span.id, 'span id')),
    el('dl', {class: 'facts'}, [
      ['duration', duration((span.end - span.start) * 1e6)], ['starts', `${duration(span.start * 1e6)} after the first`],
      ['kind', span.kind], ['status', `${['unset', 'ok', 'error'][span.status.code || 0]}${span.status.message ? `: ${span.status.message}` : ''}`],
      ['critical path', own ? `${duration(own * 1e6)} of it` : 'not on it'],
      span.parentId ? ['parent', trace.byId.has(span.parentId) ? trace.byId.get(span.parentId).name : `${span.parentId}, which has not come`] : null,
    ].filter(Boolean).map(([n, t]) => [el('dt', {}, n), el('dd', {class: n === 'status' && span.error ? 'bad' : null}, t)])),
    attributeTable(attributes, 'Attributes'),
    (raw.events || []).length ? el('details', {open: true}, el('summary', {}, 'Events ', el('span', {class: 'hint'}, raw.events.length)),
        raw.events.slice(0, 200).map((event) => el('div', {class: 'event'}, el('p', {}, el('b', {}, event.name || ''), ' ',
            el('span', {class: 'hint'}, `${duration(Number(BigInt(event.timeUnixNano || 0) - span.startNs))} after the start`)),
        el('table', {class: 'plain attributes'}, el('tbody', {}, (event.attributes || []).map((kv) => el('tr', {}, el('th', {scope: 'row'}, kv.key),
            el('td', {class: 'value'}, textOf(valueOf(kv.value)))))))))) : null,
    (raw.links || []).length ? el('details', {open: true}, el('summary', {}, 'Links ', el('span', {class: 'hint'}, raw.links.length)),
        el('ul', {}, raw.links.slice(0, 200).map((link) => el('li', {}, el('a', {href: `/trace/${encodeURIComponent(link.traceId || '')}?span=${encodeURIComponent(link.spanId || '')}`, class: 'mono'}, link.traceId || ''),
            (link.attributes || []).map((kv) => ` ${kv.key}=${textOf(valueOf(kv.value))}`))))) : null,
    attributeTable(span.resource, 'Resource'), attributeTable(scope, 'Scope'),
  ];
}

// The waterfall draws only the rows that can be seen, so that 10,000 spans cost what 50 do.
class Waterfall {
  constructor(trace, choose) {
    this.trace = trace;
    this.choose = choose;
    this.closed = new Set();
    this.marked = '';
    this.canvas = el('canvas', {class: 'minimap', 'aria-hidden': 'true'});
    this.inner = el('div', {class: 'inner'});
    this.scroll = el('div', {class: 'rows', role: 'tree', tabindex: 0, 'aria-label': 'Spans. Arrow keys move, left and right close and open.'}, this.inner);
    this.ticks = el('div', {class: 'ticks', 'aria-hidden': 'true'}, [0, 1, 2, 3, 4].map((i) => el('span', {}, duration(trace.duration * 1e6 * i / 4))));
    this.node = el('div', {class: 'waterfall'}, this.canvas, el('div', {class: 'ruler'}, el('span', {class: 'label'}, `${count(trace.spans.length)} spans`), this.ticks), this.scroll);
    this.scroll.addEventListener('scroll', () => this.draw());
    this.scroll.addEventListener('keydown', (event) => this.onKey(event));
    this.canvas.addEventListener('click', (event) => {
      const share = event.offsetY / this.canvas.clientHeight;
      this.scroll.scrollTop = share * this.rows.length * kRow - this.scroll.clientHeight / 2;
    });
    this.resize = new ResizeObserver(() => { this.map(); this.draw(); });
    this.resize.observe(this.scroll);
    this.layout();
  }

  layout() {
    this.rows = visible(this.trace, (span) => !this.closed.has(span));
    this.place = new Map(this.rows.map((row, i) => [row.span, i]));
    this.inner.style.height = `${this.rows.length * kRow}px`;
    this.map();
    this.draw(true);
  }

  draw(anew = false) {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / kRow) - 5);
    const last = Math.min(this.rows.length, Math.ceil((this.scroll.scrollTop + (this.scroll.clientHeight || 600)) / kRow) + 5);
    if (!anew && first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    fill(this.inner, this.rows.slice(first, last).map((row, i) => this.row(row, first + i)));
    this.map();
  }

  row({span, depth}, at) {
    const total = this.trace.duration || 1;
    const share = (ms) => `${ms / total * 100}%`;
    const open = !this.closed.has(span);
    const chosen = span === this.chosen;
    const match = this.marked && `${span.name} ${span.service}`.toLowerCase().includes(this.marked);
    return el('div', {class: `row${chosen ? ' chosen' : ''}${match ? ' match' : ''}`, role: 'treeitem', id: `row-${at}`, 'aria-level': depth + 1,
      'aria-expanded': span.children.length ? String(open) : null, 'aria-selected': String(chosen), vars: {'--at': `${at * kRow}px`, '--hue': hue(span.service)},
      onclick: () => this.select(span)},
    el('span', {class: 'label', vars: {'--depth': String(Math.min(depth, 40))}, title: `${span.service}: ${span.name}`},
        span.children.length ? el('button', {type: 'button', class: 'twist', tabindex: -1, 'aria-label': open ? 'Close' : 'Open', onclick: (event) => {
          event.stopPropagation();
          this.toggle(span);
        }}, open ? '▾' : '▸') : el('span', {class: 'twist'}),
        span.error ? el('span', {class: 'mark bad', title: 'error'}, '!') : null,
        el('span', {class: 'service'}, span.service), ' ', span.name),
    el('span', {class: 'lane'},
        el('span', {class: `bar${span.error ? ' error' : ''}`, vars: {'--from': share(span.start), '--width': share(span.end - span.start)}}),
        span.critical.map(([from, to]) => el('span', {class: 'critical', vars: {'--from': share(from), '--width': share(to - from)}})),
        (span.raw.events || []).slice(0, 20).map((event) => el('span', {class: 'dot', title: event.name || '',
          vars: {'--from': share(span.start + Number(BigInt(event.timeUnixNano || 0) - span.startNs) / 1e6)}})),
        el('span', {class: 'time', vars: {'--from': share(Math.min(span.start, total * 0.88))}}, duration((span.end - span.start) * 1e6))));
  }

  // The whole trace in a strip, and which part of it is seen.
  map() {
    if (!this.rows) return;
    const width = this.canvas.clientWidth || 900, height = this.canvas.clientHeight || 60;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const g = this.canvas.getContext('2d');
    g.scale(scale, scale);
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const total = this.trace.duration || 1, tall = Math.max(1, height / this.rows.length);
    this.rows.forEach(({span}, i) => {
      g.fillStyle = span.error ? '#d33' : `hsl(${hue(span.service)} 45% ${dark ? 60 : 50}%)`;
      g.fillRect(span.start / total * width, i / this.rows.length * height, Math.max(1, (span.end - span.start) / total * width), tall);
    });
    const seen = this.scroll.clientHeight / (this.rows.length * kRow || 1);
    if (seen < 1) {
      g.strokeStyle = dark ? '#fff' : '#000';
      g.strokeRect(0.5, this.scroll.scrollTop / (this.rows.length * kRow) * height, width - 1, Math.max(3, seen * height));
    }
  }

  toggle(span) {
    if (this.closed.has(span)) this.closed.delete(span);
    else this.closed.add(span);
    this.layout();
  }
  closeAll() {
    for (const span of this.trace.spans) if (span.children.length && span.parent) this.closed.add(span);
    this.layout();
  }
  openAll() {
    this.closed.clear();
    this.layout();
  }

  select(span, scroll = false) {
    for (let p = span.parent; p; p = p.parent) this.closed.delete(p);
    this.chosen = span;
    if (!this.place.has(span)) this.layout();
    const at = this.place.get(span);
    const top = at * kRow;
    if (scroll || top < this.scroll.scrollTop || top + kRow > this.scroll.scrollTop + this.scroll.clientHeight) {
      this.scroll.scrollTop = top - this.scroll.clientHeight / 2;
    }
    this.draw(true);
    this.scroll.setAttribute('aria-activedescendant', `row-${at}`);
    this.choose(span);
  }

  mark(text) {
    this.marked = text.toLowerCase();
    const found = this.marked ? this.trace.spans.filter((s) => `${s.name} ${s.service}`.toLowerCase().includes(this.marked)) : [];
    this.draw(true);
    return found;
  }

  onKey(event) {
    const at = this.chosen ? this.place.get(this.chosen) ?? 0 : -1;
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + 20, PageUp: at - 20}[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.select(this.rows[Math.max(0, Math.min(this.rows.length - 1, to))].span);
    } else if (this.chosen && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) {
      event.preventDefault();
      const open = !this.closed.has(this.chosen) && this.chosen.children.length > 0;
      if (event.key === 'ArrowRight' && this.closed.has(this.chosen)) this.toggle(this.chosen);
      else if (event.key === 'ArrowRight' && open) this.select(this.chosen.children[0]);
      else if (event.key === 'ArrowLeft' && open) this.toggle(this.chosen);
      else if (event.key === 'ArrowLeft' && this.chosen.parent) this.select(this.chosen.parent);
    }
  }
}

function stored(main, id, answer, params) {
  const trace = readTrace(answer.trace);
  const root = trace.roots[0];
  const side = el('aside', {class: 'details', 'aria-label': 'The chosen span'}, el('p', {class: 'hint'}, 'Choose a span.'));
  const waterfall = new Waterfall(trace, (span) => {
    fill(side, details(trace, span));
    const address = `/trace/${id}?span=${span.id}`;
    if (location.pathname + location.search !== address) history.replaceState(null, '', address);
  });
  let matches = [], next = 0;
  const find = el('input', {type: 'search', placeholder: 'find in this trace', 'aria-label': 'Find spans by name or service', oninput: (event) => {
    matches = waterfall.mark(event.target.value);
    next = 0;
    say(`${matches.length} spans`);
  }, onkeydown: (event) => {
    if (event.key === 'Enter' && matches.length) waterfall.select(matches[next++ % matches.length], true);
  }});
  const e = answer.explained;
  const whyBox = el('details', {class: 'why', open: trace.spans.length < 200}, el('summary', {}, 'Why: ', verdictLine(e, true) + (answer.policy && !e ? ` by ${answer.policy}` : '')), why(e));
  whyBox.addEventListener('click', (event) => {
    const link = event.target.closest('[data-span]');
    if (!link) return;
    event.preventDefault();
    event.stopPropagation();
    const span = trace.byId.get(link.dataset.span);
    if (span) waterfall.select(span, true);
    else say('that span is not in the stored trace');
  });
  fill(main,
      el('h1', {}, root ? [el('span', {class: 'service', vars: {'--hue': hue(root.service)}}, root.service), ' ', root.name] : 'Trace'),
      el('p', {class: 'ids'}, el('span', {class: 'mono'}, id), copyButton(() => id, 'trace id'), ' ', time(trace.startMs), ' · ', duration(trace.duration * 1e6), ' · ',
          `${count(trace.spans.length)} spans · `, trace.errors ? el('span', {class: 'state bad'}, `${count(trace.errors)} errors`) : 'no errors', ' · ',
          [...trace.services].map(([name, spans]) => el('span', {class: 'service', vars: {'--hue': hue(name)}, title: `${spans} spans`}, name))),
      answer.parts_lost ? el('p', {class: 'warnings'}, `Spans are missing: blocks of the store with ${answer.parts_lost} parts of this trace are damaged.`) : null,
      whyBox,
      el('p', {class: 'tools'}, find, ' ', el('button', {type: 'button', onclick: () => waterfall.openAll()}, 'open all'), ' ',
          el('button', {type: 'button', onclick: () => waterfall.closeAll()}, 'close all'), ' ',
          el('a', {href: `/api/trace/${id}/otlp`, download: `${id}.json`}, 'download as OTLP JSON'), ' ',
          el('span', {class: 'legend'}, el('span', {class: 'critical-key'}), ' critical path')),
      el('div', {class: 'split'}, waterfall.node, side));
  waterfall.layout();
  const wanted = params.get('span') && trace.byId.get(params.get('span'));
  if (wanted) waterfall.select(wanted, true);
  return () => waterfall.resize.disconnect();
}

export function showTrace(main, text, params, failed) {
  const stop = new AbortController();
  let leave = null;
  const id = text.trim().toLowerCase().padStart(32, '0');
  fill(main, el('p', {class: 'hint'}, 'loading …'));
  getJson(`/api/trace/${encodeURIComponent(id)}`, stop.signal).then((answer) => {
    if (stop.signal.aborted) return;
    if (answer.trace) leave = stored(main, id, answer, params);
    else remembered(main, id, answer.explained);
    say('trace loaded');
  }).catch(failed);
  return () => {
    stop.abort();
    if (leave) leave();
  };
}
