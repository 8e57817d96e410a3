# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium, as a person uses it: with mouse and keyboard, in light and dark, and with hostile spans."""

import json
import os
import secrets
import statistics
import time
import urllib.parse
import urllib.request

from chromium import Chromium
from page_site import EVIL, EVIL_POLICY, Site, config, request, send, span
from tailgate_process import Daemon, basic_config, expect, get, until
from tools import say

FIRST_DRAWN_MS, LOADS_MAX = 500, 25  # the median of the five quickest loads: others on the machine only ever add to it

# --- what holds on every view -------------------------------------------------------------------------------------

# Text of less than 4.5:1 (3:1 where it is large) against what is behind it, as WCAG 2.1 AA says it. Colours are painted, so
# that hsl() and transparency come out as they look.
CONTRAST = r"""(() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  paint.canvas.width = paint.canvas.height = 1;
  const over = (under, colour) => { paint.fillStyle = `rgb(${under})`; paint.fillRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const base = getComputedStyle(document.documentElement).backgroundColor;
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const behind = (node) => { const chain = []; for (let n = node; n; n = n.parentElement) chain.unshift(getComputedStyle(n).backgroundColor);
    return chain.reduce(over, over(dark ? [18, 18, 18] : [255, 255, 255], base)); };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((t, c, i) => t + c * [0.2126, 0.7152, 0.0722][i], 0);
  const bad = [], seen = new Set();
  let looked = 0;
  const check = (node, text) => {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    if (style.visibility === 'hidden' || box.width === 0 || box.right < 0) return;
    let alpha = 1;
    for (let n = node; n; n = n.parentElement) alpha *= Number(getComputedStyle(n).opacity);
    const under = behind(node), colour = node instanceof SVGElement ? style.fill : style.color;
    const front = over(under, colour).map((c, i) => c * alpha + under[i] * (1 - alpha));
    const [a, b] = [light(under), light(front)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    ++looked;
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const what = `${node.tagName}.${node.getAttribute('class') || ''} ${ratio.toFixed(2)}:1 ${text.trim().slice(0, 40)}`;
    if (ratio < wanted && !seen.has(node.tagName + node.getAttribute('class'))) { seen.add(node.tagName + node.getAttribute('class')); bad.push(what); }
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.data.trim() && !walk.currentNode.parentElement.closest('noscript, option, datalist, style, script')) check(walk.currentNode.parentElement, walk.currentNode.data);
  for (const node of document.querySelectorAll('input, textarea, select')) {
    check(node, node.value || '');
    if (node.placeholder && !node.value) {
      const style = getComputedStyle(node, '::placeholder'), under = behind(node);
      const [a, b] = [light(under), light(over(under, style.color))].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.5 && !seen.has('placeholder')) { seen.add('placeholder'); bad.push(`placeholder ${((a + 0.05) / (b + 0.05)).toFixed(2)}:1`); }
    }
  }
  return looked < 5 ? ['nothing to look at'] : bad;
})()"""

# What a screen reader needs, and markup that came from a span.
NAMES = r"""(() => {
  const bad = [];
  const named = (node) => node.getAttribute('aria-label') || (node.labels && node.labels.length) || node.closest('label');
  for (const node of document.querySelectorAll('input, select, textarea')) if (!named(node)) bad.push(`no label: ${node.outerHTML.slice(0, 100)}`);
  for (const node of document.querySelectorAll('svg, img, canvas')) if (!node.getAttribute('aria-label') && !node.getAttribute('alt') &&
      node.getAttribute('aria-hidden') !== 'true') bad.push(`no name: ${node.outerHTML.slice(0, 100)}`);
  for (const node of document.querySelectorAll('button, a[href]')) if (!node.textContent.trim() && !node.getAttribute('aria-label')) bad.push(`no name: ${node.outerHTML.slice(0, 100)}`);
  for (const node of document.querySelectorAll('th:empty')) bad.push(`an empty head: ${node.parentElement.outerHTML.slice(0, 100)}`);
  if (document.querySelectorAll('h1').length !== 1) bad.push(`${document.querySelectorAll('h1').length} h1`);
  if (!document.documentElement.lang || !document.title) bad.push('no language or title');
  const ids = [...document.querySelectorAll('[id]')].map((n) => n.id);
  if (new Set(ids).size !== ids.length) bad.push('an id is there twice');
  if (window.hurt || document.querySelector('img, script:not([src="/page/main.js"])')) bad.push('markup of a span has become markup of the page');
  if (document.documentElement.scrollWidth > innerWidth) bad.push(`${document.documentElement.scrollWidth} pixels wide in a window of ${innerWidth}`);
  return bad;
})()"""


