// SPDX-License-Identifier: Apache-2.0
// Policies: what is loaded, what each kept, and a box to try another one on the stored traces. Trying changes nothing.
import {getJson, getText, parseMetrics, postJson} from './api.js';
import {count, duration, el, fill, say, time} from './dom.js';

const example = 'name: slow-checkout\ntype: and\nand:\n  and_sub_policy:\n    - {name: service, type: string_attribute, string_attribute: {key: service.name, values: [checkout]}}\n    - {name: slow, type: latency, latency: {threshold_ms: 1000}}\n';

function loaded(list, metrics) {
  if (list.length === 0) return el('p', {class: 'hint'}, 'No policy is loaded: every trace is not sampled.');
  const of = (name, policy) => (metrics.get(name) || []).filter((s) => s.labels.policy === policy).reduce((t, s) => t + s.value, 0);
  return list.map((p) => el('details', {class: 'policy'}, el('summary', {}, el('b', {}, p.name), ' ',
      el('span', {class: 'hint'}, (/^type: (.*)$/m.exec(p.yaml) || ['', ''])[1]), ' ',
      p.name.endsWith(' (shadow)') ? null : el('span', {class: 'right'}, `kept ${count(of('tailgate_policy_kept_traces_total', p.name))} traces, ` +
          `${count(of('tailgate_policy_kept_spans_total', p.name))} spans since the start`)), el('pre', {}, p.yaml)));
}

function outcome(found) {
  const head = el('p', {}, el('b', {}, `${count(found.kept)} of ${count(found.judged)}`), ` stored traces would be kept (${count(found.kept_spans)} of ${count(found.judged_spans)} spans).`,
      found.cut ? ` The search was cut short: ${found.cut}.` : '');
  if (found.traces.length === 0) return head;
  return [head, el('table', {}, el('thead', {}, el('tr', {}, ['start', 'trace', 'duration', 'spans', 'because'].map((t) => el('th', {}, t)))),
      el('tbody', {}, found.traces.map((t) => el('tr', {}, el('td', {class: 'nowrap'}, time(Number(BigInt(t.start_ns) / 1000000n))),
          el('td', {}, el('a', {href: `/trace/${t.trace_id}`}, t.root_service, ' ', el('b', {}, t.root_name))),
          el('td', {class: 'n'}, duration(Number(t.duration_ns))), el('td', {class: 'n'}, count(t.spans)), el('td', {}, t.why || '')))))];
}

export function showPolicies(main, params, failed) {
  const stop = new AbortController();
  const list = el('div', {}), result = el('div', {'aria-live': 'polite'});
  const text = el('textarea', {name: 'policy', rows: 8, cols: 80, spellcheck: 'false', id: 'try-text', value: params.get('policy') || example});
  const since = el('select', {name: 'since', id: 'try-since'}, [['1h', 'hour'], ['24h', 'day'], ['168h', '7 days']].map(([value, name]) => el('option', {value}, name)));
  fill(main, el('h1', {}, 'Policies'), list,
      el('section', {}, el('h2', {}, 'Try one'),
          el('p', {class: 'hint'}, 'A policy as it stands in the configuration, or a condition like ', el('code', {}, 'attributes["http.route"] == "/pay"'),
              '. It judges the traces that are stored, which other policies have kept, and changes nothing.'),
          el('form', {onsubmit: async (event) => {
            event.preventDefault();
            fill(result, el('p', {class: 'hint'}, 'judging …'));
            try {
              fill(result, outcome(await postJson('/api/try', {policy: text.value, since: since.value}, stop.signal)));
              say('judged');
            } catch (error) {
              if (error.name !== 'AbortError') fill(result, el('p', {class: 'error', role: 'alert'}, error.message));
            }
          }}, el('p', {class: 'field'}, el('label', {for: 'try-text'}, 'Policy or condition'), text),
          el('p', {class: 'field'}, el('label', {for: 'try-since'}, 'On the traces of the last'), since),
          el('p', {class: 'field'}, el('button', {type: 'submit'}, 'Try'))), result));
  Promise.all([getJson('/api/policies', stop.signal), getText('/api/metrics', stop.signal)])
      .then(([answer, text]) => fill(list, loaded(answer.policies, parseMetrics(text)))).catch(failed);
  return () => stop.abort();
}
