// SPDX-License-Identifier: Apache-2.0
// A span processor that notes what a JavaScript SDK ends, in the form of ../../spans.py.
'use strict';

const nanos = (time) => BigInt(time[0]) * 1000000000n + BigInt(time[1]);

// Numbers of nanoseconds do not fit into a JavaScript number: printed as strings, read as integers by run.py.
function typed(value) {
  if (typeof value === 'boolean') return ['bool', value];
  if (typeof value === 'string') return ['string', value];
  if (typeof value === 'number') return [Number.isInteger(value) ? 'int' : 'double', value];
  return ['array', value.map(typed)];
}

function typedMap(attributes) {
  return Object.fromEntries(Object.entries(attributes || {}).map(([key, value]) => [key, typed(value)]));
}

const traces = {};
const collect = {
  onStart() {},
  onEnd(span) {
    const context = span.spanContext();
    (traces[context.traceId] = traces[context.traceId] || []).push({
      spanId: context.spanId,
      parentSpanId: span.parentSpanContext ? span.parentSpanContext.spanId : '',
      traceState: context.traceState ? context.traceState.serialize() : '',
      name: span.name,
      kind: span.kind + 1,
      start: String(nanos(span.startTime)),
      end: String(nanos(span.endTime)),
      attributes: typedMap(span.attributes),
      events: span.events.map((e) => ({ name: e.name, time: String(nanos(e.time)), attributes: typedMap(e.attributes) })),
      links: span.links.map((l) => ({
        traceId: l.context.traceId,
        spanId: l.context.spanId,
        traceState: l.context.traceState ? l.context.traceState.serialize() : '',
        attributes: typedMap(l.attributes),
      })),
      status: [span.status.code, span.status.message || ''],
      service: span.resource.attributes['service.name'],
      scope: span.instrumentationScope.name,
    });
  },
  async forceFlush() {},
  async shutdown() {},
};

// Those with a span of status ERROR, and the others.
function byError() {
  const failed = (spans) => spans.some((span) => span.status[0] === 2);
  const pick = (wanted) => Object.fromEntries(Object.entries(traces).filter(([, spans]) => failed(spans) === wanted));
  return { keep: pick(true), drop: pick(false) };
}

module.exports = { byError, collect, traces };