def views(site):
    """{name: (address, what is there when it is drawn)}"""
    return {
        "now": (site.at("/"), "document.querySelectorAll('table').length > 3"),
        "traces": (site.at("/", view="traces", include="remembered", limit="300"), "!!document.querySelector('.scatter')"),
        "trace": (site.at(f"/trace/{site.checkout}", span=f"{4:016x}"), "document.querySelectorAll('.details details').length > 2"),
        "hostile": (site.at(f"/trace/{site.hostile}", span=f"{1:016x}"), "document.querySelectorAll('.details details').length > 2"),
        "remembered": (site.at(f"/trace/{site.dropped}"), "!!document.querySelector('main table')"),
        "policies": (site.at("/", view="policies", form="span", text='attributes["evil"] == "yes"', run="1", since="1h"),
                     "!!document.querySelector('.outcome')"),
        "services": (site.at("/", view="services"), "document.querySelectorAll('.service-map .node').length > 2"),
        "wrong": (site.at("/", view="policies", form="span", text="attributes[", run="1", since="1h"), "!!document.querySelector('.error')"),
        "unknown": (site.at(f"/trace/{'ab' * 16}"), "!!document.querySelector('.error')"),
        "explain": (site.at("/explain"), "document.querySelectorAll('tr').length > 3"),
        "explain one": (site.at(f"/explain/{site.hostile}"), "document.querySelectorAll('tr').length > 3"),
    }


# Where hostile texts must be seen as they came, and how often. /explain remembers only the begin of long names.
EVIL_SHOWN = {"now": [(EVIL_POLICY, 1)], "traces": [(EVIL, 3)], "trace": [(EVIL_POLICY, 1)], "remembered": [(EVIL_POLICY, 1)],
              "hostile": [(EVIL, 20), (EVIL_POLICY, 1)], "policies": [(EVIL, 2), (EVIL_POLICY, 1)], "explain": [(EVIL_POLICY, 3)],
              "explain one": [(EVIL_POLICY, 3)]}


def check_every_view(page, site):
    """Each view, light and dark, wide and narrow: contrast, names, and no markup of a span."""
    bad = []
    for scheme in ("light", "dark"):
        for name, (address, drawn) in views(site).items():
            page.look(scheme)
            page.go(address, drawn)
            shown = page.text("main")
            bad += [f"{name}: {times} times {text!r} wanted" for text, times in EVIL_SHOWN.get(name, ()) if shown.count(text) < times]
            bad += [f"{name}, {scheme}: {one}" for one in page.evaluate(CONTRAST) + page.evaluate(NAMES)]
            page.look(scheme, 500, 900)
            bad += [f"{name}, {scheme}, narrow: {one}" for one in page.evaluate(NAMES)]
    page.look()
    expect(not bad, "\n".join(bad))
    say(f"  {len(views(site))} views, light and dark, wide and narrow")


def check_quiet(page, site, statuses=()):
    """No complaint, no other host, no answer that says no but those that are meant to."""
    expect(not page.complaints, f"on the console: {page.complaints[:5]}")
    strangers = [one for one in page.requests if not one.startswith((site.base + "/", "data:"))]
    expect(not strangers, f"asked of others: {strangers[:5]}")
    odd = [one for one in page.statuses if one[0] >= 400 and not any(part in one[1] for part in statuses)]
    expect(not odd, f"answers: {odd[:5]}")


def check_headers(site):
    """No frame, base, or other site's script in what a browser shows as a page."""
    for path in ("/", "/page/main.js", f"/trace/{site.checkout}", "/explain", f"/explain/{site.checkout}"):
        with urllib.request.urlopen(urllib.request.Request(site.base + path, headers={"accept": "text/html"}), timeout=30) as answer:
            policy = answer.headers["content-security-policy"]
            for part in ("default-src 'none'", "base-uri 'none'", "form-action", "frame-ancestors 'none'"):
                expect(part in policy, f"{path}: no {part} in {policy}")
            expect(answer.headers["x-content-type-options"] == "nosniff", f"{path} may be read as something else")


# --- what a person does -------------------------------------------------------------------------------------------


