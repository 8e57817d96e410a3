// SPDX-License-Identifier: Apache-2.0
// Sends one trace with an error and one without with the old Jaeger client, as binary Thrift.
//
//   node client.js udp|http PORT
//
// Prints what it sent as docs/receivers.md maps it; the form is described in ../../spans.py. Packages are found by NODE_PATH.
'use strict';

const jaeger = require('jaeger-client');
const opentracing = require('opentracing');
const HTTPSender = require('jaeger-client/dist/src/reporters/http_sender').default;
const UDPSender = require('jaeger-client/dist/src/reporters/udp_sender').default;

const SERVICE = 'jaeger-node';
const KINDS = { server: 2, client: 3, producer: 4, consumer: 5 };
const hex = (buffer) => (buffer ? buffer.toString('hex') : '');
const micros = (ms) => BigInt(Math.trunc(ms * 1000)); // as the client's encodeInt64 cuts them

// The client sends every number as a double, and an object as its JSON.
function typed(value) {
  if (typeof value === 'number') return ['double', value];
  if (typeof value === 'boolean') return ['bool', value];
  if (Buffer.isBuffer(value)) return ['bytes', value.toString('base64')];
  return ['string', typeof value === 'object' ? JSON.stringify(value) : String(value)];
}

function form(span) {
  const context = span.context();
  const tags = Object.fromEntries(span._tags.map(({ key, value }) => [key, typed(value)]));
  const take = (map, key) => {
    const value = map[key] && map[key][1];
    delete map[key];
    return value;
  };
  const kind = KINDS[take(tags, 'span.kind')] || 0;
  const error = take(tags, 'error') === true;
  const parent = context.parentId ? hex(context.parentId) : '';
  const links = span._references.map((ref) => ({ ref, to: ref.referencedContext() }))
    .filter(({ ref, to }) => ref.type() === opentracing.REFERENCE_FOLLOWS_FROM || hex(to.spanId) !== parent)
    .map(({ ref, to }) => ({
      traceId: hex(to.traceId).padStart(32, '0'),
      spanId: hex(to.spanId),
      traceState: '',
      attributes: { 'opentracing.ref_type': ['string', ref.type()] },
    }));
  return {
    spanId: hex(context.spanId),
    parentSpanId: parent,
    traceState: '',
    name: span._operationName,
    kind,
    start: String(micros(span._startTime) * 1000n),
    end: String((micros(span._startTime) + micros(span._duration)) * 1000n),
    attributes: tags,
    events: span._logs.map((log) => {
      const fields = Object.fromEntries(log.fields.map(({ key, value }) => [key, typed(value)]));
      return { name: take(fields, 'event') || '', time: String(micros(log.timestamp) * 1000n), attributes: fields };
    }),
    links,
    status: [error ? 2 : 0, ''],
    service: SERVICE,
    scope: '',
  };
}

function main() {
  const [kind, port] = process.argv.slice(2);
  const logger = { info() {}, error(text) { process.stderr.write(`${text}\n`); process.exitCode = 1; } };
  const sender = kind === 'udp'
    ? new UDPSender({ host: '127.0.0.1', port: Number(port), logger })
    : new HTTPSender({ endpoint: `http://127.0.0.1:${port}/api/traces`, logger });
  const memory = new jaeger.InMemoryReporter();
  const reporter = new jaeger.CompositeReporter([memory, new jaeger.RemoteReporter(sender, { logger })]);
  const tracer = new jaeger.Tracer(SERVICE, reporter, new jaeger.ConstSampler(true), {
    logger,
    traceId128bit: true,
    tags: { deployment: 'e2e', shard: 7 },
  });
  const kept = [];
  // The client's clock has milliseconds, and Jaeger gives a span that lasted none a duration of its own.
  const base = Date.now() - 1000;
  for (const failing of [true, false]) {
    const root = tracer.startSpan('GET /orders', { startTime: base, tags: { 'span.kind': 'server', 'http.url': '/orders?straße' } });
    if (failing) kept.push(hex(root.context().traceId));
    const client = tracer.startSpan('reserve', {
      childOf: root,
      startTime: base + 5.25,
      tags: { 'span.kind': 'client', items: 3, weight: 2.5, fresh: true, raw: Buffer.from([0, 255]), of: { a: 1 } },
    });
    client.log({ event: 'asked', attempt: 1 }, base + 6.5);
    if (failing) {
      client.setTag('error', true);
      client.log({ event: 'error', 'error.kind': 'NoStock', final: true }, base + 20);
    }
    client.finish(base + 30.125);
    // Began because of `client`, below `root`.
    const references = [opentracing.childOf(root.context()), opentracing.followsFrom(client.context())];
    tracer.startSpan('mail', { references, startTime: base + 31 }).finish(base + 40);
    root.finish(base + 50);
  }
  const traces = { keep: {}, drop: {} };
  for (const span of memory._spans) {
    const id = hex(span.context().traceId);
    const to = traces[kept.includes(id) ? 'keep' : 'drop'];
    (to[id] = to[id] || []).push(form(span));
  }
  tracer.close(() => process.stdout.write(`${JSON.stringify(traces)}\n`));
}

main();
