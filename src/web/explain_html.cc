// SPDX-License-Identifier: Apache-2.0
#include "web/explain_html.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "codec/utf8.h"
#include "web/json_page.h"
#include "web/page.h"

namespace tailgate {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--line:#8884;--dim:#5b6470;--good:#1a6b34;--bad:#b3261e;--warn:#6b4a00}
@media (prefers-color-scheme:dark){:root{--dim:#a0a8b2;--good:#7fd69a;--bad:#ff8a80;--warn:#ffdf8f}}
main{overflow-x:auto}::placeholder{color:var(--dim);opacity:1}
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem;max-width:90rem}
h1{font-size:1.3rem}h1 a{color:inherit;text-decoration:none}code,.id{font-family:ui-monospace,monospace}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
th{font-weight:600;white-space:nowrap}td.n{text-align:right;white-space:nowrap}.dim{color:var(--dim)}.facts{width:auto;margin-bottom:1.5rem}
.v{font-weight:600;white-space:nowrap}.sampled{color:var(--good)}.dropped{color:var(--bad)}.not_sampled{color:var(--warn)}
form{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}label{display:flex;flex-direction:column;font-size:.85rem}
input,select,button{font:inherit;padding:.2rem .4rem}button{align-self:end}
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : to_utf8(text, kReplacementCharacter)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Response page(int status, std::string_view title, std::string_view body) {
  Response response;
  response.status = status;
  response.headers = page_headers("text/html; charset=utf-8", "style-src 'unsafe-inline'; form-action 'self'");
  response.body = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0} - Tailgate</title><style>{1}</style></head><body>\n"
      "<h1><a href=\"/explain\">Tailgate: why traces were kept or dropped</a></h1>\n<main>{2}</main></body></html>\n",
      escaped(title), kStyle, body);
  return response;
}

std::string_view verdict_of(const Explanation& e) {
  return e.decided ? kDecisionNames[static_cast<std::size_t>(e.verdict.decision)] : "open";
}

std::string verdict_html(std::string_view verdict) { return fmt::format("<span class=\"v {0}\">{0}</span>", verdict); }

// Why the trace got its verdict, in a line: what the policy that decided saw; without one, what every policy saw.
std::string reason_of(const Explanation& e) {
  if (!e.decided) return "not decided yet";
  if (e.verdict.shed) return "shed when it arrived, as memory was short";
  std::string all;
  for (const ExplainedVote& vote : e.votes) {
    if (vote.why.empty()) continue;
    const bool decided = e.policy == vote.policy || e.policy.starts_with(vote.policy + "/");
    if (decided && vote.vote != "not_sampled") return vote.why;
    if (e.policy.empty()) all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", vote.policy, vote.why);
  }
  if (all.empty() && e.policy.empty())
    return std::string(kCloseReasonNames[static_cast<std::size_t>(e.verdict.reason)]);
  return all;
}

std::string field(std::string_view label, std::string_view name, std::string_view value, std::string_view hint) {
  return fmt::format("<label>{}<input name=\"{}\" value=\"{}\" placeholder=\"{}\"></label>", label, name,
                     escaped(value), hint);
}

std::string form_of(const ExplainQuery& query) {
  std::string decisions = "<option value=\"\">any</option>";
  for (const std::string_view name : kDecisionNames) {
    decisions += fmt::format("<option{}>{}</option>", query.decision == name ? " selected" : "", name);
  }
  return fmt::format(
      "<form method=\"get\" action=\"/explain\"><label>Verdict<select name=\"decision\">{}</select></label>{}{}{}"
      "<label>At most<input name=\"limit\" type=\"number\" min=\"1\" max=\"1000\" value=\"{}\"></label>"
      "<button>Show</button></form>\n",
      decisions, field("Policy", "policy", query.policy, "errors"),
      field("Service of the root", "service", query.service, "checkout*"),
      field("Name of the root", "root", query.root, "GET /pay/**"), query.limit);
}

void fact(std::string& out, std::string_view label, const std::string& html) {
  if (!html.empty()) out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", label, html);
}