def check_now(page, site):
    page.go(site.at("/"), "document.querySelectorAll('table').length > 3")
    before = page.text("main")
    for part in ("coming in", "kept", "errors", "store", "Memory", "Shadow policies", EVIL_POLICY, "MiB"):
        expect(part in before, f"Now does not show {part!r}:\n{before}")
    send(site.daemon.http, request({"quick": [span(secrets.token_hex(16), 1, 0, "GET /health", 0, 3, time.time_ns()) for _ in range(200)]}))
    page.wait(f"document.querySelector('main').innerText !== {json.dumps(before)} && "
              "!/^0 spans/.test(document.querySelector('.big').innerText)", 15)
    rates = page.text(".big")
    page.wait("document.querySelector('.warnings')?.innerText.includes('otlp/away')", 40)
    expect("docs/operations.md" in page.text(".warnings"), "a warning does not say what to read")
    expect("away" in page.evaluate("[...document.querySelectorAll('tr')].find((r) => r.innerText.startsWith('otlp/away')).innerText.split('\\t')[1]"),
           "the exporter's state is not shown")
    page.evaluate("document.querySelector('a[href=\"/shadow\"]').focus()")
    before = page.text("main section table")
    send(site.daemon.http, request({"quick": [span(secrets.token_hex(16), 1, 0, "GET /health", 0, 3, time.time_ns()) for _ in range(50)]}))
    page.wait(f"document.querySelector('main section table').innerText !== {json.dumps(before)}", 15)
    expect(page.evaluate("document.activeElement.getAttribute('href')") == "/shadow", "the keyboard's place on Now is lost")
    say(f"  Now: {rates}; a backend that is away is told; it goes on under the keyboard")


FOCUSED = "document.activeElement.name || document.activeElement.id || document.activeElement.tagName"
DURATIONS = {0: "0 s", 999: "999 ns", 999_999: "1 ms", -1_500_000: "-1.50 ms", 59_970_000_000: "1 min 0 s", 119_700_000_000: "2 min 0 s",
             3_599_700_000_000: "1 h 0 min", 7_260_000_000_000: "2 h 1 min"}


def check_words(page, site):
    """Durations as people read them, and a wrong id in the header's box."""
    page.go(site.at("/"), "document.querySelectorAll('table').length > 3")
    said = page.evaluate(f"import('/page/dom.js').then((dom) => {json.dumps(list(DURATIONS))}.map((ns) => dom.duration(ns)))")
    expect(said == list(DURATIONS.values()), f"durations: {said}")
    page.enter("#jump-id", "not an id")
    page.press("Enter")
    page.wait("document.querySelector('#jump-id').validationMessage.includes('32 hex digits')")
    page.enter("#jump-id", site.shared[:31] + site.shared[31].upper())
    page.press("Enter")
    page.wait(f"location.pathname === '/trace/{site.shared}' && document.querySelectorAll('.row').length === 3")
    say("  durations; the box for an id")


def ids_found(page):
    return page.evaluate("[...document.querySelectorAll('td a[href^=\"/trace/\"]')].map((a) => a.getAttribute('href').slice(7, 39))")


def check_search(page, site):
    """By the fields, by TraceQL, with completion, and what is only remembered."""
    page.go(site.at("/", view="traces"), "!!document.querySelector('.scatter')")
    everything = set(ids_found(page))
    expect({site.checkout, site.hostile, site.large, site.linked} <= everything and site.dropped not in everything, f"found {everything}")
    page.wait("document.querySelectorAll('#services option').length > 3")
    page.enter("#f-service", "payment")
    page.enter("#f-attributes", "db.sys")
    page.wait("[...document.querySelectorAll('#attributes option')].some((o) => o.value === 'db.system=')")
    page.enter("#f-attributes", "db.system=postgre")
    page.wait("[...document.querySelectorAll('#attributes option')].some((o) => o.value === 'db.system=postgresql')")
    page.enter("#f-attributes", "db.system=postgresql")
    page.enter("#f-min", "100ms")
    page.press("Enter")
    page.wait("location.search.includes('service=payment') && document.querySelectorAll('td a').length === 2")
    expect(set(ids_found(page)) == {site.checkout, site.linked}, f"by fields: {ids_found(page)}")
    expect(page.evaluate(FOCUSED) == "min", f"after a search the focus is on {page.evaluate(FOCUSED)}")
    page.reload("document.querySelectorAll('td a').length === 2")
    expect(page.evaluate("document.querySelector('#f-service').value + document.querySelector('#f-min').value") == "payment100ms", "the form forgot")

    page.go(site.at("/", view="traces"), "!!document.querySelector('.scatter')")
    page.enter("#f-q", "{ span.http.resp")
    page.wait("[...document.querySelectorAll('#traceql option')].some((o) => o.value === '{ span.http.response.status_code')")
    for part, whole in (("{ na", "{ name"), ('{ name = "x" && resource.service.name = "pay', '{ name = "x" && resource.service.name = "payment"'),
                        ("{ status = e", "{ status = error"), ("{ span.http.response.status_code = ", "{ span.http.response.status_code = 500"),
                        ("{ span.http.response.status_code =", '{ span.http.response.status_code ="500"')):
        page.enter("#f-q", part)
        page.wait(f"[...document.querySelectorAll('#traceql option')].some((o) => o.value === {json.dumps(whole)})")
    page.enter("#f-q", "{ span.http.response.status_code = 500 && duration > 1s }")
    page.click("form.search button[type=submit]")
    page.wait("location.search.includes('q=') && document.querySelectorAll('td a').length === 2")
    expect(set(ids_found(page)) == {site.checkout, site.linked}, f"by TraceQL: {ids_found(page)}")
    expect(page.evaluate(FOCUSED) == "main", f"after a click on the button the focus is on {page.evaluate(FOCUSED)}")
    page.enter("#f-q", "{ span.http = }")
    page.press("Enter")
    page.wait("document.querySelector('.error')?.innerText.includes('TraceQL')")

    page.go(site.at("/", view="traces"), "!!document.querySelector('.scatter')")
    page.choose("#f-since", "between")
    page.evaluate(f"""document.querySelector('#f-to').value = new Date({site.begin_ms} - 30000 - new Date().getTimezoneOffset() * 60000)
        .toISOString().slice(0, 19)""")
    page.click("form.search button[type=submit]")
    page.wait("location.search.includes('to=') && document.querySelectorAll('td a').length > 0")
    expect(ids_found(page) == [site.linked], f"by time: {ids_found(page)}")
    expect(page.evaluate("document.querySelector('#f-to').value && document.querySelector('#f-since').value") == "between", "the form forgot the time")

    page.go(site.at("/", view="traces", include="remembered", limit="500"), "!!document.querySelector('.scatter')")
    expect(site.dropped in ids_found(page), "what is remembered of a dropped trace is not found")
    expect("not sampled" in page.text("tr.remembered"), "it is not marked")
    page.click(f'td a[href="/trace/{site.dropped}"]')
    page.wait("document.querySelector('main').innerText.includes('The spans of this trace are gone')")
    for part in ("not sampled", "errors", "slow", "tenth"):
        expect(part in page.text("main"), f"of a dropped trace {part!r} is not shown")
    say("  search: by fields, by TraceQL, with completion; a dropped trace")


