// SPDX-License-Identifier: Apache-2.0
// A trace as a tree: from OTLP JSON to spans in the order in which they are shown, and the critical path. No recursion:
// a trace may be 100,000 spans deep. Times are milliseconds after the first start, as numbers.

// The value of an OTLP AnyValue as JSON has it.
export function valueOf(any) {
  if (!any) return null;
  if ('stringValue' in any) return any.stringValue;
  if ('boolValue' in any) return any.boolValue;
  if ('intValue' in any) return Number.isSafeInteger(Number(any.intValue)) ? Number(any.intValue) : String(any.intValue);
  if ('doubleValue' in any) return any.doubleValue;
  if ('arrayValue' in any) return (any.arrayValue.values || []).map(valueOf);
  if ('kvlistValue' in any) return Object.fromEntries((any.kvlistValue.values || []).map((kv) => [kv.key, valueOf(kv.value)]));
  if ('bytesValue' in any) return `base64:${any.bytesValue}`;
  return null;
}

export const textOf = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

export const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];

export function attributesOf(list) {
  return (list || []).map((kv) => ({key: kv.key, value: valueOf(kv.value)}));
}

export function readTrace(otlp) {
  const spans = [];
  let origin = null;
  const nano = (text) => BigInt(text || 0);
  for (const rs of otlp.resourceSpans || []) {
    const resource = attributesOf(rs.resource && rs.resource.attributes);
    const named = resource.find((a) => a.key === 'service.name');
    const service = named ? textOf(named.value) : '(no service)';
    for (const ss of rs.scopeSpans || []) {
      for (const s of ss.spans || []) {
        const start = nano(s.startTimeUnixNano);
        if (start !== 0n && (origin === null || start < origin)) origin = start;
        spans.push({raw: s, id: s.spanId, parentId: /^0*$/.test(s.parentSpanId || '') ? '' : s.parentSpanId, service, resource, scope: ss.scope || {},
          name: s.name || '', kind: kinds[s.kind || 0] || String(s.kind), startNs: start, endNs: nano(s.endTimeUnixNano),
          error: !!s.status && s.status.code === 2, status: s.status || {}, children: [], parent: null, lost: false, walk: null, critical: []});
      }
    }
  }
  if (origin === null) origin = 0n;
  let end = 0;
  for (const s of spans) {
    s.start = s.startNs === 0n ? 0 : Number(s.startNs - origin) / 1e6;
    s.end = s.endNs < s.startNs ? s.start : Number(s.endNs - origin) / 1e6;
    end = Math.max(end, s.end);
  }
  spans.sort((a, b) => a.start - b.start);
  spans.forEach((s, i) => { s.number = i; });
  const byKey = linkParents(spans);
  cutCircles(spans);
  const roots = spans.filter((s) => !s.parent);
  for (const s of spans) if (s.parent) s.parent.children.push(s);
  const early = (a, b) => a.start - b.start || b.end - a.end;
  roots.sort((a, b) => (a.parentId ? 1 : 0) - (b.parentId ? 1 : 0) || early(a, b));
  for (const s of spans) s.children.sort(early);
  const place = (siblings) => siblings.forEach((s, i) => { s.position = i + 1; s.siblings = siblings.length; });
  place(roots);
  for (const s of spans) place(s.children);
  markCritical(roots[0]);
  const services = new Map();
  for (const s of spans) services.set(s.service, (services.get(s.service) || 0) + 1);
  return {spans, roots, byKey, duration: end, missing: spans.filter((s) => s.lost).length,
    startMs: Number(origin / 1000n) / 1000, services, errors: spans.filter((s) => s.error).length};
}

// As TraceQL does (wire/trace/trace_view.cc): of spans that share one id as Zipkin's do, the server goes under the client
// and the children of both under the server. It does so here for a pair without a parent too, which is one request to
// people. Returns the spans by `key`, what an address calls a span: its id, and of further spans with that id ID-2, ID-3.
function linkParents(spans) {
  const byKey = new Map(), same = new Map();  // `same`: of each id that several spans have, these
  for (const s of spans) {
    const first = byKey.get(s.id);
    s.key = s.id;
    if (first) {
      if (!same.has(s.id)) same.set(s.id, [first]);
      s.key = `${s.id}-${same.get(s.id).push(s)}`;
    }
    byKey.set(s.key, s);
  }
  const pairs = new Map();
  for (const [id, list] of same) {
    const server = list.find((s) => s.kind === 'server'), client = list.find((s) => s.kind === 'client');
    if (server && client) pairs.set(id, {server, client});
  }
  for (const s of spans) {
    const own = pairs.get(s.id), above = pairs.get(s.parentId);
    s.parent = own && own.server === s ? own.client : above ? above.server : byKey.get(s.parentId) || null;
    s.lost = !s.parent && s.parentId !== '';
  }
  return byKey;
}

// Spans that name each other as parents in a circle hang below no root: the earliest of each circle becomes one.
function cutCircles(spans) {
  for (const start of spans) {
    let span = start;
    while (span && !span.walk) {
      span.walk = start;  // where the walk began that came here
      span = span.parent;
    }
    if (!span || span.walk !== start) continue;
    let first = span;
    for (let s = span.parent; s !== span; s = s.parent) if (s.start < first.start) first = s;
    first.parent = null;
  }
}

// How long after its span's start an event was, in ns; null where one of them has no time.
export function sinceStart(span, event) {
  const at = BigInt(event.timeUnixNano || 0);
  return at === 0n || span.startNs === 0n ? null : Number(at - span.startNs);
}

// The spans that are open, in order, with their depth. `open` says whether a span's children are shown.
export function visible(trace, open) {
  const out = [];
  const stack = trace.roots.map((span) => [span, 0]).reverse();
  while (stack.length) {
    const [span, depth] = stack.pop();
    out.push({span, depth});
    if (!open(span)) continue;
    for (let i = span.children.length - 1; i >= 0; --i) stack.push([span.children[i], depth + 1]);
  }
  return out;
}

// What the trace waited for, from its end backwards: in each span the child that ended last, and before it began the
// one that ended last before that; what no child covers is the span's own time. Parts go into span.critical.
function markCritical(root) {
  if (!root) return;
  const stack = [[root, root.end]];
  while (stack.length) {
    const [span, until] = stack.pop();
    let at = Math.min(span.end, until);
    const children = [...span.children].sort((a, b) => b.end - a.end);
    for (const child of children) {
      if (child.start >= at || child.end <= span.start) continue;
      const end = Math.min(child.end, at);
      if (at > end) span.critical.push([end, at]);
      stack.push([child, end]);
      at = Math.max(child.start, span.start);
      if (at <= span.start) break;
    }
    if (at > span.start) span.critical.push([span.start, at]);
  }
}
