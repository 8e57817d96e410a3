// SPDX-License-Identifier: Apache-2.0
// /keep for all members of a cluster. A trace is in the journal of one of them, so what one does not find another may.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "net/http/later_answer.h"
#include "web/keep_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 8> kSums = {"found",        "kept_traces", "kept_spans",   "kept_in_part",
                                                   "already_kept", "not_taken",   "judged_early", "bytes"};

using Jobs = std::map<std::string, std::string, std::less<>>;  // by member

bool says(const MemberAnswer& one, int status) { return one.answer && one.answer->status == status; }

std::string name_of(const Jobs& jobs) {
  std::string out;
  for (const auto& [member, job] : jobs) out += fmt::format("{}{}={}", out.empty() ? "" : ",", member, job);
  return out;
}

// Nothing: it is no fleet's job.
std::optional<Jobs> jobs_in(std::string_view name) {
  Jobs out;
  while (!name.empty()) {
    const std::string_view one = name.substr(0, name.find(','));
    const std::size_t middle = one.find('=');
    if (middle == std::string_view::npos || middle == 0 || middle + 1 == one.size()) return std::nullopt;
    out.emplace(one.substr(0, middle), one.substr(middle + 1));
    name.remove_prefix(std::min(name.size(), one.size() + 1));
  }
  return out.empty() ? std::nullopt : std::optional(out);
}

Response as_response(PageAnswer answer) {
  Response out = json_head();
  out.status = answer.status;
  out.body = std::move(answer.body);
  return out;
}

Response merge_begun(const MemberAnswers& answers) {
  Jobs jobs;
  for (const MemberAnswer& one : answers) {
    const std::optional<json::object> begun = read_object(one);
    if (begun && !text_of(*begun, "job").empty()) jobs[one.member] = text_of(*begun, "job");
  }
  const json::array silent = unanswered(answers);
  if (jobs.empty()) {
    const bool busy =
        std::all_of(answers.begin(), answers.end(), [](const MemberAnswer& one) { return says(one, 429); });
    return json_response(busy ? 429 : 503,
                         json::object{{"error", "no member has begun a job"}, {"unanswered", silent}});
  }
  json::object out{{"job", name_of(jobs)}, {"state", "waiting"}};
  if (!silent.empty()) out["unanswered"] = silent;
  Response response = json_response(202, out);
  response.headers.emplace_back("location", std::string(kKeepPath) + name_of(jobs));
  return response;
}

// Of several alerts each member has begun jobs of its own. A member that has no room for one now makes the answer a
// 503, so that Alertmanager sends them again: to the others they are the same jobs.
Response merge_alerts(const MemberAnswers& answers) {
  json::array jobs, errors;
  bool busy = false;
  for (const MemberAnswer& one : answers) {
    busy |= says(one, 503);
    boost::system::error_code bad;
    json::value value;
    if (one.answer) value = json::parse(one.answer->body, bad);
    const json::object* const begun = value.if_object();
    if (begun == nullptr) continue;
    for (const auto& [key, into] : {std::pair("jobs", &jobs), std::pair("errors", &errors)}) {
      const json::value* const list = begun->if_contains(key);
      if (list == nullptr || !list->is_array()) continue;
      for (const json::value& item : list->get_array()) {
        if (!item.is_string()) continue;
        const std::string text(item.get_string());
        into->push_back(json::value(fmt::format("{}{}{}", one.member, into == &jobs ? "=" : ": ", text)));
      }
    }
  }
  const json::array silent = unanswered(answers);
  json::object out{{"jobs", jobs}};
  if (!errors.empty()) out["errors"] = errors;
  if (!silent.empty()) out["unanswered"] = silent;
  return json_response(jobs.empty() || busy ? 503 : 202, out);
}

// Each member's, with the name under which any member knows it; the newest first.
Response merge_jobs(const MemberAnswers& answers) {
  std::vector<json::object> all;
  for (const MemberAnswer& one : answers) {
    std::optional<json::object> said = read_object(one);
    const json::value* const jobs = said ? said->if_contains("jobs") : nullptr;
    if (jobs == nullptr || !jobs->is_array()) continue;
    for (const json::value& job : jobs->get_array()) {
      if (!job.is_object()) continue;
      json::object& out = all.emplace_back(job.get_object());
      out["job"] = fmt::format("{}={}", one.member, text_of(out, "job"));
      out["member"] = one.member;
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const json::object& a, const json::object& b) {
    return text_of(a, "begun") > text_of(b, "begun");
  });
  json::object out{{"jobs", json::array(all.begin(), all.end())}};
  if (json::array silent = unanswered(answers); !silent.empty()) out["unanswered"] = std::move(silent);
  return json_response(200, out);
}

std::string state_of(const std::vector<std::string>& states) {
  const auto has = [&](std::string_view state) {
    return std::find(states.begin(), states.end(), state) != states.end();
  };
  if (has("running") || (has("waiting") && has("done"))) return "running";
  for (const std::string_view state : {"waiting", "failed", "cancelled"}) {
    if (has(state)) return std::string(state);
  }
  return "done";
}

