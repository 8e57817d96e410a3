// SPDX-License-Identifier: Apache-2.0
// One trace: why it was kept, the waterfall, and the span that is chosen.
import {getJson, query} from './api.js';
import {copyButton, count, duration, el, fill, hues, say, time} from './dom.js';
import {attributesOf, readTrace, sinceStart, textOf, valueOf, visible} from './tree.js';

const kRow = 24;  // pixels; page.css has the same
const kClosedMax = 100;  // spans that an address says are closed

// A threshold of the 56 bits that are compared, as hex digits without trailing zeros, and as a share.
const share = (digits) => parseInt(digits.padEnd(14, '0'), 16) / 2 ** 56;
const because = {root: 'its root had come, and nothing more came', timeout: 'decision_wait was over', size: 'it reached the most that is held of one trace',
  too_large: 'it was larger than maximum_trace_size_bytes', memory: 'memory was short', shutdown: 'Tailgate was stopped'};
const percent = (part) => `${(100 * part).toPrecision(3).replace(/\.?0+$/, '')} %`;

function why(e) {
  if (!e) return el('p', {class: 'hint'}, 'The decision about this trace is not remembered any more.');
  const decided = e.state === 'decided';
  const rows = (e.votes || []).map((v) => el('tr', {},
      el('th', {scope: 'row'}, v.policy), el('td', {}, el('span', {class: `state ${v.vote === 'sampled' ? 'good' : 'none'}`}, v.vote.replace('_', ' '))),
      el('td', {}, v.why || ''), el('td', {class: 'mono'}, v.attribute || ''),
      el('td', {class: 'mono'}, v.span_id ? el('a', {href: `?span=${v.span_id}`, 'data-span': v.span_id}, v.span_id) : '')));
  const chance = e.verdict_only ? '' : `random is ${e.random} (${percent(share(e.random))} of the range)`;
  const facts = [
    ['decided', e.verdict_only ? `because ${because[e.close_reason] || e.close_reason}` : decided ? `${time(Date.parse(e.decided))}, because ${because[e.close_reason] || e.close_reason}` : 'not yet: the trace is open'],
    ['chance', e.threshold && e.threshold !== '0' ? `${percent(1 - share(e.threshold))} of such traces are kept${e.verdict_only ? '' : `: random is ${e.random}, and had to be at least the threshold ${e.threshold.padEnd(14, '0')}`}` :
      e.threshold === '0' ? 'certain: every such trace is kept' : chance],
    e.shed_threshold ? ['shedding', `new traces had to pass the threshold ${e.shed_threshold}: ${percent(1 - share(e.shed_threshold))} did`] : null,
    e.shed ? ['not delivered', e.shed] : null,
    ['missing', e.missing_parents_count ? `${e.missing_parents_count} ${e.missing_parents_count === 1 ? 'parent that a span names has' : 'parents that spans name have'} not come: ${e.missing_parents.join(', ')}` :
      e.complete ? 'nothing: the root and every parent were there' : decided && !e.verdict_only ? 'the root span' : null],
    e.late_spans ? ['late', `${e.late_spans} spans came after the verdict, ${e.late_errors} with errors`] : null,
    e.exporters && e.exporters.length ? ['given to', e.exporters.join(', ')] : null,
  ].filter((fact) => fact && fact[1]);
  return [el('dl', {class: 'facts'}, facts.map(([name, text]) => [el('dt', {}, name), el('dd', {}, text)])),
    rows.length ? el('div', {class: 'scroll'}, el('table', {}, el('thead', {}, el('tr', {}, ['policy', 'vote', 'because', 'attribute', 'span'].map((t) => el('th', {scope: 'col'}, t)))), el('tbody', {}, rows))) : null];
}

function verdictLine(e, stored) {
  if (!e) return stored ? 'kept' : '';
  if (e.state !== 'decided') return 'not decided yet';
  if (e.verdict === 'sampled') return e.policy ? `kept by ${e.policy}` : 'kept';
  return e.policy ? `${e.verdict.replace('_', ' ')} by ${e.policy}` : e.verdict.replace('_', ' ');
}

