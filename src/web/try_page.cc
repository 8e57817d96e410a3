// SPDX-License-Identifier: Apache-2.0
#include "web/try_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/hash.h"
#include "base/units.h"
#include "web/json_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyMax = 64 << 10;
constexpr std::size_t kTracesShown = 100;  // of those kept, and of those not kept

constexpr std::string_view kNoPast =
    "of: expected stored; received wants a journal with retain: journal: {directory: DIR, retain: 30m}";

struct Request {
  std::string form, text;
  std::uint64_t since_ns = 0;  // 0: all that there is
  bool received = false;       // all that came, instead of what is stored
};

Result<Request> read_try_request(ByteView body) {
  const auto bad = [](std::string_view key, std::string_view wanted) {
    return fail(ErrorKind::kBadInput, fmt::format("{}: expected {}", key, wanted));
  };
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  if (error || !value.is_object()) {
    return fail(ErrorKind::kBadInput, R"(expected a JSON object with the keys "form", "text", "of" and "since")");
  }
  Request out;
  for (const auto& [key, v] : value.get_object()) {
    if (!v.is_string()) return bad(std::string_view(key).substr(0, 80), "a text");
    const std::string text(v.get_string());
    if (key == "form") {
      out.form = text;
    } else if (key == "text") {
      out.text = text;
    } else if (key == "of") {
      if (text != "stored" && text != "received") return bad(key, "stored or received");
      out.received = text == "received";
    } else if (key == "since") {
      const auto duration = text.empty() ? Duration::zero() : parse_duration(text).value_or(Duration(-1));
      if (duration < Duration::zero()) return bad(key, "a duration like 1h, or nothing for all that there is");
      out.since_ns = static_cast<std::uint64_t>(duration.count());
    } else {
      return bad(std::string_view(key).substr(0, 80), R"(no such key; "form", "text", "of" and "since" are known)");
    }
  }
  if (std::find(kTrialForms.begin(), kTrialForms.end(), out.form) == kTrialForms.end()) {
    return bad("form", "policy, span or trace");
  }
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos) return bad("text", "a policy or a condition");
  return out;
}

// What a list shows of a stored trace, without its spans.
struct Shown {
  TraceId id;
  std::uint64_t start_ns = 0, duration_ns = 0, spans = 0, errors = 0;
  std::string root_service, root_name;
};

json::object row(const Shown& trace, const TriedTrace& tried) {
  return json::object{{"trace_id", trace.id.hex()},
                      {"root_service", trace.root_service},
                      {"root_name", trace.root_name},
                      {"start_ns", std::to_string(trace.start_ns)},
                      {"duration_ns", std::to_string(trace.duration_ns)},
                      {"spans", trace.spans},
                      {"errors", trace.errors},
                      {"policy", tried.policy},
                      {"why", tried.why}};
}

struct IdHash {
  std::size_t operator()(const TraceId& id) const { return hash_bytes(id.view(), 0); }
};

json::object answer_of(const std::vector<Shown>& shown, const PolicyTrial::Outcome& outcome) {
  std::unordered_map<TraceId, const Shown*, IdHash> by_id;
  for (const Shown& s : shown) by_id.emplace(s.id, &s);
  json::array kept, not_kept, policies;
  std::uint64_t traces = 0, kept_traces = 0, spans = 0, kept_spans = 0;
  for (const TriedTrace& tried : outcome.traces) {
    const auto at = by_id.find(tried.id);
    if (at == by_id.end()) continue;
    ++traces;
    spans += at->second->spans;
    if (tried.kept) {
      ++kept_traces;
      kept_spans += at->second->spans;
    }
    json::array& list = tried.kept ? kept : not_kept;
    if (list.size() < kTracesShown) list.push_back(row(*at->second, tried));
  }
  for (const TriedPolicy& p : outcome.policies) {
    policies.push_back(json::object{{"name", p.name},
                                    {"decided", p.decided},
                                    {"sampled", p.sampled},
                                    {"not_sampled", p.not_sampled},
                                    {"dropped", p.dropped}});
  }
  return json::object{{"traces", traces},
                      {"spans", spans},
                      {"kept_traces", kept_traces},
                      {"kept_spans", kept_spans},
                      {"policies", std::move(policies)},
                      {"kept", std::move(kept)},
                      {"not_kept", std::move(not_kept)}};
}

struct TryPage {
  TryPage(QueryPool& p, TryPageOptions o, MakeTrial m) : pool(p), options(std::move(o)), make(std::move(m)) {}
  QueryPool& pool;
  const TryPageOptions options;
  const MakeTrial make;
  std::atomic<bool> busy{false};  // a trial holds much memory, so there is one at a time
};

json::object rows_json(const PastTried::Rows& rows) {
  json::object policies;
  PastTried::Row sum;
  for (const auto& [name, row] : rows) {
    policies[name] = json::object{{"traces", row.traces}, {"spans", row.spans}, {"bytes", row.bytes}};
    sum.traces += row.traces;
    sum.spans += row.spans;
    sum.bytes += row.bytes;
  }
  return json::object{
      {"traces", sum.traces}, {"spans", sum.spans}, {"bytes", sum.bytes}, {"policies", std::move(policies)}};
}