def check_trace(page, site):
    """By clicks: found, opened, its rows, its critical path, a span, why it was kept, another trace by its link."""
    page.go(site.at("/", view="traces", service="frontend"), "!!document.querySelector('.scatter')")
    page.click(f'td a[href="/trace/{site.checkout}"]')
    page.wait("document.querySelectorAll('.row').length === 8")
    expect(page.evaluate(f"location.pathname === '/trace/{site.checkout}'"), "the address is not the trace's")
    names = page.evaluate("[...document.querySelectorAll('.row .label')].map((r) => r.innerText.replace(/\\s+/g, ' '))")
    critical = page.evaluate("[...document.querySelectorAll('.row')].flatMap((r, i) => (r.querySelector('.critical') ? [i] : []))")
    order = ["GET /checkout", "load cart", "SELECT carts", "POST /charge", "SELECT cards", "POST /v1/bank", "reserve", "audit"]
    expect(all(part in name for part, name in zip(order, names)), f"rows: {names}")
    expect(critical == [0, 1, 2, 3, 4, 5], f"critical path: {critical}")
    why = page.text(".why")
    for part in ("kept by errors", "slow", "tenth", EVIL_POLICY, "1 parent", f"{99:016x}", "store"):
        expect(part in why, f"why does not say {part!r}:\n{why}")
    page.click(".why a[data-span]")
    page.wait("location.search.includes('span=') && document.querySelectorAll('.row.chosen').length === 1")
    page.click(".row:nth-child(4) .label")
    page.wait("document.querySelector('.details').innerText.includes('card declined')")
    for part in ("payment", "POST /charge", "exception.message", "retry of", "deployment.environment", "shop"):
        expect(part in page.text(".details"), f"a span's details do not show {part!r}:\n{page.text('.details')}")
    page.click(".row:nth-child(1) .label")
    page.wait("document.querySelector('.details').innerText.includes('url.path')")
    page.enter(".details input[type=search]", "status_code")
    page.wait("!document.querySelector('.details').innerText.includes('url.path')")
    expect("http.response.status_code" in page.text(".details"), "the filter hides what it should show")
    shown = page.evaluate("location.href")
    rows = page.evaluate("[...document.querySelectorAll('.row')].map((r) => r.className + r.innerText)")
    page.reload("document.querySelectorAll('.row.chosen').length === 1")
    expect(page.evaluate("location.href") == shown and rows == page.evaluate(
        "[...document.querySelectorAll('.row')].map((r) => r.className + r.innerText)"), "a reload shows something else")
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=site.base)
    page.click(".ids .copy")
    page.wait("document.querySelector('.ids .copy').innerText === 'copied'")
    expect(page.evaluate("navigator.clipboard.readText()") == site.checkout, "the id was not copied")
    page.enter(".tools input[type=search]", "postgresql")
    page.wait("document.querySelectorAll('.row.match').length === 2")
    page.click(".row:nth-child(4) .label")
    page.click(f'.details a[href^="/trace/{site.linked}"]')
    page.wait(f"location.pathname === '/trace/{site.linked}' && document.querySelectorAll('.row.chosen').length === 1")
    page.evaluate("history.back()")
    page.wait(f"location.pathname === '/trace/{site.checkout}' && document.querySelectorAll('.row').length === 8")
    file = page.evaluate("(async () => (await fetch(document.querySelector('a[download]').href)).json())()")
    expect(sum(len(s["spans"]) for r in file["resourceSpans"] for s in r["scopeSpans"]) == 8, "the download is not the trace")
    say("  a trace: waterfall, critical path, attributes, why, links, find, reload")