std::string root_of(const Explanation& e) {
  if (e.root_service.empty() && e.root_name.empty()) return "<span class=\"dim\">no root</span>";
  return fmt::format("{} <span class=\"dim\">{}</span>", escaped(e.root_name), escaped(e.root_service));
}

}  // namespace

Response html_list(const ExplainQuery& query, const std::vector<Explanation>& traces, bool remembers) {
  std::string body = form_of(query);
  if (!remembers) body += "<p>Decisions are not remembered: explain.max_bytes is 0.</p>\n";
  if (remembers && traces.empty()) body += "<p>No decision that matches is remembered.</p>\n";
  if (!traces.empty()) {
    body +=
        "<table><tr><th>Decided</th><th>Verdict</th><th>Policy</th><th>Root</th><th>Duration</th><th>Spans</th>"
        "<th>Errors</th><th>Why</th><th>Trace</th></tr>\n";
  }
  for (const Explanation& e : traces) {
    body += fmt::format(
        "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"n\">{}</td><td>{}</td><td class=\"id\"><a href=\"/explain/{}\">{}</a></td></tr>\n",
        iso_time(e.decided_unix_ns), verdict_html(verdict_of(e)), escaped(e.policy), root_of(e),
        format_duration(Duration(e.duration_ns)), e.spans, e.errors, escaped(reason_of(e)), e.id.hex(),
        e.id.hex().substr(0, 8));
  }
  if (!traces.empty()) body += "</table>\n";
  return page(200, "Last decisions", body);
}

Response html_trace(const Explanation& e, const std::vector<std::string>& exporter_names) {
  std::string body = fmt::format("<h2 class=\"id\">{}</h2>\n<table class=\"facts\">\n", e.id.hex());
  fact(body, "Verdict", verdict_html(verdict_of(e)) + (e.policy.empty() ? "" : " by " + escaped(e.policy)));
  fact(body, "Why", escaped(reason_of(e)));
  if (e.verdict_only) {
    fact(body, "Known",
         "only the verdict: the trace was decided a while ago, by an earlier process or by another member");
  } else {
    fact(body, "Root", root_of(e));
    fact(body, "First seen", iso_time(e.first_seen_unix_ns));
  }
  if (e.decided && !e.verdict_only) {
    fact(body, "Decided",
         fmt::format("{} ({})", iso_time(e.decided_unix_ns),
                     kCloseReasonNames[static_cast<std::size_t>(e.verdict.reason)]));
  }
  if (!e.verdict_only) {
    fact(body, "Duration", format_duration(Duration(e.duration_ns)));
    fact(body, "Spans", fmt::format("{}, of them {} with errors; {}", e.spans, e.errors, format_bytes(e.bytes)));
  }
  if (e.decided && !e.verdict_only) {
    std::string missing = e.complete ? "yes" : fmt::format("no: {} parents are missing", e.missing_count);
    for (const std::string& id : e.missing_parents) missing += fmt::format(" <code>{}</code>", id);
    fact(body, "Complete", missing);
  }
  if (e.late_spans != 0) fact(body, "Came late", fmt::format("{} spans, {} with errors", e.late_spans, e.late_errors));
  std::string exporters;
  for (const std::size_t i : e.exporters)
    exporters += (exporters.empty() ? "" : ", ") + (i < exporter_names.size() ? escaped(exporter_names[i]) : "?");
  fact(body, "Queued for", exporters);
  fact(body, "Shed", escaped(e.shed));
  body += "</table>\n";
  if (!e.votes.empty()) body += "<table><tr><th>Policy</th><th>Vote</th><th>Why</th><th>Span</th></tr>\n";
  for (const ExplainedVote& vote : e.votes) {
    body += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"id\">{}</td></tr>\n", escaped(vote.policy),
                        verdict_html(vote.vote), escaped(vote.why), vote.span_id);
  }
  if (!e.votes.empty()) body += "</table>\n";
  return page(200, e.id.hex(), body);
}

Response html_error(int status, std::string_view text) {
  return page(status, "Error", fmt::format("<p>{}</p>\n", escaped(text)));
}

}  // namespace tailgate
