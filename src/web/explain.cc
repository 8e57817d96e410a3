// SPDX-License-Identifier: Apache-2.0
#include "web/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "model/threshold.h"
#include "web/explain_html.h"
#include "web/json_page.h"
#include "web/params.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kExplainDefault = 100, kExplainMax = 1'000;

json::value text_or_null(const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); }

// 56 bits as `rv` and `th` are written, so that they can be compared by eye.
std::string random_digits(std::uint64_t value) { return fmt::format("{:014x}", value); }

json::value threshold_json(std::uint64_t threshold) {
  if (threshold == kUnknownChance) return nullptr;
  return threshold_digits(threshold).c_str();
}

struct Question {
  ExplainQuery query;
  JsonForm form = JsonForm::kCompact;
};

// The keys of a query, `one` of a single trace. The error says what was expected.
Result<Question> question_of(std::string_view text, bool one) {
  Params params(text);
  Question out;
  if (!one) {
    out.query.policy = params.text("policy");
    out.query.decision = params.choice("decision", "", {kDecisionNames.begin(), kDecisionNames.end()});
    out.query.service = params.text("service");
    out.query.root = params.text("root");
    out.query.limit = params.number("limit", kExplainDefault, 1, kExplainMax);
  }
  out.form = params.flag("pretty") ? JsonForm::kPretty : JsonForm::kCompact;
  if (Result<void> good = params.finish(); !good) return tl::unexpected(good.error());
  return out;
}

// Browsers say that they want HTML; curl takes anything and gets JSON.
bool wants_html(const RequestHead& head) { return head.header("accept").find("text/html") != std::string_view::npos; }

Response list(const ExplainSource& source, const ExplainPageOptions& options, const RequestHead& head) {
  const bool html = wants_html(head);
  const Result<Question> question = question_of(head.query(), false);
  if (!question) return html ? html_error(400, question.error().text) : json_error(400, question.error().text);
  const Result<std::vector<Explanation>> found = source.recent(question->query);
  if (!found) return html ? html_error(400, found.error().text) : json_error(400, found.error().text);
  if (html) return html_list(question->query, *found, options.remembers);
  json::array all;
  for (const Explanation& e : *found) all.push_back(explanation_json(e, options.exporters));
  Response own = json_response(200, all, question->form);
  if (!options.others) return own;
  return ask_all(*options.others, {"GET", head.target, ""}, own,
                 [limit = question->query.limit, form = question->form](const MemberAnswers& answers) {
                   return merge_lists(answers, limit, form);
                 });
}

Response one(const ExplainSource& source, const ExplainPageOptions& options, const RequestHead& head) {
  const bool html = wants_html(head);
  const auto error = [&](int status, std::string_view says) {
    return html ? html_error(status, says) : json_error(status, says);
  };
  const std::string_view text = head.path().substr(std::string_view("/explain/").size());
  const Result<Question> question = question_of(head.query(), true);
  if (!question) return error(400, question.error().text);
  const std::optional<TraceId> id = TraceId::from_short_hex(text);
  if (!id)
    return error(400, fmt::format("expected a trace id of 1 to 32 hex digits, not zero, got '{}'", text.substr(0, 80)));
  const std::optional<Explanation> e = source.explain(*id);
  if (options.others && (!e || (e->verdict_only && !html))) {
    const Response own = e ? json_response(200, explanation_json(*e, options.exporters))
                           : json_error(404, "nothing is known of this trace");
    return ask_all(*options.others, {"GET", head.target, ""}, own,
                   [form = question->form](const MemberAnswers& answers) { return merge_trace(answers, form); });
  }
  if (!e && !options.remembers)
    return error(404, "not an open trace, and decisions are not remembered: explain.max_bytes is 0");
  if (!e)
    return error(404,
                 "nothing is known of this trace: it never came here, or it was decided too long ago to be remembered");
  return html ? html_trace(*e, options.exporters)
              : json_response(200, explanation_json(*e, options.exporters), question->form);
}

