// SPDX-License-Identifier: Apache-2.0
// Services: who calls whom, how often, how many of these requests fail and how long they take, over all spans from before
// sampling. Counts are told for the last minutes while the view is open, and since the start before there are two.
import {getJson, query} from './api.js';
import {count, duration, el, fill, hues} from './dom.js';

const kEvery = 2000, kMinutes = 5;
const kBox = {width: 170, height: 46, gapX: 90, gapY: 22};
let samples = [];  // {at, edges: a map by key}, oldest first

const keyOf = (edge) => JSON.stringify([edge.client, edge.server, edge.type]);
const minus = (a, b) => a.map((n, i) => n - (b ? b[i] : 0));
const add = (a, b) => b.map((n, i) => (a ? a[i] : 0) + n);

// What each edge has had since `past`, and the seconds that is; since the start without one.
function since(past, now) {
  const edges = [];
  for (const [key, edge] of now.edges) {
    const before = past && past.edges.get(key);
    const fresh = before && countsOf(before).every((n, i) => n <= countsOf(edge)[i]) ? before : null;  // else it is a new one
    const requests = edge.requests - (fresh ? fresh.requests : 0);
    if (requests === 0) continue;
    edges.push({client: edge.client, server: edge.server, type: edge.type, requests, failed: edge.failed - (fresh ? fresh.failed : 0),
      server_buckets: minus(edge.server_buckets, fresh && fresh.server_buckets),
      client_buckets: minus(edge.client_buckets, fresh && fresh.client_buckets)});
  }
  return {edges, seconds: past ? (now.at - past.at) / 1000 : null};
}

const countsOf = (edge) => [edge.requests, edge.failed, ...edge.server_buckets, ...edge.client_buckets];

// The duration that all but a twentieth stay under, drawn straight between the bounds of its bucket.
export function p95(buckets, bounds) {
  const all = buckets.reduce((a, b) => a + b, 0);
  if (all === 0) return null;
  let below = 0;
  for (let i = 0; i < bounds.length; ++i) {
    if (below + buckets[i] >= 0.95 * all) {
      const from = i === 0 ? 0 : bounds[i - 1];
      return {ns: from + (bounds[i] - from) * (0.95 * all - below) / buckets[i], over: false};
    }
    below += buckets[i];
  }
  return {ns: bounds.at(-1), over: true};
}
const tell = (p) => (p === null ? '' : `${p.over ? 'over ' : ''}${duration(Math.round(p.ns))}`);

// A service by the requests that it serves, or, where it sends no spans, by what its callers measured.
function nodesOf(edges) {
  const nodes = new Map();
  const node = (name) => {
    if (!nodes.has(name)) nodes.set(name, {name, requests: 0, failed: 0, buckets: null, sendsSpans: false});
    return nodes.get(name);
  };
  for (const edge of edges) {
    const client = node(edge.client), server = node(edge.server);
    const user = edge.type === 'virtual_node' && edge.client_buckets.every((n) => n === 0);
    if (!user) client.sendsSpans = true;
    if (user || edge.type === '' || edge.type === 'messaging_system') server.sendsSpans = true;
    server.requests += edge.requests;
    server.failed += edge.failed;
    server.buckets = add(server.buckets, edge.server_buckets.some((n) => n > 0) ? edge.server_buckets : edge.client_buckets);
  }
  return [...nodes.values()];
}

// Columns from the left: a node stands right of those that call it, as far as there is no circle.
function columnsOf(nodes, edges) {
  const column = new Map(nodes.map((n) => [n.name, 0]));
  for (let round = 0; round < Math.min(nodes.length, 12); ++round) {
    let moved = false;
    for (const edge of edges) {
      const wanted = Math.min(column.get(edge.client) + 1, 12);
      if (edge.client === edge.server || column.get(edge.server) >= wanted) continue;
      column.set(edge.server, wanted);
      moved = true;
    }
    if (!moved) break;
  }
  const out = [];
  for (const node of [...nodes].sort((a, b) => b.requests - a.requests)) (out[column.get(node.name)] ||= []).push(node);
  return out.filter(Boolean);
}

const share = (n, all) => (all === 0 ? '' : `${(100 * n / all).toFixed(1)} %`);
const search = (node) => `/${query({view: 'traces', service: node.name})}`;
const short = (text) => (text.length > 22 ? `${text.slice(0, 21)}…` : text);