Response merge_status(const Jobs& jobs, const MemberAnswers& answers) {
  json::object out{{"job", name_of(jobs)}};
  json::array members;
  std::vector<std::string> states;
  double progress = 0;
  // Of ids that all were asked for each is found by one at most.
  std::uint64_t not_found = 0, looked_for = 0;
  bool all_done = true;
  for (const MemberAnswer& one : answers) {
    std::optional<json::object> status = read_object(one);
    if (!status) continue;
    states.emplace_back(text_of(*status, "state"));
    all_done = all_done && states.back() == "done";
    for (const char* const key :
         {"kind", "begun", "reason", "condition", "from", "to", "trace_ids", "cut", "hint", "waits_for", "error"}) {
      if (status->contains(key) && !out.contains(key)) out[key] = (*status)[key];
    }
    for (const std::string_view key : kSums) {
      json::value& sum = out[key];
      sum = (sum.is_uint64() ? sum.get_uint64() : 0) + count_of(*status, key);
    }
    progress += number_of(*status, "progress");
    not_found += count_of(*status, "not_found");
    looked_for = std::max(looked_for, count_of(*status, "not_found") + count_of(*status, "kept_traces") +
                                          count_of(*status, "already_kept") + count_of(*status, "not_taken"));
    (*status)["member"] = one.member;
    members.push_back(std::move(*status));
  }
  json::array silent = unanswered(answers);
  for (const auto& [member, job] : jobs) {
    const bool known = std::any_of(answers.begin(), answers.end(),
                                   [&, &of = member](const MemberAnswer& one) { return one.member == of; });
    if (!known) silent.push_back(json::object{{"member", member}, {"error", "it is no member any more"}});
  }
  if (states.empty()) return json_response(503, json::object{{"error", "no member answered"}, {"unanswered", silent}});
  out["state"] = state_of(states);
  out["progress"] = progress / static_cast<double>(states.size());
  const std::uint64_t by_others = looked_for * (states.size() - 1);
  out["not_found"] = all_done && silent.empty() ? not_found - std::min(not_found, by_others) : 0;
  out["members"] = std::move(members);
  if (!silent.empty()) out["unanswered"] = std::move(silent);
  return json_response(200, out);
}

class FleetKeep {
 public:
  FleetKeep(const Pages& own, OtherMembers others) : own_(own), others_(std::move(others)) {}

  Response begin(std::string_view path, ByteView body, Response (*merge)(const MemberAnswers&)) const {
    const PageQuestion question{"POST", std::string(path), std::string(body)};
    const PageAnswer mine = own_.answer(question);
    if (mine.status == 400) return as_response(mine);
    return ask_all(others_, question, as_response(mine), merge);
  }

  Response jobs() const {
    const PageQuestion question{"GET", "/keep", ""};
    return ask_all(others_, question, as_response(own_.answer(question)), merge_jobs);
  }

  // GET or DELETE of a job.
  Response about(const RequestHead& head) const {
    const std::string_view name = head.path().substr(kKeepPath.size());
    const std::optional<Jobs> jobs = jobs_in(name);
    if (!jobs) return as_response(own_.answer({head.method, head.target, ""}));
    const auto question = [jobs = *jobs, method = head.method](const std::string& member) {
      const auto job = jobs.find(member);
      if (job == jobs.end()) return std::optional<PageQuestion>();
      return std::optional(PageQuestion{method, std::string(kKeepPath) + job->second, ""});
    };
    MemberAnswers mine;
    if (const std::optional<PageQuestion> to_own = question(others_.self))
      mine.push_back({others_.self, own_.answer(*to_own), ""});
    Response response;
    response.later = std::make_shared<LaterAnswer>();
    others_.ask(question, [later = response.later, jobs = *jobs, mine](MemberAnswers answers) {
      answers.insert(answers.begin(), mine.begin(), mine.end());
      later->answer(merge_status(jobs, answers));
    });
    return response;
  }

 private:
  const Pages& own_;
  const OtherMembers others_;
};

}  // namespace

void add_fleet_keep_page(Pages& pages, const Pages& own, OtherMembers others, bool allowed) {
  const auto fleet = std::make_shared<const FleetKeep>(own, std::move(others));
  const auto add = [&](const std::string& path, Response (*merge)(const MemberAnswers&)) {
    pages.add_post(path, kKeepBodyMax, [fleet, allowed, path, merge](const RequestHead&, ByteView body) {
      return allowed ? fleet->begin(path, body, merge) : keep_not_allowed();
    });
  };
  add("/keep", merge_begun);
  add("/keep/alert", merge_alerts);
  pages.add("/keep", [fleet](const RequestHead&) { return fleet->jobs(); });
  pages.add(std::string(kKeepPath), [fleet](const RequestHead& head) { return fleet->about(head); });
  pages.add_remove(std::string(kKeepPath), [fleet, allowed](const RequestHead& head) {
    return allowed ? fleet->about(head) : keep_not_allowed();
  });
}

}  // namespace tailgate