function remembered(main, id, e) {
  fill(main, el('h1', {}, e.root ? `${e.root.service} ${e.root.name}` : e.verdict_only ? 'A trace of which only the verdict is remembered' : 'A trace without a root span'),
      el('p', {class: 'ids'}, el('span', {class: 'mono'}, id), copyButton(() => id, 'trace id')),
      el('p', {class: e.state === 'decided' ? 'warnings' : 'hint'}, e.state === 'decided' ? e.verdict === 'sampled' ?
          'This trace was kept, but it is not in the store (any more): this is what is remembered of it.' :
          'The spans of this trace are gone: this is what is remembered of it.' : 'This trace is still open: its spans are in memory until it is decided.'),
      el('dl', {class: 'facts'}, [['verdict', verdictLine(e, false)], ...e.verdict_only ? [] : [['spans', `${count(e.spans)}, ${count(e.errors)} with errors`], ['duration', duration(e.duration_ms * 1e6)],
        ['first span came', time(Date.parse(e.first_seen))]]].map(([n, t]) => [el('dt', {}, n), el('dd', {}, t)])),
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

const plain = (list) => (list.length === 0 ? null : el('table', {class: 'plain attributes'}, el('tbody', {}, list.map((a) => el('tr', {},
    el('th', {scope: 'row'}, a.key), el('td', {class: 'value'}, textOf(a.value)), el('td', {}, copyButton(() => textOf(a.value), a.key)))))));

const afterStart = (ns) => (ns === null ? '' : ns < 0 ? `${duration(-ns)} before the start` : `${duration(ns)} after the start`);

function details(trace, span) {
  const hue = (service) => trace.hues.get(service);
  const raw = span.raw;
  const attributes = attributesOf(raw.attributes);
  const scope = [['name', span.scope.name], ['version', span.scope.version]].filter(([, v]) => v).map(([key, value]) => ({key, value}))
      .concat(attributesOf(span.scope.attributes));
  const own = span.critical.reduce((t, [a, b]) => t + b - a, 0);
  return [
    el('h2', {}, el('span', {class: 'service', vars: {'--hue': hue(span.service)}}, span.service), ' ', span.name),
    el('p', {class: 'ids'}, el('span', {class: 'mono'}, span.id), copyButton(() => span.id, 'span id'), copyButton(() => JSON.stringify(raw, null, 1), 'span as JSON', 'copy as JSON')),
    el('dl', {class: 'facts'}, [
      ['duration', duration((span.end - span.start) * 1e6)], ['starts', `${duration(span.start * 1e6)} after the first`],
      ['kind', span.kind], ['status', `${['unset', 'ok', 'error'][span.status.code || 0]}${span.status.message ? `: ${span.status.message}` : ''}`],
      ['critical path', own ? `${duration(own * 1e6)} of it` : 'not on it'],
      span.parent ? ['parent', span.parent.name] : span.parentId ? ['parent', `${span.parentId}${span.lost ? ', which has not come' : ''}`] : null,
      raw.traceState ? ['trace state', raw.traceState] : null,
      raw.droppedAttributesCount || raw.droppedEventsCount || raw.droppedLinksCount ? ['cut by the SDK', [['attributes', raw.droppedAttributesCount],
        ['events', raw.droppedEventsCount], ['links', raw.droppedLinksCount]].filter(([, n]) => n).map(([what, n]) => `${n} ${what}`).join(', ')] : null,
    ].filter(Boolean).map(([n, t]) => [el('dt', {}, n), el('dd', {class: n === 'status' && span.error ? 'bad' : null}, t)])),
    attributeTable(attributes, 'Attributes'),
    (raw.events || []).length ? el('details', {open: true}, el('summary', {}, 'Events ', el('span', {class: 'hint'}, raw.events.length)),
        raw.events.slice(0, 200).map((event) => el('div', {class: 'event'}, el('p', {}, el('b', {}, event.name || ''), ' ',
            el('span', {class: 'hint'}, afterStart(sinceStart(span, event)))),
        plain(attributesOf(event.attributes))))) : null,
    (raw.links || []).length ? el('details', {open: true}, el('summary', {}, 'Links ', el('span', {class: 'hint'}, raw.links.length)),
        raw.links.slice(0, 200).map((link) => el('div', {class: 'event'}, el('p', {}, el('a', {href: `/trace/${encodeURIComponent(link.traceId || '')}?span=${encodeURIComponent(link.spanId || '')}`, class: 'mono'},
            link.traceId === raw.traceId ? `span ${link.spanId} of this trace` : `trace ${link.traceId}`)),
        plain([...(link.traceState ? [{key: 'trace state', value: link.traceState}] : []), ...attributesOf(link.attributes)])))) : null,
    attributeTable(span.resource, 'Resource'), attributeTable(scope, 'Scope'),
  ];
}

function textsOf(span) {
  if (span.texts === undefined) {
    const flat = (list) => (list || []).map((kv) => `${kv.key}=${textOf(valueOf(kv.value))}`);
    span.texts = [span.name, span.service, span.id, span.kind, span.status.message || '', ...flat(span.raw.attributes),
      ...(span.raw.events || []).flatMap((event) => [event.name || '', ...flat(event.attributes)])].join('\n').toLowerCase();
  }
  return span.texts;
}

// The waterfall draws only the rows that can be seen, so that 10,000 spans cost what 50 do.
class Waterfall {
  // `choose` is told the span that is chosen, `changed` that spans were closed or opened.
  constructor(trace, choose, changed) {
    this.trace = trace;
    this.choose = choose;
    this.changed = changed;
    this.closed = new Set();
    this.found = new Set();
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
    this.resize = new ResizeObserver(() => { this.draw(); });
  }

  layout() {
    this.rows = visible(this.trace, (span) => !this.closed.has(span));
    this.place = new Map(this.rows.map((row, i) => [row.span, i]));
    this.inner.style.height = `${this.rows.length * kRow}px`;
    let shown = this.chosen;
    while (shown && !this.place.has(shown)) shown = shown.parent;
    if (shown !== this.chosen) this.select(shown);
    else this.draw(true);
  }

  draw(anew = false) {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / kRow) - 5);
    const last = Math.min(this.rows.length, Math.ceil((this.scroll.scrollTop + (this.scroll.clientHeight || 600)) / kRow) + 5);
    if (!anew && first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    const at = this.place.get(this.chosen);  // also drawn where it is not seen, as the tree names it to screen readers
    const row = (i) => this.row(this.rows[i], i);
    fill(this.inner, at < first ? row(at) : null, this.rows.slice(first, last).map((_, i) => row(first + i)), at >= last ? row(at) : null);
    this.mapLater();
  }

  // How long it took: behind its bar, else before it, else on it.
  timeOf(span, total) {
    const text = duration((span.end - span.start) * 1e6), room = 0.13;
    if (span.end / total < 1 - room) return el('span', {class: 'time', vars: {'--from': `${span.end / total * 100}%`}}, text);
    if (span.start / total > room) return el('span', {class: 'time before', vars: {'--until': `${(1 - span.start / total) * 100}%`}}, text);
    return el('span', {class: 'time on', vars: {'--from': `${span.start / total * 100}%`}}, text);
  }

  // After the rows are on the screen: people look at these first.
  mapLater() {
    if (this.mapping) return;
    this.mapping = true;
    requestAnimationFrame(() => setTimeout(() => {
      this.mapping = false;
      this.map();
    }));
  }

  row({span, depth}, at) {
    const total = this.trace.duration || 1;
    const share = (ms) => `${ms / total * 100}%`;
    const open = !this.closed.has(span);
    const chosen = span === this.chosen;
    const match = this.found.has(span);
    return el('div', {class: `row${chosen ? ' chosen' : ''}${match ? ' match' : ''}`, role: 'treeitem', id: `row-${span.number}`,
      'aria-level': depth + 1, 'aria-setsize': span.siblings, 'aria-posinset': span.position,
      'aria-expanded': span.children.length ? String(open) : null, 'aria-selected': String(chosen), vars: {'--at': `${at * kRow}px`, '--hue': this.trace.hues.get(span.service)},
      onclick: () => this.select(span)},
    el('span', {class: 'label', vars: {'--depth': String(Math.min(depth, 40))}, title: `${span.service}: ${span.name}`},
        span.children.length ? el('button', {type: 'button', class: 'twist', tabindex: -1, 'aria-label': open ? 'Close' : 'Open', onclick: (event) => {
          event.stopPropagation();
          this.toggle(span);
          this.scroll.focus({preventScroll: true});  // the button that had it is drawn anew
        }}, open ? '▾' : '▸') : el('span', {class: 'twist'}),
        span.error ? el('span', {class: 'mark bad', title: 'error'}, '!') : null,
        span.lost ? el('span', {class: 'mark lost', title: `its parent ${span.parentId} has not come`}, '?') : null,
        (span.raw.links || []).length ? el('span', {class: 'mark', title: `${span.raw.links.length} links to other spans`}, '↗') : null,
        el('span', {class: 'service'}, span.service), ' ', span.name),
    el('span', {class: 'lane'},
        el('span', {class: `bar${span.error ? ' error' : ''}`, vars: {'--from': share(span.start), '--width': share(span.end - span.start)}}),
        span.critical.map(([from, to]) => el('span', {class: 'critical', vars: {'--from': share(from), '--width': share(to - from)}})),
        (span.raw.events || []).slice(0, 20).filter((event) => sinceStart(span, event) !== null).map((event) => el('span', {class: 'dot', title: event.name || '',
          vars: {'--from': share(span.start + sinceStart(span, event) / 1e6)}})),
        this.timeOf(span, total)));
  }

  // The whole trace in a strip, painted once, and over it which part of it is seen.
  map() {
    const width = this.canvas.clientWidth || 900, height = this.canvas.clientHeight || 60;
    const scale = devicePixelRatio || 1, dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const key = `${width} ${height} ${scale} ${dark}`;
    if (this.strip === undefined || this.stripOf !== this.rows || this.stripKey !== key) {
      this.strip = el('canvas', {});
      this.stripOf = this.rows;
      this.stripKey = key;
      this.paint(this.strip, width, height, scale, dark);
    }
    this.canvas.width = this.strip.width;
    this.canvas.height = this.strip.height;
    const g = this.canvas.getContext('2d');
    g.drawImage(this.strip, 0, 0);
    g.scale(scale, scale);
    const seen = this.scroll.clientHeight / (this.rows.length * kRow || 1);
    if (seen < 1) {
      g.strokeStyle = dark ? '#fff' : '#000';
      g.strokeRect(0.5, this.scroll.scrollTop / (this.rows.length * kRow) * height + 0.5, width - 1, Math.max(3, seen * height) - 1);
    }
  }

  paint(canvas, width, height, scale, dark) {
    canvas.width = width * scale;
    canvas.height = height * scale;
    const g = canvas.getContext('2d');
    g.scale(scale, scale);
    const total = this.trace.duration || 1, tall = Math.min(10, Math.max(1, height / this.rows.length - 1));
    const colours = new Map([...this.trace.services.keys()].map((service) => [service, `hsl(${this.trace.hues.get(service)} 45% ${dark ? 60 : 50}%)`]));
    this.rows.forEach(({span}, i) => {
      g.fillStyle = span.error ? '#d33' : colours.get(span.service);
      g.fillRect(span.start / total * width, i / this.rows.length * height, Math.max(1, (span.end - span.start) / total * width), tall);
    });
  }

  toggle(span) {
    if (this.closed.has(span)) this.closed.delete(span);
    else this.closed.add(span);
    this.layout();
    this.changed();
  }
  closeAll() {
    for (const span of this.trace.spans) if (span.children.length && span.parent) this.closed.add(span);
    this.layout();
    this.changed();
  }
  openAll() {
    this.closed.clear();
    this.layout();
    this.changed();
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
    this.scroll.setAttribute('aria-activedescendant', `row-${span.number}`);
    this.choose(span);
  }

  // The spans that have the text in a name, an id, an attribute, an event or a status.
  mark(text) {
    const wanted = text.trim().toLowerCase();
    const found = wanted ? visible(this.trace, () => true).map((row) => row.span).filter((span) => textsOf(span).includes(wanted)) : [];
    this.found = new Set(found);
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
  trace.hues = hues(trace.services.keys());
  const hue = (service) => trace.hues.get(service);
  const root = trace.roots[0];
  const side = el('aside', {class: 'details', 'aria-label': 'The chosen span'}, el('p', {class: 'hint'}, 'Choose a span.'));
  const waterfall = new Waterfall(trace, (span) => {
    fill(side, details(trace, span));
    side.scrollTop = 0;
    address();
  }, () => address());
  const address = () => history.replaceState(null, '', `/trace/${id}${query({span: waterfall.chosen && waterfall.chosen.key, find: find.value.trim(),
    closed: [...waterfall.closed].slice(0, kClosedMax).map((span) => span.key).join('.')})}`);
  let matches = [], next = -1;
  const found = el('span', {class: 'hint', role: 'status'});
  const look = (text) => {
    matches = waterfall.mark(text);
    next = -1;
    fill(found, text.trim() ? `${count(matches.length)} ${matches.length === 1 ? 'span' : 'spans'}` : '');
  };
  const step = (by) => {
    if (matches.length === 0) return;
    next = next < 0 && by < 0 ? matches.length - 1 : (next + by + matches.length) % matches.length;
    fill(found, `${next + 1} of ${count(matches.length)}`);
    waterfall.select(matches[next], true);
  };
  const find = el('input', {type: 'search', placeholder: 'find: a name, a value, an id', size: 26, 'aria-label': 'Find spans in this trace', value: params.get('find') || '', oninput: (event) => {
    look(event.target.value);
    address();
  }, onkeydown: (event) => {
    if (event.key === 'Enter') step(event.shiftKey ? -1 : 1);
  }});
  const e = answer.explained;
  const whyBox = el('details', {class: 'why', open: trace.spans.length < 200}, el('summary', {}, 'Why: ', verdictLine(e, true) + (answer.policy && !e ? ` by ${answer.policy}` : '')), why(e));
  whyBox.addEventListener('click', (event) => {
    const link = event.target.closest('[data-span]');
    if (!link) return;
    event.preventDefault();
    event.stopPropagation();
    const span = trace.byKey.get(link.dataset.span);
    if (span) waterfall.select(span, true);
    else say('that span is not in the stored trace');
  });
  fill(main,
      el('h1', {}, root ? [el('span', {class: 'service', vars: {'--hue': hue(root.service)}}, root.service), ' ', root.name] : 'Trace'),
      el('p', {class: 'ids'}, el('span', {class: 'mono'}, id), copyButton(() => id, 'trace id'), ' ', time(trace.startMs), ' · ', duration(trace.duration * 1e6), ' · ',
          `${count(trace.spans.length)} spans · `, trace.errors ? el('span', {class: 'state bad'}, `${count(trace.errors)} ${trace.errors === 1 ? 'error' : 'errors'}`) : 'no errors', trace.missing ? ` · ${count(trace.missing)} without their parent` : '', ' · ',
          [...trace.services].map(([name, spans]) => el('span', {class: 'service', vars: {'--hue': hue(name)}, title: `${spans} spans`}, name))),
      answer.parts_lost ? el('p', {class: 'warnings'}, `Spans are missing: blocks of the store with ${answer.parts_lost} parts of this trace are damaged.`) : null,
      whyBox,
      el('p', {class: 'tools'}, find, el('button', {type: 'button', 'aria-label': 'The span found before', onclick: () => step(-1)}, '↑'),
          el('button', {type: 'button', 'aria-label': 'The next span found', onclick: () => step(1)}, '↓'), found, ' ', el('button', {type: 'button', onclick: () => waterfall.openAll()}, 'open all'), ' ',
          el('button', {type: 'button', onclick: () => waterfall.closeAll()}, 'close all'), ' ',
          el('a', {href: `/api/trace/${id}/otlp`, download: `${id}.json`}, 'download as OTLP JSON'), ' ',
          el('span', {class: 'legend'}, el('span', {class: 'critical-key'}), ' critical path')),
      el('div', {class: 'split'}, waterfall.node, side));
  for (const closed of (params.get('closed') || '').split('.')) if (trace.byKey.has(closed)) waterfall.closed.add(trace.byKey.get(closed));
  waterfall.layout();
  waterfall.resize.observe(waterfall.scroll);
  if (find.value) look(find.value);
  const wanted = params.get('span') && trace.byKey.get(params.get('span'));
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
