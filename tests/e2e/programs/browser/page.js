// SPDX-License-Identifier: Apache-2.0
// What the page runs: the web SDK sends OTLP/JSON to another origin, then the page tells its own server what it sent.
// Bundled by esbuild; ENDPOINT is in the page's address after '#'. The form is described in ../../spans.py.

import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, WebTracerProvider } from '@opentelemetry/sdk-trace-web';
import { byError, collect } from '../sdk_node/collect';

async function main() {
  const refused = [];
  const exporter = new OTLPTraceExporter({ url: `${location.hash.slice(1)}/v1/traces`, headers: { 'X-Page': 'shop' } });
  const send = exporter.export.bind(exporter);
  exporter.export = (spans, done) => send(spans, (result) => {
    if (result.code !== 0) refused.push(String(result.error));
    done(result);
  });
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'browser-shop' }),
    spanProcessors: [collect, new BatchSpanProcessor(exporter, { exportTimeoutMillis: 20000 })],
  });
  const tracer = provider.getTracer('e2e.browser', '1.2.3');
  for (const failing of [true, false]) {
    const root = tracer.startSpan('documentLoad', { kind: SpanKind.INTERNAL, attributes: { 'url.path': '/shop?straße', cold: true } });
    const fetched = tracer.startSpan('HTTP GET', { kind: SpanKind.CLIENT, attributes: { 'http.request.resend_count': 2, share: 0.5 } },
      trace.setSpan(context.active(), root));
    fetched.addEvent('fetchStart', { bytes: 512 });
    if (failing) fetched.setStatus({ code: SpanStatusCode.ERROR, message: 'offline: ü' });
    fetched.end();
    root.end();
  }
  await provider.forceFlush();
  return refused.length ? { refused } : byError();
}

main().then((result) => result, (error) => ({ refused: [String(error)] }))
  .then((result) => fetch('/sent', { method: 'POST', body: JSON.stringify(result) }));
