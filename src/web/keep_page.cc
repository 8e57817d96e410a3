// SPDX-License-Identifier: Apache-2.0
#include "web/keep_page.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "web/json_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::string_view kTriggerPath = "/keep/around";
constexpr std::size_t kIdsMax = 10'000, kReasonMax = 200, kConditionMax = 64 << 10;
constexpr std::int64_t kKeepLimitMax = 1'000'000;

tl::unexpected<Error> wanted(std::string_view key, std::string_view what) {
  return fail(ErrorKind::kBadInput, fmt::format("{}: expected {}", key, what));
}

Result<std::string> text_of(const json::value& value, std::string_view key, std::size_t most) {
  const json::string* const text = value.if_string();
  if (text == nullptr || text->empty() || text->size() > most)
    return wanted(key, fmt::format("a text of 1 to {} bytes", most));
  return std::string(*text);
}

// "2026-11-29T09:31:03Z".
Result<std::uint64_t> time_of(const json::value& value, std::string_view key) {
  const json::string* const text = value.if_string();
  const std::optional<std::uint64_t> ns = text != nullptr ? read_iso_time(std::string_view(*text)) : std::nullopt;
  if (!ns) return wanted(key, "a time like 2026-11-29T09:31:03Z");
  return *ns;
}

Result<void> read_ids(const json::value& value, KeepRequest& out) {
  const json::array* const ids = value.if_array();
  if (ids == nullptr || ids->empty() || ids->size() > kIdsMax)
    return wanted("trace_ids", fmt::format("a list of 1 to {} trace ids", kIdsMax));
  for (const json::value& one : *ids) {
    const json::string* const text = one.if_string();
    const auto id = text != nullptr ? TraceId::from_short_hex(std::string_view(*text)) : std::nullopt;
    if (!id) return wanted("trace_ids", "ids of up to 32 hex digits");
    out.ids.push_back(*id);
  }
  return {};
}

template <class T>
Result<void> into(Result<T> value, T& out) {
  if (!value) return tl::unexpected(value.error());
  out = std::move(*value);
  return {};
}

Result<void> read_key(std::string_view key, const json::value& value, KeepRequest& out) {
  if (key == "trace_ids") return read_ids(value, out);
  if (key == "condition") return into(text_of(value, key, kConditionMax), out.condition);
  if (key == "reason") return into(text_of(value, key, kReasonMax), out.reason);
  if (key == "from") return into(time_of(value, key), out.from_unix_ns);
  if (key == "to") return into(time_of(value, key), out.to_unix_ns);
  if (key == "limit") {
    const std::int64_t* const n = value.if_int64();
    if (n == nullptr || *n < 1 || *n > kKeepLimitMax)
      return wanted(key, fmt::format("a number from 1 to {}", kKeepLimitMax));
    out.limit = static_cast<std::uint64_t>(*n);
    return {};
  }
  if (key == "again") {
    const bool* const again = value.if_bool();
    if (again == nullptr) return wanted(key, "true or false");
    out.again = *again;
    return {};
  }
  return fail(ErrorKind::kBadInput,
              fmt::format("expected trace_ids (and again), or condition, from, to and limit, and a reason, got the key "
                          "'{}'",
                          key));
}

Result<KeepRequest> read_keep_request(ByteView body) {
  boost::system::error_code error;
  const json::value root = json::parse(body, error);
  const json::object* const object = error ? nullptr : root.if_object();
  if (object == nullptr) return fail(ErrorKind::kBadInput, "expected a JSON object");
  KeepRequest out;
  for (const auto& [key, value] : *object) {
    if (auto good = read_key(key, value, out); !good) return tl::unexpected(good.error());
  }
  if (out.ids.empty() == out.condition.empty()) return fail(ErrorKind::kBadInput, "expected trace_ids, or a condition");
  if (out.again && out.ids.empty()) return wanted("again", "trace_ids: a condition finds what was not kept");
  if (out.reason.empty()) return wanted("reason", "why, which the kept spans will say");
  if (out.to_unix_ns < out.from_unix_ns) return wanted("to", "no time before `from`");
  return out;
}

json::object status_json(const KeepStatus& s) {
  json::object out{{"job", s.job},
                   {"state", s.state},
                   {"kind", s.request.kind},
                   {"begun", iso_time(s.begun_unix_ns)},
                   {"reason", s.request.reason},
                   {"progress", s.progress},
                   {"found", s.found},
                   {"kept_traces", s.kept_traces},
                   {"kept_spans", s.kept_spans},
                   {"kept_in_part", s.kept_in_part},
                   {"already_kept", s.already_kept},
                   {"not_found", s.not_found},
                   {"not_taken", s.not_taken},
                   {"judged_early", s.judged_early},
                   {"bytes", s.bytes}};
  if (!s.request.ids.empty()) out["trace_ids"] = s.request.ids.size();
  if (!s.request.condition.empty()) {
    out["condition"] = s.request.condition;
    if (s.request.from_unix_ns != 0) out["from"] = iso_time(s.request.from_unix_ns);
    if (s.request.to_unix_ns != UINT64_MAX) out["to"] = iso_time(s.request.to_unix_ns);
    out["limit"] = s.request.limit;
  }
  if (!s.cut.empty()) out["cut"] = s.cut;
  if (s.already_kept != 0) {
    out["hint"] =
        "what was kept already is left alone, also where an exporter lost it since: ask for its ids with \"again\": "
        "true "
        "to send it once more";
  }
  if (!s.waits_for.empty()) out["waits_for"] = s.waits_for;
  if (!s.error.empty()) out["error"] = s.error;
  return out;
}

