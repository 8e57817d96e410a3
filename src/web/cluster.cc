// SPDX-License-Identifier: Apache-2.0
#include "web/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "net/http/later_answer.h"
#include "web/params.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kLostErrorsMax = 100;  // ids for each policy of /shadow

bool is_decided(const json::object& one) { return text_of(one, "state") == "decided"; }

// "b (no answer in time), c (...)"
std::string names_of(const json::array& unanswered) {
  std::string out;
  for (const json::value& one : unanswered) {
    const json::object& member = one.get_object();
    out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", text_of(member, "member"), text_of(member, "error"));
  }
  return out;
}

// One that goes into a header: no control characters.
std::string in_header(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

void add_cluster_page(Pages& pages, std::function<json::object()> status) {
  pages.add("/cluster", [status = std::move(status)](const RequestHead& head) {
    Params params(head.query());
    const JsonForm form = params.flag("pretty") ? JsonForm::kPretty : JsonForm::kCompact;
    if (Result<void> good = params.finish(); !good) return json_error(400, good.error().text);
    return json_response(200, status(), form);
  });
}

Response ask_all(const OtherMembers& others, const PageQuestion& question, const Response& own, MergeAnswers merge) {
  Response response;
  response.later = std::make_shared<LaterAnswer>();
  MemberAnswer mine{others.self, PageAnswer{own.status, own.body}, ""};
  others.ask([question](const std::string&) { return question; },
             [later = response.later, mine = std::move(mine), merge = std::move(merge)](MemberAnswers answers) {
               answers.insert(answers.begin(), mine);
               later->answer(merge(std::move(answers)));
             });
  return response;
}

std::optional<json::value> read_json(const MemberAnswer& one) {
  if (!one.answer || (one.answer->status != 200 && one.answer->status != 202)) return std::nullopt;
  boost::system::error_code bad;
  json::value value = json::parse(one.answer->body, bad);
  if (bad) return std::nullopt;
  return value;
}

std::optional<json::object> read_object(const MemberAnswer& one) {
  std::optional<json::value> value = read_json(one);
  if (!value || !value->is_object()) return std::nullopt;
  return std::move(value->get_object());
}

json::array unanswered(const MemberAnswers& answers, bool not_found_is_one) {
  json::array out;
  for (const MemberAnswer& one : answers) {
    if (!one.answer) {
      out.push_back(json::object{{"member", one.member}, {"error", one.error}});
      continue;
    }
    if (read_json(one) || (not_found_is_one && one.answer->status == 404)) continue;
    std::string says = fmt::format("status {}", one.answer->status);
    boost::system::error_code bad;
    const json::value value = json::parse(one.answer->body, bad);
    if (!bad && value.is_object() && !text_of(value.get_object(), "error").empty())
      says += fmt::format(": {}", text_of(value.get_object(), "error"));
    out.push_back(json::object{{"member", one.member}, {"error", says}});
  }
  return out;
}

Response merge_trace(const MemberAnswers& answers, JsonForm form) {
  std::optional<json::object> best;
  json::array silent = unanswered(answers, true);
  for (const MemberAnswer& one : answers) {
    std::optional<json::object> found = read_object(one);
    if (!found) continue;
    const bool better =
        !best || (is_decided(*found) && !is_decided(*best)) ||
        (is_decided(*found) == is_decided(*best) && count_of(*found, "spans") > count_of(*best, "spans"));
    if (!better) continue;
    (*found)["member"] = one.member;
    best = std::move(found);
  }
  if (!best && silent.empty())
    return json_error(404,
                      "nothing is known of this trace, here and on the other members: it never came, or it was decided "
                      "too long ago to be remembered");
  if (!best)
    return json_error(
        503, fmt::format("nothing is known of this trace here, and not all members answered: {}", names_of(silent)));
  if (!silent.empty()) (*best)["unanswered"] = std::move(silent);
  return json_response(200, *best, form);
}

Response merge_lists(const MemberAnswers& answers, std::size_t limit, JsonForm form) {
  std::vector<json::object> all;
  for (const MemberAnswer& one : answers) {
    std::optional<json::value> list = read_json(one);
    if (!list || !list->is_array()) continue;
    for (json::value& item : list->get_array()) {
      if (!item.is_object()) continue;
      item.get_object()["member"] = one.member;
      all.push_back(std::move(item.get_object()));
    }
  }
  // The times of all members have the same form.
  std::stable_sort(all.begin(), all.end(), [](const json::object& a, const json::object& b) {
    return text_of(a, "decided") > text_of(b, "decided");
  });
  json::array out;
  for (json::object& one : all) {
    if (out.size() == limit) break;
    out.push_back(std::move(one));
  }
  Response response = json_response(200, out, form);
  const json::array silent = unanswered(answers);
  if (!silent.empty()) response.headers.emplace_back("tailgate-unanswered", in_header(names_of(silent)));
  return response;
}

Response merge_shadow(const MemberAnswers& answers) {
  static constexpr std::array<std::string_view, 6> kCounts = {"traces",     "kept_traces", "kept_spans",
                                                              "kept_bytes", "would_add",   "would_lose"};
  static constexpr std::array<std::string_view, 4> kLive = {"traces", "kept_traces", "kept_spans", "kept_bytes"};
  const auto add = [](json::object& sum, const json::object& one, const auto& keys) {
    for (const std::string_view key : keys) sum[key] = count_of(sum, key) + count_of(one, key);
  };
  json::array policies, members;  // in the order of the first that has them
  json::object live;
  add(live, live, kLive);
  for (const MemberAnswer& one : answers) {
    const std::optional<json::object> report = read_object(one);
    if (!report) continue;
    members.push_back(json::value(one.member));
    if (const json::value* const of = report->if_contains("live"); of != nullptr && of->is_object())
      add(live, of->get_object(), kLive);
    const json::value* const list = report->if_contains("policies");
    if (list == nullptr || !list->is_array()) continue;
    for (const json::value& item : list->get_array()) {
      if (!item.is_object()) continue;
      const json::object& policy = item.get_object();
      auto sum = std::find_if(policies.begin(), policies.end(), [&](const json::value& known) {
        return text_of(known.get_object(), "name") == text_of(policy, "name");
      });
      if (sum == policies.end()) {
        policies.push_back(json::object{{"name", text_of(policy, "name")}});
        sum = policies.end() - 1;
      }
      json::object& into = sum->get_object();
      add(into, policy, kCounts);
      json::value& lost = into["lost_errors"];
      if (!lost.is_array()) lost = json::array();
      const json::value* const more = policy.if_contains("lost_errors");
      if (more == nullptr || !more->is_array()) continue;
      for (const json::value& id : more->get_array()) {
        if (lost.get_array().size() < kLostErrorsMax) lost.get_array().push_back(id);
      }
    }
  }
  return json_response(200, json::object{{"policies", std::move(policies)},
                                         {"live", std::move(live)},
                                         {"members", std::move(members)},
                                         {"unanswered", unanswered(answers)}});
}

}  // namespace tailgate
