// SPDX-License-Identifier: Apache-2.0
// Policies: what is loaded, as the configuration has it, and what each has kept.
import {getJson, getText, parseMetrics} from './api.js';
import {count, el, fill} from './dom.js';

function loaded(list, metrics) {
  if (list.length === 0) return el('p', {class: 'hint'}, 'No policy is loaded: every trace is not sampled.');
  const of = (name, policy) => (metrics.get(name) || []).filter((s) => s.labels.policy === policy).reduce((t, s) => t + s.value, 0);
  return list.map((p) => el('details', {class: 'policy'}, el('summary', {}, el('b', {}, p.name), ' ',
      el('span', {class: 'hint'}, (/^type: (.*)$/m.exec(p.yaml) || ['', ''])[1]), ' ',
      p.name.endsWith(' (shadow)') ? null : el('span', {class: 'right'}, `kept ${count(of('tailgate_policy_kept_traces_total', p.name))} traces, ` +
          `${count(of('tailgate_policy_kept_spans_total', p.name))} spans since the start`)), el('pre', {}, p.yaml)));
}

export function showPolicies(main, params, failed) {
  const stop = new AbortController();
  const list = el('div', {});
  fill(main, el('h1', {}, 'Policies'), list,
      el('p', {class: 'hint'}, 'To try a policy on stored traces: tailgate query --format otlp gives them, and tailgate decide judges them.'));
  Promise.all([getJson('/api/policies', stop.signal), getText('/api/metrics', stop.signal)])
      .then(([answer, text]) => fill(list, loaded(answer.policies, parseMetrics(text)))).catch(failed);
  return () => stop.abort();
}
