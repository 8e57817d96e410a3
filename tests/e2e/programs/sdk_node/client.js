// SPDX-License-Identifier: Apache-2.0
// Sends the traces of the end-to-end test with the Node SDK as OTLP/HTTP JSON, and prints what it sent.
//
//   node client.js ENDPOINT
//
// The form is described in ../../spans.py. Packages are found through NODE_PATH.
'use strict';

const { SpanKind, SpanStatusCode, ROOT_CONTEXT, createTraceState, trace } = require('@opentelemetry/api');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, NodeTracerProvider, SamplingDecision } = require('@opentelemetry/sdk-trace-node');
const { collect, traces } = require('./collect');

const MS = 1000000n;
const hrTime = (ns) => [Number(ns / 1000000000n), Number(ns % 1000000000n)];

const sampler = {
  shouldSample: () => ({
    decision: SamplingDecision.RECORD_AND_SAMPLED,
    traceState: createTraceState('vendor=node,other=1'),
  }),
  toString: () => 'AllWithState',
};

async function main() {
  let failed = null;
  const exporter = new OTLPTraceExporter({ url: `${process.argv[2]}/v1/traces` });
  const send = exporter.export.bind(exporter);
  exporter.export = (spans, done) => send(spans, (result) => {
    if (result.code !== 0) failed = result.error || new Error('not sent');
    done(result);
  });
  const providers = ['node-front', 'node-back'].map((service) => new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    sampler,
    spanProcessors: [collect, new BatchSpanProcessor(exporter)],
  }));
  const [front, back] = providers.map((provider) => provider.getTracer('e2e.node', '1.2.3'));
  const base = BigInt(Date.now()) * MS - 10000n * MS;
  const at = (ms, more) => hrTime(base + BigInt(ms) * MS + BigInt(more || 0));
  const ends = new Map();

  function one(by, name, startMs, durationMs, parent, more) {
    const context = parent ? trace.setSpan(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    const span = by.startSpan(name, { startTime: at(startMs, 123), ...more }, context);
    ends.set(span, at(startMs + durationMs, 456));
    return span;
  }
  const end = (...spans) => spans.forEach((span) => span.end(ends.get(span)));

  const elsewhere = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: 1,
    isRemote: true,
    traceState: createTraceState('far=away'),
  };
  const root = one(front, 'GET /orders', 0, 90, null, {
    kind: SpanKind.SERVER,
    links: [{ context: elsewhere, attributes: { why: 'batch', n: 3 } }],
    attributes: {
      text: 'straße "quoted"\n', yes: true, no: false, int: -42, large: 9007199254740991, double: 2.5, empty: '',
      texts: ['a', 'b'], ints: [1, 2, 3], doubles: [0.5, -1.25], bools: [true, false], 'http.route': '/orders',
    },
  });
  root.addEvent('started', { attempt: 1, ratio: 0.25, ok: true, tags: ['x', 'y'] }, at(5));
  root.addEvent('bare', at(6));
  const client = one(front, 'call back', 10, 60, root, { kind: SpanKind.CLIENT });
  const server = one(back, 'POST /reserve', 15, 50, client, { kind: SpanKind.SERVER });
  const inner = one(back, 'reserve', 20, 10, server);
  inner.setStatus({ code: SpanStatusCode.ERROR, message: 'out of stock: ü' });
  inner.recordException(new Error('no stock'), at(29));
  const producer = one(back, 'publish', 40, 5, server, { kind: SpanKind.PRODUCER });
  producer.setStatus({ code: SpanStatusCode.OK });
  const consumer = one(front, 'consume', 50, 20, producer, { kind: SpanKind.CONSUMER });
  end(inner, producer, consumer, server, client, root);

  const slow = one(front, 'GET /report', 100, 2500, null, { kind: SpanKind.SERVER });
  end(one(back, 'render', 200, 2000, slow), slow);

  const listed = one(front, 'POST /checkout', 200, 12, null, {
    kind: SpanKind.SERVER,
    attributes: { 'http.route': '/checkout' },
  });
  end(one(back, 'charge', 203, 5, listed, { kind: SpanKind.CLIENT, attributes: { amount: 12.75 } }), listed);

  for (let i = 0; i < 10; ++i) {
    const ordinary = one(front, 'GET /items', 300 + i, 8, null, {
      kind: SpanKind.SERVER,
      attributes: { 'http.route': '/items', i },
    });
    end(one(back, 'select', 302 + i, 2, ordinary, { kind: SpanKind.CLIENT }), ordinary);
  }

  for (const provider of providers) await provider.forceFlush();
  for (const provider of providers) await provider.shutdown();
  if (failed) throw failed;
  const kept = new Set([root, slow, listed].map((span) => span.spanContext().traceId));
  const pick = (wanted) => Object.fromEntries(Object.entries(traces).filter(([id]) => kept.has(id) === wanted));
  process.stdout.write(`${JSON.stringify({ keep: pick(true), drop: pick(false) })}\n`);
}

main().catch((error) => {
  process.stderr.write(`${error.stack || error}\n`);
  process.exitCode = 1;
});
