// SPDX-License-Identifier: Apache-2.0
#include "web/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "codec/percent.h"
#include "codec/utf8.h"
#include "model/threshold.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kLimitDefault = 100, kLimitMax = 1'000;

Response json_response(int status, const json::value& value) {
  Response response;
  response.status = status;
  response.headers.emplace_back("content-type", "application/json");
  response.body = json::serialize(value);
  response.body += '\n';
  return response;
}

// For text from outside, or cut in the middle of a character. Boost.JSON writes bytes unchanged, and bytes that are not
// UTF-8 would make the whole answer invalid JSON.
json::value foreign_text(std::string_view text) { return json::value(to_utf8(text, kReplacementCharacter)); }

Response json_error(int status, std::string_view text) {
  return json_response(status, json::object{{"error", foreign_text(text)}});
}

json::value text_or_null(const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); }

// 56 bits as `rv` and `th` are written, so that they can be compared by eye.
std::string random_digits(std::uint64_t value) { return fmt::format("{:014x}", value); }

json::value threshold_json(std::uint64_t threshold) {
  if (threshold == kUnknownChance) return nullptr;
  return threshold_digits(threshold).c_str();
}

// A whole number where it is one: Boost.JSON writes 10.0 as 1E1.
json::value milliseconds(std::int64_t ns) {
  return ns % 1'000'000 == 0 ? json::value(ns / 1'000'000) : json::value(static_cast<double>(ns) / 1e6);
}

json::object to_json(const Explanation& e, const std::vector<std::string>& exporter_names) {
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
  out["missing_parents"] = json::array(e.missing_parents.begin(), e.missing_parents.end());
  out["missing_parents_count"] = e.missing_count;
  out["first_seen"] = e.first_seen_unix_ns / 1'000'000;
  out["decided"] = e.decided ? json::value(e.decided_unix_ns / 1'000'000) : json::value(nullptr);
  out["duration_ms"] = milliseconds(e.duration_ns);
  out["spans"] = e.spans;
  out["errors"] = e.errors;
  out["bytes"] = e.bytes;
  if (e.root_service.empty() && e.root_name.empty()) {
    out["root"] = nullptr;
  } else {
    out["root"] = json::object{{"service", foreign_text(e.root_service)}, {"name", foreign_text(e.root_name)}};
  }
  out["random"] = random_digits(e.random);
  const bool kept = e.decided && e.verdict.decision == Decision::kSampled;
  out["threshold"] = kept ? threshold_json(e.threshold) : json::value(nullptr);
  if (e.shed_threshold != 0) out["shed_threshold"] = threshold_digits(e.shed_threshold);
  json::array votes;
  for (const ExplainedVote& vote : e.votes) {
    votes.push_back(json::object{{"policy", vote.policy},
                                 {"vote", vote.vote},
                                 {"span_id", text_or_null(vote.span_id)},
                                 {"attribute", text_or_null(vote.attribute)}});
  }
  out["votes"] = std::move(votes);
  out["late_spans"] = e.late_spans;
  out["late_errors"] = e.late_errors;
  json::array exporters;
  for (const std::size_t i : e.exporters)
    exporters.push_back(json::value(i < exporter_names.size() ? exporter_names[i] : fmt::format("{}", i)));
  out["exporters"] = std::move(exporters);
  return out;
}

// %XX and '+' of a query value; anything else stays.
std::string decode(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decoded_leniently(spaced);
}

Response list(const ExplainSource& source, const ExplainPageOptions& options, std::string_view text) {
  ExplainQuery query;
  query.limit = kLimitDefault;
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto equals = std::min(part.find('='), part.size());
    const std::string_view key = part.substr(0, equals);
    const std::string value = decode(part.substr(std::min(equals + 1, part.size())));
    if (key == "policy") {
      query.policy = value;
    } else if (key == "decision") {
      if (std::find(kDecisionNames.begin(), kDecisionNames.end(), value) == kDecisionNames.end()) {
        return json_error(400, fmt::format("decision: expected sampled, not_sampled or dropped, got '{}'", value));
      }
      query.decision = value;
    } else if (key == "limit") {
      const auto [p, error] = std::from_chars(value.data(), value.data() + value.size(), query.limit);
      if (error != std::errc() || p != value.data() + value.size() || query.limit < 1 || query.limit > kLimitMax) {
        return json_error(400, fmt::format("limit: expected 1 to {}, got '{}'", kLimitMax, value));
      }
    } else if (!part.empty()) {
      return json_error(400, fmt::format("expected policy, decision or limit, got '{}'", key));
    }
  }
  json::array all;
  for (const Explanation& e : source.recent(query)) all.push_back(to_json(e, options.exporters));
  return json_response(200, all);
}

Response one(const ExplainSource& source, const ExplainPageOptions& options, std::string_view text) {
  const std::optional<TraceId> id = TraceId::from_hex(text);
  if (!id || id->is_zero())
    return json_error(400, fmt::format("expected a trace id of 32 hex digits, not zero, got '{}'", text.substr(0, 80)));
  const std::optional<Explanation> e = source.explain(*id);
  if (!e && !options.remembers)
    return json_error(404, "not an open trace, and decisions are not remembered: explain.max_bytes is 0");
  if (!e)
    return json_error(
        404, "nothing is known of this trace: it never came here, or it was decided too long ago to be remembered");
  return json_response(200, to_json(*e, options.exporters));
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

void add_explain_pages(Pages& pages, const ExplainSource& source, ExplainPageOptions options) {
  const auto shared = std::make_shared<const ExplainPageOptions>(std::move(options));
  pages.add("/explain", [&source, shared](const RequestHead& head) { return list(source, *shared, head.query()); });
  pages.add("/explain/", [&source, shared](const RequestHead& head) {
    return one(source, *shared, head.path().substr(std::string_view("/explain/").size()));
  });
  pages.add("/shadow", [&source](const RequestHead&) { return shadow(source.shadow()); });
}

}  // namespace tailgate