function graph(nodes, edges, bounds, rateOf) {
  const columns = columnsOf(nodes, edges), colours = hues(nodes.map((n) => n.name)), places = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => places.set(node.name,
      {x: x * (kBox.width + kBox.gapX) + 4, y: y * (kBox.height + kBox.gapY) + 4})));
  const width = columns.length * (kBox.width + kBox.gapX) - kBox.gapX + 8;
  const height = Math.max(...columns.map((c) => c.length)) * (kBox.height + kBox.gapY) - kBox.gapY + 8;
  const most = Math.max(...edges.map((e) => e.requests));
  const lines = edges.filter((e) => e.client !== e.server).map((edge) => {
    const a = places.get(edge.client), b = places.get(edge.server);
    const x1 = a.x + kBox.width, y1 = a.y + kBox.height / 2, x2 = b.x, y2 = b.y + kBox.height / 2, bend = Math.max(40, Math.abs(x2 - x1) / 2);
    return el('path', {class: edge.failed > 0 ? 'call failed' : 'call', d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`,
      'stroke-width': (1 + 4 * Math.sqrt(edge.requests / most)).toFixed(1)},
    el('title', {}, `${edge.client} to ${edge.server}: ${rateOf(edge.requests)}, ${share(edge.failed, edge.requests)} failed`));
  });
  const boxes = nodes.map((node) => {
    const at = places.get(node.name);
    const told = node.requests ? `${rateOf(node.requests)}, ${share(node.failed, node.requests)} failed, ${tell(p95(node.buckets, bounds))}` : 'calls others';
    const box = [el('title', {}, `${node.name}: ${told}`),
      el('rect', {class: node.sendsSpans ? 'node' : 'node outside', x: at.x, y: at.y, width: kBox.width, height: kBox.height, rx: 5, vars: {'--hue': colours.get(node.name)}}),
      el('text', {x: at.x + 10, y: at.y + 19, class: 'node-name'}, short(node.name)),
      el('text', {x: at.x + 10, y: at.y + 36, class: node.failed > 0 ? 'node-told bad' : 'node-told'},
          node.requests ? `${rateOf(node.requests)} · ${share(node.failed, node.requests)} · ${tell(p95(node.buckets, bounds))}` : '')];
    return el('g', {class: node.sendsSpans ? 'go' : null, onclick: node.sendsSpans ? () => { document.querySelector(`a[data-node="${CSS.escape(node.name)}"]`).click(); } : null}, box);
  });
  return el('div', {class: 'scroll'}, el('svg', {viewBox: `0 0 ${width} ${height}`, width, height, class: 'service-map', role: 'img',
    'aria-label': `${nodes.length} services and ${edges.length} connections; the tables below have them in words`}, lines, boxes));
}

function table(caption, heads, rows) {
  return el('section', {}, el('h2', {}, caption), el('div', {class: 'scroll'}, el('table', {class: 'plain'},
      el('thead', {}, el('tr', {}, heads.map(([text, number]) => el('th', {scope: 'col', class: number ? 'n' : null}, text)))), el('tbody', {}, rows))));
}

const failedCell = (n, all) => el('td', {class: 'n'}, n > 0 ? el('span', {class: 'state bad'}, share(n, all)) : share(n, all));

const overflowNote = (requests) => (requests === 0 ? null : el('p', {class: 'hint overflow', role: 'note'},
    `${count(requests)} requests since the start are in none of these connections: there are more than `, el('code', {}, 'service_graph.edges_max'), '.'));

function draw(body, bounds, overflow, {edges, seconds}) {
  if (edges.length === 0) {
    fill(body, el('p', {class: 'hint'}, seconds === null ? 'No request between services has been seen yet.' : 'No request between services in the last minutes.'));
    return;
  }
  const rateOf = (n) => (seconds === null ? count(n) : `${count(n / seconds)}/s`);
  const nodes = nodesOf(edges);
  const requests = [seconds === null ? 'requests' : 'requests a second', true];
  fill(body,
      el('p', {class: 'hint'}, seconds === null ? 'Since the start; rates come in some seconds.' : `The last ${duration(Math.round(seconds) * 1e9)}.`,
          ' A dashed box sends no spans of its own. The time is what 95 of 100 requests stay under.'),
      overflowNote(overflow),
      graph(nodes, edges, bounds, rateOf),
      table('Services', [['service'], requests, ['failed', true], ['95 % within', true]],
          nodes.sort((a, b) => b.requests - a.requests).map((node) => el('tr', {},
              el('th', {scope: 'row'}, node.sendsSpans ? el('a', {href: search(node), 'data-node': node.name}, node.name) : node.name),
              el('td', {class: 'n'}, node.requests ? rateOf(node.requests) : ''), failedCell(node.failed, node.requests),
              el('td', {class: 'n'}, node.buckets ? tell(p95(node.buckets, bounds)) : '')))),
      table('Connections', [['from'], ['to'], ['kind'], requests, ['failed', true], ['95 % within, at the server', true], ['at the client', true]],
          edges.sort((a, b) => b.requests - a.requests).map((edge) => el('tr', {}, el('td', {}, edge.client), el('td', {}, edge.server),
              el('td', {class: 'hint'}, edge.type.replaceAll('_', ' ')), el('td', {class: 'n'}, rateOf(edge.requests)), failedCell(edge.failed, edge.requests),
              el('td', {class: 'n'}, tell(p95(edge.server_buckets, bounds))), el('td', {class: 'n'}, tell(p95(edge.client_buckets, bounds)))))));
}

export function showServices(main, params, failed) {
  const stop = new AbortController();
  const body = el('div', {});
  let timer = null, drawn = false;
  fill(main, el('h1', {}, 'Services'), body);
  const tick = async () => {
    try {
      const answer = await getJson('/api/service_map', stop.signal), at = Date.now();
      if (!answer.on) {
        fill(body, el('p', {class: 'hint'}, 'There is no service graph. Add service_graph: {} to the configuration: it counts the requests between services over all spans, before sampling. See ',
            el('code', {}, 'docs/signals.md'), '.'));
        return;
      }
      const now = {at, edges: new Map(answer.edges.map((edge) => [keyOf(edge), edge]))};
      samples = samples.filter((s) => s.at > at - kMinutes * 60000);
      drawn = true;
      if (!body.contains(document.activeElement)) draw(body, answer.bounds_ns, answer.overflow, since(samples[0] || null, now));
      samples.push(now);
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (drawn) fill(body, el('p', {class: 'error', role: 'alert'}, error.message));
      else failed(error);
    }
    timer = setTimeout(tick, kEvery);
  };
  tick();
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}
