// SPDX-License-Identifier: Apache-2.0
#include "web/cluster.h"

#include <fmt/format.h>

#include <optional>

#include "web/params.h"

namespace tailgate {
namespace {

namespace json = boost::json;

std::optional<json::object> read(const std::string& text) {
  boost::system::error_code bad;
  json::value value = json::parse(text, bad);
  if (bad || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

bool is_decided(const json::object& one) {
  const json::value* const state = one.if_contains("state");
  return state != nullptr && state->is_string() && state->get_string() == "decided";
}

std::int64_t spans_of(const json::object& one) {
  const json::value* const spans = one.if_contains("spans");
  return spans != nullptr && spans->is_int64() ? spans->get_int64() : 0;
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

Response member_answers(const std::vector<MemberAnswer>& answers, JsonForm form) {
  std::optional<json::object> best;
  json::array unanswered;
  std::string names;
  for (const MemberAnswer& one : answers) {
    if (!one.answered) {
      unanswered.push_back(json::object{{"member", one.member}, {"error", one.error}});
      names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", one.member, one.error);
      continue;
    }
    std::optional<json::object> found = one.json.empty() ? std::nullopt : read(one.json);
    if (!found) continue;
    const bool better = !best || (is_decided(*found) && !is_decided(*best)) ||
                        (is_decided(*found) == is_decided(*best) && spans_of(*found) > spans_of(*best));
    if (!better) continue;
    (*found)["member"] = one.member;
    best = std::move(found);
  }
  if (!best && unanswered.empty())
    return json_error(404,
                      "nothing is known of this trace, here and on the other members: it never came, or it was decided "
                      "too long ago to be remembered");
  if (!best)
    return json_error(503, fmt::format("nothing is known of this trace here, and not all members answered: {}", names));
  if (!unanswered.empty()) (*best)["unanswered"] = std::move(unanswered);
  return json_response(200, *best, form);
}

}  // namespace tailgate
