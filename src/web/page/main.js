// SPDX-License-Identifier: Apache-2.0
// Which view an address shows. Addresses hold the whole state, so that they can be sent to a colleague:
//
//   /                       now               /?view=traces&service=shop&min=1s
//   /?view=policies#text=POLICY               /?view=services    /trace/ID?span=SPAN
//
// What may be long stands behind the #, which browsers do not send: the server takes 16 KiB of headers.
import {el, fill} from './dom.js';
import {showNow} from './now.js';
import {showPolicies} from './policies.js';
import {showServices} from './services.js';
import {showTrace} from './trace.js';
import {showTraces} from './traces.js';

const views = {
  now: {title: 'Now', show: showNow},
  traces: {title: 'Traces', show: showTraces},
  services: {title: 'Services', show: showServices},
  policies: {title: 'Policies', show: showPolicies},
};
let leave = null;  // of the view that is shown

export function go(address, replace = false) {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  route();
}

function route() {
  if (leave) leave();
  leave = null;
  const main = document.getElementById('main');
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const url = new URL(location.href);
  for (const [name, value] of new URLSearchParams(url.hash.slice(1))) url.searchParams.set(name, value);
  const trace = /^\/trace\/(.+)$/.exec(url.pathname);
  const name = trace ? 'traces' : views[url.searchParams.get('view')] ? url.searchParams.get('view') : 'now';
  for (const link of document.querySelectorAll('header nav a')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  fill(main);
  document.title = `${trace ? 'Trace' : views[name].title} – Tailgate`;
  const failed = (error) => {
    if (error.name !== 'AbortError') fill(main, el('h1', {}, trace ? 'Trace' : views[name].title), el('p', {class: 'error', role: 'alert'}, error.message));
  };
  try {
    leave = trace ? showTrace(main, decodeURIComponent(trace[1]), url.searchParams, failed)
        : views[name].show(main, url.searchParams, failed);
  } catch (error) {
    failed(error);
  }
  if (focused) keepFocus(main, focused);
}

// The view is drawn anew: the keyboard goes on in the field of the same name, else at the begin of the view.
function keepFocus(main, focused) {
  const field = focused.name && main.querySelector(`[name="${CSS.escape(focused.name)}"]`);
  (field || main).focus({preventScroll: true});
  if (field && field.setSelectionRange && typeof focused.selectionStart === 'number') field.setSelectionRange(focused.selectionStart, focused.selectionEnd);
}

// Links within the page do not load it anew.
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || link.hasAttribute('download')) return;
  if (url.pathname !== '/' && !url.pathname.startsWith('/trace/')) return;
  event.preventDefault();
  const place = link.getAttribute('href').startsWith('#') && document.getElementById(url.hash.slice(1));
  if (place) {  // in this view, whose address stays
    place.focus();
    place.scrollIntoView();
    return;
  }
  go(url.pathname + url.search + url.hash);
  document.getElementById('main').focus({preventScroll: true});
  scrollTo(0, 0);
});

const jump = document.getElementById('jump'), jumpId = document.getElementById('jump-id');
jumpId.addEventListener('input', () => jumpId.setCustomValidity(''));
jump.addEventListener('submit', (event) => {
  event.preventDefault();
  const id = jumpId.value.trim();
  if (!/^[0-9a-fA-F]{1,32}$/.test(id)) {
    jumpId.setCustomValidity('expected a trace id of up to 32 hex digits');
    jumpId.reportValidity();
    return;
  }
  jump.reset();
  go(`/trace/${id.toLowerCase().padStart(32, '0')}`);
});

addEventListener('popstate', route);
route();