def check_shared(page, site):
    """Two spans with one id: the server is under the client, its child under it, in the rows, the critical path, the address."""
    page.go(site.at(f"/trace/{site.shared}"), "document.querySelectorAll('.row').length === 3")
    rows = page.evaluate("""[...document.querySelectorAll('.row')].map((r) => [r.querySelector('.label').lastChild.data, r.getAttribute('aria-level'),
        r.querySelectorAll('.critical').length])""")
    expect(rows == [["call the bank", "1", 2], ["take the call", "2", 2], ["INSERT", "3", 1]], f"rows: {rows}")
    expect(page.count(".mark.lost") == 0, "a parent of zeros is said not to have come")
    page.click(".row:nth-child(2) .label")
    page.wait("document.querySelector('.details h2').innerText.includes('take the call')")
    events = page.text(".details .event")
    expect("without a time" in events and "start" not in events and page.count(".dot") == 0, f"an event without a time says {events!r}")
    page.reload("document.querySelector('.row.chosen')?.innerText.includes('take the call')")
    say("  two spans with one id")


# Of the row that the tree names to screen readers.
ACTIVE = "(document.getElementById(document.querySelector('[role=tree]').getAttribute('aria-activedescendant')) || {})"


def check_tree(page, site):
    """What a screen reader is told of the rows stays true while they are closed, opened and scrolled."""
    page.go(site.at(f"/trace/{site.checkout}", span=f"{6:016x}"), "document.querySelectorAll('.row.chosen').length === 1")
    places = page.evaluate("[...document.querySelectorAll('.row')].map((r) => r.getAttribute('aria-posinset') + '/' + r.getAttribute('aria-setsize'))")
    expect(places == ["1/2", "1/3", "1/1", "2/3", "1/2", "2/2", "3/3", "2/2"], f"places: {places}")
    page.click(".row:nth-child(2) .twist")
    page.wait("document.querySelectorAll('.row').length === 7")
    expect("/v1/bank" in page.evaluate(ACTIVE + ".innerText"), "after a row above was closed another one is named")
    expect(page.evaluate("document.activeElement.getAttribute('role')") == "tree", "a click on a triangle takes the focus from the tree")
    page.press("ArrowDown")
    page.wait("document.querySelector('.row.chosen').innerText.includes('reserve')")
    page.press("ArrowUp")
    page.evaluate("[...document.querySelectorAll('.tools button')].find((b) => b.innerText === 'close all').click()")
    page.wait("document.querySelectorAll('.row').length === 5")
    expect("POST /charge" in page.evaluate(ACTIVE + ".innerText") and "POST /charge" in page.text(".details h2"),
           f"after 'close all' {page.evaluate(ACTIVE + '.innerText')!r} is chosen")
    page.click(".row:nth-child(1) .twist")
    page.wait("document.querySelectorAll('.row').length === 2")
    page.evaluate("[...document.querySelectorAll('.tools button')].find((b) => b.innerText === 'open all').click()")
    page.wait("document.querySelectorAll('.row').length === 8")
    expect("GET /checkout" in page.evaluate(ACTIVE + ".innerText"), "after 'open all' another row is named")
    page.go(site.at(f"/trace/{site.large}", span=f"{2:016x}"), "document.querySelectorAll('.row.chosen').length === 1")
    page.evaluate("document.querySelector('.rows').scrollTop = 100000")
    page.wait("parseFloat(document.querySelectorAll('.row')[1].style.getPropertyValue('--at')) > 90000")
    expect(page.evaluate(ACTIVE + ".className") == "row chosen", "the chosen row is named and not there, since it was scrolled away")
    say("  the tree: places, what is closed, the triangle, scrolled away")