std::uint64_t from_of(const Request& request) {
  const std::uint64_t now = wall_now_ns();
  return request.since_ns != 0 ? now - std::min(now, request.since_ns) : 0;
}

Response run_past(TryPage& shared, const Request& request, const LaterAnswer& asked) {
  const TimePoint until = monotonic_now() + shared.options.time_max;
  const Result<PastTried> tried =
      shared.options.past({.form = request.form, .text = request.text, .from_unix_ns = from_of(request), .stop = [&] {
                             return asked.cancelled() || monotonic_now() > until;
                           }});
  if (!tried) return json_error(http_status_of(tried.error()), tried.error().text);
  if (!asked.cancelled()) shared.pool.count_search(tried->cut, tried->damaged != 0);
  json::object out = json_of(*tried);
  out["cut"] =
      tried->cut ? "The limits of web.queries (timeout, max_bytes) came before all of the time was judged." : "";
  return json_response(200, out);
}

Response run(TryPage& shared, const Request& request, const LaterAnswer& asked) {
  if (request.received) return run_past(shared, request, asked);
  Result<std::unique_ptr<PolicyTrial>> trial = shared.make(request.form, request.text);
  if (!trial) return json_error(400, trial.error().text);
  std::vector<Shown> shown;
  std::uint64_t unreadable = 0;
  SearchOutcome outcome;
  // Half of the time is for finding traces and asking the conditions about their spans, half for judging them; it
  // counts from the end of the finding, which may take one trace longer.
  const Duration half = shared.options.time_max / 2;
  if (shared.options.store != nullptr) {
    SearchRequest search;
    search.from_ns = from_of(request);
    search.budget.bytes_max = shared.options.bytes_max;
    search.budget.deadline = monotonic_now() + half;
    search.budget.clock = monotonic_now;
    search.budget.cancelled = [&] { return asked.cancelled(); };
    const Result<SearchOutcome> found = shared.options.store->search(search, [&](const StoredTrace& stored) {
      if (!(*trial)->add(stored.otlp)) {
        ++unreadable;
        return true;
      }
      shown.push_back({stored.id, stored.start_ns, stored.end_ns - std::min(stored.start_ns, stored.end_ns),
                       stored.spans, stored.errors, stored.root_service.substr(0, kNameShown),
                       stored.root_name.substr(0, kNameShown)});
      return true;
    });
    if (!found) return json_error(http_status_of(found.error()), found.error().text);
    outcome = *found;
    if (!asked.cancelled()) shared.pool.count_search(!outcome.cut.empty(), !outcome.damaged_files.empty());
  }
  const TimePoint until = monotonic_now() + half;
  const PolicyTrial::Outcome judged = (*trial)->finish([&] { return asked.cancelled() || monotonic_now() > until; });
  if (judged.traces.size() < shown.size() && outcome.cut.empty()) {
    outcome.cut = "The time limit came before all traces were judged.";
  }
  json::object out = answer_of(shown, judged);
  out["unreadable"] = unreadable;
  out["store"] = shared.options.store != nullptr;
  out["cut"] = outcome.cut;
  out["damage"] = outcome.damage();
  return json_response(200, out);
}

}  // namespace

json::object json_of(const PastTried& tried) {
  json::array newly_kept;
  for (const auto& [id, policy] : tried.newly_kept)
    newly_kept.push_back(json::object{{"trace_id", id.hex()}, {"policy", policy}});
  return json::object{{"from", tried.first_unix_ns != 0 ? iso_time(tried.first_unix_ns) : ""},
                      {"to", tried.first_unix_ns != 0 ? iso_time(tried.last_unix_ns) : ""},
                      {"requests", tried.requests},
                      {"bytes", tried.bytes},
                      {"traces", tried.traces},
                      {"spans", tried.spans},
                      {"damaged", tried.damaged},
                      {"left_out", tried.left_out},
                      {"judged_early", tried.judged_early},
                      {"would_keep", rows_json(tried.would_keep)},
                      {"kept", rows_json(tried.kept)},
                      {"kept_cut", tried.kept_cut},
                      {"newly_kept", std::move(newly_kept)}};
}

void add_try_page(Pages& pages, QueryPool& pool, TryPageOptions options, MakeTrial make) {
  const auto shared = std::make_shared<TryPage>(pool, std::move(options), std::move(make));
  pages.add_post("/api/try", kBodyMax, [shared](const RequestHead&, ByteView body) {
    Result<Request> request = read_try_request(body);
    if (!request) return json_error(400, request.error().text);
    if (request->received && !shared->options.past) return json_error(400, kNoPast);
    return shared->pool.later([shared, request = std::move(*request)](LaterAnswer& answer) {
      if (shared->busy.exchange(true)) {
        return answer.answer(json_error(503, "another trial is running, try again when it has ended"));
      }
      Response response;
      {
        const std::shared_ptr<void> free(nullptr, [&](void*) { shared->busy = false; });
        response = run(*shared, request, answer);
      }
      answer.answer(std::move(response));
    });
  });
}

}  // namespace tailgate
