// SPDX-License-Identifier: Apache-2.0
// Elements and texts. Names and values that come from spans are only ever text nodes or attribute values that are not
// read as code: there is no innerHTML anywhere in this page.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'g', 'rect', 'line', 'path', 'circle', 'text', 'title', 'polyline']);

// el('p', {class: 'hint', onclick: f}, 'text', otherElement, [more], null)
export function el(tag, attributes, ...children) {
  const svg = SVG_TAGS.has(tag) && !(attributes && attributes.html);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false || name === 'html') continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (name === 'vars') for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(node, ...children) {
  node.textContent = '';
  append(node, children);
  return node;
}

// For people who do not see the page.
export function say(text) {
  document.getElementById('said').textContent = text;
}

const number = new Intl.NumberFormat('en', {maximumFractionDigits: 1});
const compact = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});
export const count = (n) => (Math.abs(n) < 1000000 ? number.format(n) : compact.format(n));

export function bytes(n) {
  let unit = 0;
  while (Math.abs(n) >= 1024 && unit < 4) { n /= 1024; ++unit; }
  return `${number.format(n)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

// Rounded first, to three digits or whole seconds or minutes, and then divided: 999,999 ns are 1 ms, 119.7 s are 2 min 0 s.
export function duration(ns) {
  if (ns < 0) return `-${duration(-ns)}`;
  const n = Number(Math.round(ns).toPrecision(3));
  if (n === 0) return '0 s';
  if (n < 1e3) return `${n} ns`;
  if (n < 1e6) return `${trim(n / 1e3)} µs`;
  if (n < 1e9) return `${trim(n / 1e6)} ms`;
  if (n < 60e9) return `${trim(n / 1e9)} s`;
  const seconds = Math.round(ns / 1e9), minutes = Math.round(ns / 60e9);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${count(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}
const trim = (n) => (n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0)).replace(/\.0+$/, '');

export function time(ms) {
  const d = new Date(ms);
  const two = (n, size = 2) => String(n).padStart(size, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
      `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${two(d.getMilliseconds(), 3)}`;
}

// A colour for each service: a hue that the style sheet makes light or dark, never the red of errors. It follows from the
// name, so that it is mostly the same on every page; of two that would be alike in one trace the later gets the next.
const kHues = [210, 130, 280, 45, 175, 320, 85, 245, 30, 155, 300, 65, 190, 265, 110, 230];
export function hues(services) {
  const out = new Map(), taken = new Set();
  for (const service of [...services].sort()) {
    let h = 2166136261;
    for (const c of service) h = Math.imul(h ^ c.codePointAt(0), 16777619);
    h = Math.imul(h ^ (h >>> 15), 2246822507) >>> 0;
    let at = (h >>> 8) % kHues.length;
    while (taken.has(at) && taken.size < kHues.length) at = (at + 1) % kHues.length;
    taken.add(at);
    out.set(service, kHues[at]);
  }
  return out;
}

export function copyButton(text, what, label = 'copy') {
  const button = el('button', {type: 'button', class: 'copy', title: `Copy ${what}`, 'aria-label': `Copy ${what}`,
    onclick: async (event) => {
      event.stopPropagation();
      const done = await copy(text());
      say(done ? `${what} copied` : 'the browser does not allow copying here');
      button.textContent = done ? 'copied' : 'not allowed';
      setTimeout(() => { button.textContent = label; }, 1500);
    }}, label);
  return button;
}

// Browsers give the clipboard to pages of https and of localhost only; elsewhere a selection can be copied.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = el('textarea', {class: 'skip', 'aria-hidden': 'true', value: text});
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (focused) focused.focus();
  return done;
}
