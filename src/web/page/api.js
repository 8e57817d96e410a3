// SPDX-License-Identifier: Apache-2.0
// What the page asks the daemon. A failure is an Error whose message is for people.

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, {credentials: 'same-origin', ...options});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('Tailgate does not answer. Is it still running?');
  }
  if (response.ok) return response;
  let text = await response.text();
  try { text = JSON.parse(text).error || text; } catch { /* it is plain text */ }
  const error = new Error(text.trim() || `Tailgate answers ${response.status}`);
  error.status = response.status;
  throw error;
}

export const getJson = async (path, signal) => (await ask(path, {signal})).json();
export const postJson = async (path, value, signal) => (await ask(path, {
  method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(value), signal,
})).json();
export const getText = async (path, signal) => (await ask(path, {signal})).text();

// A query string of what is set.
export function query(values) {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '') out.set(key, value);
  }
  const text = out.toString();
  return text ? `?${text}` : '';
}

// The text format of Prometheus: a map from each metric's name to its series, {labels, value}.
export function parseMetrics(text) {
  const out = new Map();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    if (match[2]) {
      for (const pair of match[2].slice(1, -1).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
        labels[pair[1]] = pair[2].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
      }
    }
    if (!out.has(match[1])) out.set(match[1], []);
    out.get(match[1]).push({labels, value: Number(match[3])});
  }
  return out;
}