def check_keyboard(page, site):
    """From the top of the page into the waterfall and through it, with the keyboard alone."""
    page.go(site.at("/", view="traces", service="frontend"), "!!document.querySelector('.scatter')")
    page.press("Tab")
    expect(page.evaluate("document.activeElement.className") == "skip", "Tab does not begin with the link to the content")
    seen = []
    for _ in range(60):
        page.press("Tab")
        at = page.evaluate("""(() => { const node = document.activeElement, style = getComputedStyle(node);
            return [node.getAttribute('href') || node.id || node.tagName, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0]; })()""")
        seen.append(at[0])
        expect(at[1] or at[0] == "BODY", f"no focus is seen on {at[0]}")
        if at[0] == f"/trace/{site.checkout}":
            break
    expect(seen[-1] == f"/trace/{site.checkout}", f"Tab does not come to the trace: {seen}")
    page.press("Enter")
    page.wait("document.querySelectorAll('.row').length === 8")
    for _ in range(40):
        page.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role') === 'tree'"):
            break
    expect(page.evaluate("document.activeElement.getAttribute('role') === 'tree'"), "Tab does not come to the waterfall")
    chosen = "document.querySelector('.row.chosen')?.innerText"
    page.press("ArrowDown", 2)
    page.wait(f"{chosen}.includes('load cart')")
    page.press("ArrowLeft")
    page.wait("document.querySelectorAll('.row').length === 7")
    page.press("ArrowRight")
    page.wait("document.querySelectorAll('.row').length === 8")
    page.press("ArrowRight")
    page.wait(f"{chosen}.includes('SELECT carts')")
    page.press("ArrowLeft")
    page.wait(f"{chosen}.includes('load cart')")
    page.press("ArrowLeft")
    page.reload("document.querySelectorAll('.row').length === 7 && !!document.querySelector('.row.chosen')")
    page.evaluate("document.querySelector('[role=tree]').focus()")
    page.press("ArrowRight")
    page.press("End")
    page.wait(f"{chosen}.includes('audit')")
    page.press("Home")
    page.press("ArrowLeft")
    page.wait("document.querySelectorAll('.row').length === 2")
    expect(page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.getAttribute('aria-expanded')") == "false",
           "a screen reader is not told what is chosen, or that it is closed")
    page.click(".twist[aria-label=Open]")
    page.wait("document.querySelectorAll('.row').length === 8")
    say("  keyboard: to a trace and through its waterfall")


def try_policy(page, site, form, text):
    page.go(site.at("/", view="policies"), "!!document.querySelector('#try-text')")
    page.choose("#try-form", form)
    page.enter("#try-text", text)
    page.click("form[aria-label^=Try] button[type=submit]")
    page.wait("!!document.querySelector('.outcome, .tried .error')")
    return page.text(".tried")


def check_try(page, site):
    page.go(site.at("/", view="policies"), "document.querySelectorAll('details.policy').length === 5")
    for part in ("errors", "status_code", EVIL_POLICY, "slower"):
        expect(part in page.text("main"), f"Policies do not show {part!r}")
    page.wait("document.querySelector('#try-of option[value=received]').disabled")
    expect("retain: 30m" in page.text("form[aria-label^=Try]"), "the page does not say what all that came needs")
    for form, text, wanted in (("span", 'attributes["db.system"] == "postgresql"', 2), ("trace", "span_count > 1000", 1),
                               ("policy", "{name: tried, type: latency, latency: {threshold_ms: 1700}}", 3)):
        said = try_policy(page, site, form, text)
        expect(f"keeps {wanted} (" in said, f"{form} {text} says: {said}")
    page.reload("!!document.querySelector('.outcome')")
    page.go(site.at("/", view="policies", form="span", since="1h", run="1", text='attributes["db.system"] == "postgresql"'), "!!document.querySelector('.outcome')")
    long = 'attributes["db.system"] == "postgresql"' + ' or attributes["a"] == "\u00e4"' * 500
    said = try_policy(page, site, "span", long)
    expect("keeps 2 (" in said and "text=" not in page.evaluate("location.search"), f"a text of {len(long)} characters says: {said}")
    expect(page.evaluate(FOCUSED) == "main", f"after a trial the focus is on {page.evaluate(FOCUSED)}")
    page.reload("!!document.querySelector('.outcome')")
    expect(page.evaluate("document.querySelector('#try-text').value") == long, "the text is not what it was")
    page.evaluate("document.querySelector('a.skip').click()")
    expect(page.evaluate("location.hash").startswith("#text=") and page.evaluate(FOCUSED) == "main", "the link to the content loses the text")
    page.evaluate("document.querySelector('details.policy').open = true")
    page.click("details.policy[open] a")
    page.wait("document.querySelector('#try-text').value.includes('status_code') && document.querySelector('#try-form').value === 'policy'")
    for form, text in (("span", 'attributes["a"] ='), ("trace", "duration >"), ("policy", "{name: x, type: latenzy}")):
        said = try_policy(page, site, form, text)
        expect(page.count(".outcome") == 0 and len(said) > 20, f"{form} {text} says: {said}")
    try_policy(page, site, "trace", "span_count > 1000")
    page.click(f'.tried a[href="/trace/{site.large}"]')
    page.wait("document.querySelectorAll('.row').length > 10")
    say("  policies: tried as span, trace and policy; wrong ones are told")


