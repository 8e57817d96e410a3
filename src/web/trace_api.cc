// SPDX-License-Identifier: Apache-2.0
#include "web/trace_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/kept_memory.h"
#include "base/units.h"
#include "codec/hex.h"
#include "codec/json_text.h"
#include "web/json_page.h"
#include "web/params.h"
#include "wire/otlp/json_write.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kApiSearchMax = 1'000;
constexpr std::size_t kServicesShown = 50;  // of one trace in a list: senders choose how many there are

struct TraceApi {
  QueryPool& pool;
  const ExplainSource& explained;
  TraceApiOptions options;
};
using TraceApiPtr = std::shared_ptr<const TraceApi>;

Response error_response(const Error& error) { return json_error(http_status_of(error), error.text); }

// Unix seconds, milliseconds, microseconds or nanoseconds, told apart by their size: right for times after 1973.
std::optional<std::uint64_t> unix_ns(const std::string& text) {
  if (text.empty() || text.size() > 19 ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  const std::uint64_t n = std::stoull(text);
  const std::uint64_t unit = n < 100'000'000'000           ? 1'000'000'000
                             : n < 100'000'000'000'000     ? 1'000'000
                             : n < 100'000'000'000'000'000 ? 1'000
                                                           : 1;
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  return n > kLast / unit ? kLast : n * unit;
}

void read_times(Params& params, TraceQuestion& out) {
  const std::optional<std::uint64_t> since = params.duration_ns("since");
  const std::uint64_t now = wall_now_ns();
  if (since) out.from_ns = *since < now ? now - *since : 0;
  for (const auto& [name, field] : {std::pair{"from", &out.from_ns}, {"to", &out.to_ns}}) {
    const std::string text = params.text(name);
    if (text.empty()) continue;
    if (const std::optional<std::uint64_t> at = unix_ns(text)) {
      *field = *at;
    } else {
      params.fail(name, "a Unix time in s, ms, us or ns", text);
    }
  }
}

struct Asked {
  TraceQuestion question;
  bool remembered = false;
};

Result<Asked> read_question(std::string_view query) {
  Params params(query);
  Asked out;
  SpanConditions& span = out.question.span;
  read_times(params, out.question);
  span.service = params.text("service");
  span.operation = params.text("operation");
  span.status = params.choice("status", "", {"unset", "ok", "error"});
  if (const auto min = params.duration_ns("min")) span.duration_min_ns = *min;
  if (const auto max = params.duration_ns("max")) span.duration_max_ns = *max;
  if (span.duration_max_ns < span.duration_min_ns) params.fail("max", "no less than min", params.text("max"));
  const std::string attributes = params.text("attributes");
  const std::string traceql = params.text("q");
  out.question.limit = params.number("limit", 20, 1, kApiSearchMax);
  out.remembered = params.choice("include", "", {"remembered"}) == "remembered";
  if (Result<void> good = params.finish(); !good) return tl::unexpected(good.error());
  auto words = read_attribute_words(attributes);
  if (!words) return tl::unexpected(words.error());
  span.attributes = std::move(*words);
  if (traceql.find_first_not_of(" \t\r\n") != std::string::npos) {
    Result<traceql::Query> parsed = traceql::parse_query(traceql);
    if (!parsed) return fail(ErrorKind::kBadInput, "TraceQL: " + parsed.error().text);
    out.question.query = std::move(*parsed);
  }
  return out;
}

ByteView shown(ByteView name) { return name.substr(0, kNameShown); }

json::object summary(const FoundTrace& found) {
  const TraceView& view = found.view;
  json::array services;
  for (const TraceView::Service& s : view.services()) {
    if (services.size() == kServicesShown) break;
    services.push_back(json::object{{"name", shown(s.name)}, {"spans", s.spans}, {"errors", s.errors}});
  }
  std::size_t matched = 0;
  for (const traceql::Spanset& set : found.spansets) matched += set.spans.size();
  return json::object{{"trace_id", found.stored.id.hex()},
                      {"stored", true},
                      {"root_service", shown(view.root_service())},
                      {"root_name", shown(view.root_name())},
                      {"start_ns", std::to_string(view.start_ns())},
                      {"duration_ns", std::to_string(view.duration_ns())},
                      {"spans", view.spans().size()},
                      {"errors", view.errors()},
                      {"matched", matched},
                      {"policy", found.stored.policy},
                      {"services", std::move(services)}};
}

// Whether decisions that are remembered can be compared with what is asked. They have no attributes, and of the
// statuses only how many were errors.
bool is_comparable(const TraceQuestion& question) {
  const std::string& status = question.span.status;
  return question.span.attributes.empty() && !question.query && (status.empty() || status == "error");
}

// Decisions that /explain remembers of traces that are not stored, the newest kApiSearchMax of this service and root.
// True: there may be more.
bool add_remembered(const TraceApi& shared, const Asked& asked, json::array& traces) {
  const TraceQuestion& question = asked.question;
  ExplainQuery query;
  query.service = question.span.service;  // as patterns, which find these names and perhaps more
  query.root = question.span.operation;
  query.limit = kApiSearchMax;
  const Result<std::vector<Explanation>> found = shared.explained.recent(query);
  if (!found) return false;
  std::size_t added = 0;
  for (const Explanation& e : *found) {
    if (added == question.limit) return false;
    const bool kept = e.decided && e.verdict.decision == Decision::kSampled && e.shed.empty();
    if (kept || e.first_seen_unix_ns < question.from_ns || e.first_seen_unix_ns > question.to_ns) continue;
    if (!question.span.service.empty() && e.root_service != question.span.service) continue;
    if (!question.span.operation.empty() && e.root_name != question.span.operation) continue;
    if (question.span.status == "error" && e.errors == 0) continue;
    const auto duration = static_cast<std::uint64_t>(std::max<std::int64_t>(0, e.duration_ns));
    if (duration < question.span.duration_min_ns || duration > question.span.duration_max_ns) continue;
    ++added;
    traces.push_back(
        json::object{{"trace_id", e.id.hex()},
                     {"stored", false},
                     {"root_service", e.root_service},
                     {"root_name", e.root_name},
                     {"start_ns", std::to_string(e.first_seen_unix_ns)},
                     {"duration_ns", std::to_string(duration)},
                     {"spans", e.spans},
                     {"errors", e.errors},
                     {"verdict", e.decided ? json::value(kDecisionNames[static_cast<std::size_t>(e.verdict.decision)])
                                           : json::value(nullptr)},
                     {"policy", e.policy}});
  }
  return found->size() == kApiSearchMax;
}

void add_sentence(std::string& text, std::string_view more) {
  text += text.empty() ? "" : " ";
  text += more;
}

void search(const TraceApi& shared, const Asked& asked, LaterAnswer& answer) {
  const TimePoint began = monotonic_now();
  json::array traces;
  SearchOutcome outcome;
  if (shared.options.store != nullptr) {
    Result<SearchOutcome> found = find_traces(
        *shared.options.store, asked.question, shared.options.limits, [&] { return answer.cancelled(); },
        [&](const FoundTrace& one) { traces.push_back(summary(one)); });
    if (!found) return answer.answer(error_response(found.error()));
    outcome = std::move(*found);
  }
  if (asked.remembered && !is_comparable(asked.question)) {
    add_sentence(outcome.cut,
                 "Traces that were not kept are left out: what is remembered of them has no attributes, and of the "
                 "statuses errors only.");
  } else if (asked.remembered && add_remembered(shared, asked, traces)) {
    add_sentence(outcome.cut, fmt::format("Of the traces that were not kept the newest {} decisions were looked at.",
                                          kApiSearchMax));
  }
  const auto took = std::chrono::duration<double, std::milli>(monotonic_now() - began).count();
  answer.answer(
      json_response(200, json::object{{"traces", std::move(traces)},
                                      {"inspected", json::object{{"traces", outcome.traces}, {"bytes", outcome.bytes}}},
                                      {"took_ms", took},
                                      {"store", shared.options.store != nullptr},
                                      {"cut", outcome.cut},
                                      {"damage", outcome.damage()}}));
}

Response one_trace(const TraceApiPtr& shared, const RequestHead& head) {
  std::string_view rest = head.path().substr(std::string_view("/api/trace/").size());
  const bool otlp_only = rest.ends_with("/otlp");
  if (otlp_only) rest.remove_suffix(5);
  const Result<TraceId> id = read_trace_id(rest);
  if (!id) return error_response(id.error());
  return shared->pool.later([shared, id = *id, otlp_only](LaterAnswer& answer) {
    const std::optional<Explanation> explained = otlp_only ? std::nullopt : shared->explained.explain(id);
    std::function<std::string()> asked;
    if (!explained && !otlp_only && shared->options.explained_elsewhere)
      asked = shared->options.explained_elsewhere(id);  // answers while the trace is looked for
    StoredTrace stored;
    if (shared->options.store != nullptr) {
      Result<StoredTrace> found = shared->options.store->trace(id);
      if (!found) return answer.answer(error_response(found.error()));
      stored = std::move(*found);
    }
    const bool known = !stored.otlp.empty();
    const std::string elsewhere = asked ? asked() : std::string();
    if (!known && !explained && elsewhere.empty()) {
      return answer.answer(json_error(
          404, otlp_only ? "this trace is not stored"
                         : "this trace is not stored, and nothing is remembered of it: it never came here, it was "
                           "decided too long ago, or the store has deleted it"));
    }
    std::string body;
    if (otlp_only) {
      append_otlp_json(body, stored.otlp);
    } else {
      body = R"({"trace":)";
      if (known) {
        append_otlp_json(body, stored.otlp);
      } else {
        body += "null";
      }
      body += R"(,"policy":)";
      append_json_string(body, stored.policy);
      body += R"(,"parts_lost":)" + std::to_string(stored.parts_lost) + R"(,"explained":)";
      if (explained) {
        append_json(body, explanation_json(*explained, shared->options.exporters), JsonForm::kCompact);
      } else {
        body += elsewhere.empty() ? "null" : elsewhere;
      }
      body += '}';
    }
    free_memory(stored.otlp);
    answer.begin(json_head());
    if (answer.write(body, monotonic_now() + shared->options.limits.time_max)) answer.end();
  });
}

using Names = std::function<Result<std::vector<std::string>>(StoreReader&)>;

// A list of names under `key`; empty when nothing is stored.
Response names(const TraceApiPtr& shared, const Params& params, const char* key, Names ask) {
  if (Result<void> good = params.finish(); !good) return json_error(400, good.error().text);
  return shared->pool.later([shared, key, ask = std::move(ask)](LaterAnswer& answer) {
    Result<std::vector<std::string>> found = std::vector<std::string>();
    if (shared->options.store != nullptr) found = ask(*shared->options.store);
    if (!found) return answer.answer(error_response(found.error()));
    if (found->size() > kNamesMax) found->resize(kNamesMax);
    answer.answer(json_response(200, json::object{{key, json::array(found->begin(), found->end())}}));
  });
}

}  // namespace

