// SPDX-License-Identifier: Apache-2.0
// As remote_sampling_go: client.js ENDPOINT SERVICE OPERATION...
"use strict";

const { randomBytes } = require("node:crypto");
const { ROOT_CONTEXT, SpanKind } = require("@opentelemetry/api");
const { JaegerRemoteSampler } = require("@opentelemetry/sampler-jaeger-remote");
const { AlwaysOffSampler, SamplingDecision } = require("@opentelemetry/sdk-trace-base");

const ROUNDS = 10000;
const [endpoint, serviceName, ...operations] = process.argv.slice(2);
const sampler = new JaegerRemoteSampler({
  endpoint, serviceName, initialSampler: new AlwaysOffSampler(), poolingInterval: 1000,
});

setInterval(() => {
  const shares = {};
  for (const operation of operations) {
    let sampled = 0;
    for (let i = 0; i < ROUNDS; ++i) {
      const id = randomBytes(16).toString("hex");
      const decided = sampler.shouldSample(ROOT_CONTEXT, id, operation, SpanKind.SERVER, {}, []);
      sampled += decided.decision === SamplingDecision.RECORD_AND_SAMPLED ? 1 : 0;
    }
    shares[operation] = sampled / ROUNDS;
  }
  console.log(JSON.stringify(shares));
}, 1000);
process.stdin.on("end", () => process.exit(0)).resume();