def check_what_if(browser, binary, directory):
    """All that came, with a journal and without a store: of 20 quick traces, 4 slow ones and 3 with an error the last are kept."""
    os.mkdir(directory)
    policies = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]
    settings = basic_config(policies, {"debug": {}}, decision_wait="500ms")
    settings["journal"] = {"directory": os.path.join(directory, "journal"), "retain": "10m", "disk_free_min": 0}
    with Daemon(binary, directory, settings) as daemon:
        web, now, slow = daemon.pages["web"], time.time_ns(), []
        for i in range(27):
            trace = secrets.token_hex(16)
            slow += [trace] if 20 <= i < 24 else []
            send(daemon.http, request({"shop": [span(trace, 1, 0, "GET /", 0, 3000 if i >= 20 else 3, now, "declined" if i >= 24 else "")]}))
        until(lambda: json.loads(get(web, f"/explain/{trace}")[1]).get("verdict") == "sampled", "the last is decided", 60)
        page = browser.page()
        page.look()
        base = f"http://127.0.0.1:{web}/?" + urllib.parse.urlencode({"view": "policies"})
        page.go(base, "!!document.querySelector('#try-text')")
        page.choose("#try-form", "policy")
        page.choose("#try-of", "received")
        page.enter("#try-text", f"[{{name: slow, type: latency, latency: {{threshold_ms: 1000}}}}, {json.dumps({**policies[0], 'name': EVIL_POLICY})}]")
        page.click("form[aria-label^=Try] button[type=submit]")
        page.wait("!!document.querySelector('.outcome, .tried .error')")
        said = page.text(".tried")
        expect("Of 27 traces that came it would keep 7 traces (25.9 %), 7 spans (25.9 %)" in said and "Kept were 3 traces (11.1 %)" in said,
               f"what if says: {said}")
        rows = page.evaluate("[...document.querySelector('.tried table').querySelectorAll('tbody tr')].map((r) => [...r.cells].slice(0, 4).map((c) => c.innerText))")
        expect(rows == [["would be kept", "all", "7", "7"], ["", "slow", "7", "7"], ["was kept", "all", "3", "3"], ["", "errors", "3", "3"]],
               f"the rows are {rows}")
        bad = page.evaluate(CONTRAST) + page.evaluate(NAMES)
        page.look("dark", 500, 900)
        bad += page.evaluate(NAMES)
        expect(not bad, "\n".join(bad))
        page.look()
        page.reload("!!document.querySelector('.outcome')")
        page.click(f'.tried a[href="/trace/{slow[0]}"]')
        page.wait("document.querySelectorAll('.row').length === 1")
        page.go(base + "&of=received&run=1&form=span#text=attributes%5B", "!!document.querySelector('.tried .error')")
        expect("column" in page.text(".tried"), "a wrong condition is not told")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say("  what if: of all that came, what would be kept and was not")


def check_services(page, site):
    """web calls a service that fails half of the time, and a database; the picture and the tables say so, and lead to traces."""
    now = time.time_ns()
    for i in range(10):
        trace = secrets.token_hex(16)
        send(site.daemon.http, request({
            "checkout": [span(trace, 1, 0, "GET /", 0, 30, now), {**span(trace, 2, 1, "POST", 1, 29, now), "kind": 3},
                         {**span(trace, 4, 1, "SELECT", 2, 3, now, has={"db.name": "carts"}), "kind": 3}],
            "payment": [span(trace, 3, 2, "POST /charge", 2, 28, now, error="declined" if i % 2 else "")]}))
    page.go(site.at("/", view="services"), "[...document.querySelectorAll('.service-map .node-name')].some((n) => n.textContent === 'payment')")
    page.wait("document.querySelector('main').innerText.includes('carts')")
    rows = page.evaluate("[...document.querySelectorAll('tbody tr')].map((r) => r.innerText.replaceAll('\\n', '').split('\\t').map((c) => c.trim()))")
    edge = next((row for row in rows if row[:2] == ["checkout", "payment"]), None)
    expect(edge and edge[4] == "50.0 %", f"the connection of checkout and payment says {edge}")
    expect(any(row[:3] == ["checkout", "carts", "database"] for row in rows), f"no database in {rows}")
    expect(any(row[:3] == ["user", "checkout", "virtual node"] for row in rows), f"no user in {rows}")
    page.click('main a[data-node="payment"]')
    page.wait("location.search.includes('view=traces') && location.search.includes('service=payment')")
    say(f"  services: {' '.join(edge)}; a click searches")