// `{"alerts": [{"status", "labels", "startsAt", "fingerprint"}]}` of Alertmanager's webhook, version 4; firing ones.
Result<std::vector<Alert>> read_alerts(ByteView body) {
  boost::system::error_code error;
  const json::value root = json::parse(body, error);
  const json::object* const object = error ? nullptr : root.if_object();
  const json::value* const list = object != nullptr ? object->if_contains("alerts") : nullptr;
  if (list == nullptr || !list->is_array())
    return fail(ErrorKind::kBadInput, "expected what Alertmanager's webhook sends");
  std::vector<Alert> out;
  for (const json::value& one : list->get_array()) {
    const json::object* const alert = one.if_object();
    if (alert == nullptr) return wanted("alerts", "objects");
    const auto text = [&](std::string_view key) {
      const json::value* const value = alert->if_contains(key);
      return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    if (text("status") == "resolved") continue;
    Alert& a = out.emplace_back();
    a.fingerprint = text("fingerprint");
    const auto starts = read_iso_time(text("startsAt"));
    if (!starts) return wanted("startsAt", "a time like 2026-11-29T09:31:03Z");
    a.starts_unix_ns = *starts;
    const json::value* const labels = alert->if_contains("labels");
    if (labels == nullptr || !labels->is_object()) return wanted("labels", "an object");
    for (const auto& [key, value] : labels->get_object()) {
      if (value.is_string()) a.labels[std::string(key)] = std::string(value.get_string());
    }
    a.name = a.labels["alertname"];
  }
  return out;
}

// Of several alerts those that can be are begun; what is wrong with the others is in the answer. Alertmanager sends all
// of them again after a 5xx, and nothing after a 4xx; those that were begun stay one job.
Response begin_for_alerts(KeepSource& source, ByteView body) {
  const Result<std::vector<Alert>> alerts = read_alerts(body);
  if (!alerts) return json_error(400, alerts.error().text);
  json::array jobs, errors;
  int status = 202;
  bool later = false;
  for (const Alert& alert : *alerts) {
    const Result<std::string> job = source.begin_for(alert);
    if (job) {
      jobs.push_back(json::value(*job));
    } else {
      status = http_status_of(job.error());
      later |= job.error().kind != ErrorKind::kBadInput;
      errors.push_back(json::value(job.error().text));
    }
  }
  if (!jobs.empty()) status = 202;
  if (later) status = 503;
  json::object out{{"jobs", std::move(jobs)}};
  if (!errors.empty()) out["errors"] = std::move(errors);
  return json_response(status, out);
}

std::string_view job_of(const RequestHead& head) { return head.path().substr(kKeepPath.size()); }

}  // namespace

Response keep_not_allowed() {
  return json_error(403,
                    "expected web.auth, or a web.endpoint on loopback or a Unix socket: jobs that keep traces are not "
                    "for everybody who reaches this port");
}

PageQuestion tell_of_trigger(std::uint64_t unix_ns) {
  return {"POST", std::string(kTriggerPath), json::serialize(json::object{{"unix_ns", unix_ns}})};
}

void add_trigger_page(Pages& member_pages, KeepSource& source) {
  member_pages.add_post(std::string(kTriggerPath), kKeepBodyMax, [&source](const RequestHead&, ByteView body) {
    boost::system::error_code error;
    const json::value told = json::parse(body, error);
    const json::object* const object = error ? nullptr : told.if_object();
    const json::value* const time = object != nullptr ? object->if_contains("unix_ns") : nullptr;
    const std::int64_t* const ns = time != nullptr ? time->if_int64() : nullptr;
    if (ns == nullptr || *ns <= 0) return json_error(400, "unix_ns: expected when it was");
    if (!source.triggered_elsewhere(static_cast<std::uint64_t>(*ns)))
      return json_error(404, "there is no keep_around, or no journal.retain");
    return json_response(202, json::object{});
  });
}

void add_keep_page(Pages& pages, KeepSource& source, bool allowed) {
  pages.add_post("/keep", kKeepBodyMax, [&source, allowed](const RequestHead&, ByteView body) {
    if (!allowed) return keep_not_allowed();
    Result<KeepRequest> request = read_keep_request(body);
    if (!request) return json_error(400, request.error().text);
    const Result<std::string> job = source.begin(std::move(*request));
    if (!job) return json_error(http_status_of(job.error()), job.error().text);
    Response response = json_response(202, json::object{{"job", *job}, {"state", "waiting"}});
    response.headers.emplace_back("location", std::string(kKeepPath) + *job);
    return response;
  });
  pages.add_post("/keep/alert", kKeepBodyMax, [&source, allowed](const RequestHead&, ByteView body) {
    return allowed ? begin_for_alerts(source, body) : keep_not_allowed();
  });
  pages.add("/keep", [&source](const RequestHead&) {
    json::array jobs;
    for (const KeepStatus& one : source.jobs()) jobs.push_back(status_json(one));
    return json_response(200, json::object{{"jobs", std::move(jobs)}});
  });
  const auto status = [&source](const RequestHead& head) {
    const std::optional<KeepStatus> found = source.status(job_of(head));
    return found ? json_response(200, status_json(*found)) : json_error(404, "there is no such job");
  };
  pages.add(std::string(kKeepPath), status);
  pages.add_remove(std::string(kKeepPath), [&source, status, allowed](const RequestHead& head) {
    if (!allowed) return keep_not_allowed();
    source.cancel(job_of(head));
    return status(head);
  });
}

}  // namespace tailgate
