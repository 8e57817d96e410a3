// SPDX-License-Identifier: Apache-2.0
// An Express server that asks itself by axios, with the Node SDK's instrumentations of Express and HTTP; OTLP/HTTP protobuf.
//
//   node app.js ENDPOINT
//
// Of two orders one fails. Prints what it sent; the form is described in ../../spans.py. Packages are found through NODE_PATH.
'use strict';

const { trace } = require('@opentelemetry/api');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { ExpressInstrumentation, ExpressLayerType } = require('@opentelemetry/instrumentation-express');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const { byError, collect } = require('../sdk_node/collect');

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'express-shop' }),
  spanProcessors: [collect, new BatchSpanProcessor(new OTLPTraceExporter({ url: `${process.argv[2]}/v1/traces` }))],
});
provider.register();
registerInstrumentations({
  tracerProvider: provider,
  instrumentations: [new HttpInstrumentation(), new ExpressInstrumentation({ ignoreLayersType: [ExpressLayerType.MIDDLEWARE] })],
});

// After the registration, so that they are instrumented.
const http = require('http');
const axios = require('axios');
const express = require('express');

async function main() {
  const app = express();
  const server = http.createServer(app);
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const own = `http://127.0.0.1:${server.address().port}`;
  app.get('/orders/:id', async (request, response) => {
    const stock = await axios.get(`${own}/stock/${request.params.id}`, { validateStatus: () => true });
    trace.getActiveSpan().addEvent('asked', { status: stock.status });
    response.status(stock.status === 200 ? 200 : 502).send('');
  });
  app.get('/stock/:id', (request, response) => response.status(request.params.id === '7' ? 500 : 200).send(''));

  for (const [id, want] of [[7, 502], [8, 200]]) {
    const answer = await axios.get(`${own}/orders/${id}`, { validateStatus: () => true });
    if (answer.status !== want) throw new Error(`order ${id} is answered with ${answer.status}`);
  }
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await provider.forceFlush();
  await provider.shutdown();
  process.stdout.write(`${JSON.stringify(byError())}\n`);
}

main().catch((error) => {
  process.stderr.write(`${error.stack || error}\n`);
  process.exitCode = 1;
});