def check_overflow(browser, binary, directory):
    """Requests that have no edge of their own: the view says how many."""
    os.mkdir(directory)
    settings = basic_config([{"name": "all", "type": "always_sample"}], {"debug": {}})
    settings["service_graph"] = {"edges_max": 2}
    with Daemon(binary, directory, settings) as daemon:
        call = lambda: {**span(secrets.token_hex(16), 1, 2, "SELECT", 1, 2, time.time_ns(), has={"db.name": "carts"}), "kind": 3}  # noqa: E731
        for _ in range(3):  # user to carts, web to carts, and what is one too many: carts to carts
            send(daemon.http, request({"carts": [span(secrets.token_hex(16), 1, 0, "GET /", 1, 2, time.time_ns())]}))
            for service in ("web", "carts"):
                send(daemon.http, request({service: [call()]}))
        page = browser.page()
        page.go(f"http://127.0.0.1:{daemon.pages['web']}/?view=services", "!!document.querySelector('.overflow')")
        told = page.text(".overflow")
        expect(told.startswith("3 requests since the start are in none of these connections"), f"the view says: {told}")
        expect(daemon.stop() == 0, "the daemon did not end with 0")
    say("  services: what has no room is told of")


DRAWN = """new MutationObserver((_, observer) => {
  if (!document.querySelector('.row')) return;
  observer.disconnect();
  requestAnimationFrame(() => { const channel = new MessageChannel();  // its message comes when the frame is painted
    channel.port1.onmessage = () => { window.drawn = performance.now(); }; channel.port2.postMessage(0); });
}).observe(document, {childList: true, subtree: true});"""


def check_large(page, site):
    """10,000 spans: time from the begin of the navigation to the first painted rows, and the work of scrolling."""
    page.on_new_document(DRAWN)
    took, middle = [], 0
    page.requests.clear()
    while len(took) < 5 or (middle > FIRST_DRAWN_MS and len(took) < LOADS_MAX):
        page.go(site.at(f"/trace/{site.large}"), "window.drawn > 0")
        took.append(page.evaluate("window.drawn"))
        middle = statistics.median(sorted(took)[:5])
    expect("10,000 spans" in page.text("main"), "the trace is not whole")
    asked = sum(f"/api/trace/{site.large}" in one for one in page.requests)
    expect(asked == len(took), f"the trace was asked for {asked} times in {len(took)} loads")
    rows = page.count(".row")
    expect(5 < rows < 150, f"{rows} rows are in the document")
    scrolled = page.evaluate("""(async () => { const box = document.querySelector('.rows'), took = [];
      for (let i = 1; i <= 60; ++i) { box.scrollTop = i * box.scrollHeight / 61; const began = performance.now();
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); took.push(performance.now() - began); }
      took.sort((a, b) => a - b); return [took[30], took[57]]; })()""")
    expect(page.count(".row") < 150, "rows that were scrolled away stay")
    say(f"  10,000 spans: first drawn in {middle:.0f} ms ({', '.join(f'{one:.0f}' for one in took)}), {rows} rows; "
        f"a frame of scrolling {scrolled[0]:.0f} ms, at most {scrolled[1]:.0f} of 95 in 100")
    expect(middle <= FIRST_DRAWN_MS, f"first drawn after {middle:.0f} ms")
    expect(scrolled[0] <= 60, f"a frame of scrolling takes {scrolled[0]:.0f} ms")


def test_page(tools, binary, directory):
    with Daemon(binary, directory, config(directory)) as daemon, Chromium(directory) as browser:
        site, page = Site(daemon, directory), browser.page()
        page.look()
        check_headers(site)
        for check in (check_now, check_words, check_search, check_trace, check_shared, check_tree, check_keyboard, check_services,
                      check_try):
            check(page, site)
            check_quiet(page, site, ("/api/try", "q=%7B+span.http+%3D+%7D"))
        check_every_view(page, site)
        check_quiet(page, site, ("/api/try", "q=%7B+span.http+%3D+%7D", "ab" * 16, "/favicon.ico"))
        check_large(page, site)
        # Last: their tabs leave the other behind, where nothing is painted.
        check_what_if(browser, binary, os.path.join(directory, "past"))
        check_overflow(browser, binary, os.path.join(directory, "overflow"))
        expect(daemon.stop() == 0, "the daemon did not end with 0")