void add_trace_api(Pages& pages, QueryPool& pool, const ExplainSource& explained, TraceApiOptions options) {
  const TraceApiPtr shared = std::make_shared<const TraceApi>(TraceApi{pool, explained, std::move(options)});
  pages.add("/api/search", [shared](const RequestHead& head) {
    return shared->pool.later([shared, query = std::string(head.query())](LaterAnswer& answer) {
      const Result<Asked> asked = read_question(query);  // here, since patterns take time to compile
      if (!asked) return answer.answer(json_error(400, asked.error().text));
      search(*shared, *asked, answer);
    });
  });
  pages.add("/api/trace/", [shared](const RequestHead& head) { return one_trace(shared, head); });
  pages.add("/api/services", [shared](const RequestHead& head) {
    return names(shared, Params(head.query()), "services",
                 [](StoreReader& store) { return store.services(0, std::numeric_limits<std::uint64_t>::max()); });
  });
  pages.add("/api/operations", [shared](const RequestHead& head) {
    Params params(head.query());
    const std::string service = params.text("service");
    return names(shared, params, "operations", [service](StoreReader& store) -> Result<std::vector<std::string>> {
      Result<std::vector<StoredOperation>> found = store.operations(service, std::nullopt);
      if (!found) return tl::unexpected(found.error());
      std::vector<std::string> out;
      for (StoredOperation& one : *found) {
        if (out.empty() || out.back() != one.name) out.push_back(std::move(one.name));
      }
      return out;
    });
  });
  pages.add("/api/attributes", [shared](const RequestHead& head) {
    Params params(head.query());
    const std::string prefix = params.text("prefix");
    const std::size_t limit = params.number("limit", 100, 1, kNamesMax);
    return names(shared, params, "attributes",
                 [prefix, limit](StoreReader& store) { return store.attribute_names(std::nullopt, prefix, limit); });
  });
  pages.add("/api/values", [shared](const RequestHead& head) {
    Params params(head.query());
    const std::string name = params.text("name"), prefix = params.text("prefix");
    const std::size_t limit = params.number("limit", 100, 1, kNamesMax);
    return names(shared, params, "values", [name, prefix, limit](StoreReader& store) {
      return store.attribute_values(std::nullopt, name, prefix, limit);
    });
  });
}

}  // namespace tailgate