Response shadow(const ShadowReport& report) {
  json::array policies;
  for (const ShadowReport::Policy& p : report.policies) {
    json::array lost;
    for (const TraceId& id : p.lost_errors) lost.push_back(json::value(id.hex()));
    policies.push_back(json::object{{"name", p.name},
                                    {"traces", p.traces},
                                    {"kept_traces", p.kept_traces},
                                    {"kept_spans", p.kept_spans},
                                    {"kept_bytes", p.kept_bytes},
                                    {"would_add", p.would_add},
                                    {"would_lose", p.would_lose},
                                    {"lost_errors", std::move(lost)}});
  }
  return json_response(200, json::object{{"policies", std::move(policies)},
                                         {"live", json::object{{"traces", report.traces},
                                                               {"kept_traces", report.kept_traces},
                                                               {"kept_spans", report.kept_spans},
                                                               {"kept_bytes", report.kept_bytes}}}});
}

}  // namespace

json::object explanation_json(const Explanation& e, const std::vector<std::string>& exporter_names) {
  const auto known = [&](const json::value& value) { return e.verdict_only ? json::value(nullptr) : value; };
  json::object out;
  out["trace_id"] = e.id.hex();
  out["state"] = e.decided ? "decided" : "open";
  out["verdict"] =
      e.decided ? json::value(kDecisionNames[static_cast<std::size_t>(e.verdict.decision)]) : json::value(nullptr);
  out["policy"] = text_or_null(e.policy);
  out["close_reason"] =
      e.decided ? json::value(kCloseReasonNames[static_cast<std::size_t>(e.verdict.reason)]) : json::value(nullptr);
  if (!e.shed.empty()) out["shed"] = e.shed;
  out["complete"] = e.complete;
  if (e.verdict_only) out["verdict_only"] = true;
  out["missing_parents"] = known(json::array(e.missing_parents.begin(), e.missing_parents.end()));
  out["missing_parents_count"] = known(e.missing_count);
  out["first_seen"] = known(iso_time(e.first_seen_unix_ns).c_str());
  out["decided"] = e.decided ? known(iso_time(e.decided_unix_ns).c_str()) : json::value(nullptr);
  out["duration_ms"] = known(static_cast<double>(e.duration_ns) / 1e6);
  out["spans"] = known(e.spans);
  out["errors"] = known(e.errors);
  out["bytes"] = known(e.bytes);
  if (e.root_service.empty() && e.root_name.empty()) {
    out["root"] = nullptr;
  } else {
    out["root"] = json::object{{"service", e.root_service}, {"name", e.root_name}};
  }
  out["random"] = known(random_digits(e.random).c_str());
  const bool kept = e.decided && e.verdict.decision == Decision::kSampled;
  out["threshold"] = kept ? threshold_json(e.threshold) : json::value(nullptr);
  if (e.shed_threshold != 0) out["shed_threshold"] = threshold_digits(e.shed_threshold);
  json::array votes;
  for (const ExplainedVote& vote : e.votes) {
    votes.push_back(json::object{{"policy", vote.policy},
                                 {"vote", vote.vote},
                                 {"span_id", text_or_null(vote.span_id)},
                                 {"attribute", text_or_null(vote.attribute)},
                                 {"why", text_or_null(vote.why)}});
  }
  out["votes"] = std::move(votes);
  out["late_spans"] = known(e.late_spans);
  out["late_errors"] = known(e.late_errors);
  json::array exporters;
  for (const std::size_t i : e.exporters)
    exporters.push_back(json::value(i < exporter_names.size() ? exporter_names[i] : fmt::format("{}", i)));
  out["exporters"] = std::move(exporters);
  return out;
}

void add_explain_pages(Pages& pages, const ExplainSource& source, ExplainPageOptions options) {
  const auto shared = std::make_shared<const ExplainPageOptions>(std::move(options));
  pages.add("/explain", [&source, shared](const RequestHead& head) { return list(source, *shared, head); });
  pages.add("/explain/", [&source, shared](const RequestHead& head) { return one(source, *shared, head); });
  pages.add("/shadow", [&source, shared](const RequestHead& head) {
    Response own = shadow(source.shadow());
    return shared->others ? ask_all(*shared->others, {"GET", head.target, ""}, own, merge_shadow) : own;
  });
}

}  // namespace tailgate
