// SPDX-License-Identifier: Apache-2.0
// The page /cluster: who is in the cluster, as this daemon knows it. And how pages answer for all members: the others
// are asked for the same page, and their answers are put together with this member's.
//
// Threads: any; `status` and AskMembers are called from any.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/http/page_question.h"
#include "web/json_page.h"
#include "web/pages.h"

namespace tailgate {

// What one member says to a question for a page.
struct MemberAnswer {
  std::string member;
  std::optional<PageAnswer> answer;
  std::string error;  // why it did not answer
};
using MemberAnswers = std::vector<MemberAnswer>;

struct OtherMembers {
  std::string self;  // this member
  // Asks each what `question` says for it: nothing, and it is not asked. Calls back once, on any thread.
  std::function<void(std::function<std::optional<PageQuestion>(const std::string& member)> question,
                     std::function<void(MemberAnswers)> done)>
      ask;
  std::function<std::size_t()> count;
  Duration timeout = std::chrono::seconds(2);  // how long `ask` may take
  Duration slack = std::chrono::seconds(1);    // and how much longer who waits for it
};

void add_cluster_page(Pages& pages, std::function<boost::json::object()> status);

// `own` and what all others answer to the same question, put together by `merge`.
using MergeAnswers = std::function<Response(MemberAnswers all)>;
Response ask_all(const OtherMembers& others, const PageQuestion& question, const Response& own, MergeAnswers merge);

// Who did not answer: [{"member", "error"}]. An answer with another status than 200 or 202 is none; 404 is, where it
// says that there is nothing (`not_found_is_one`).
boost::json::array unanswered(const MemberAnswers& answers, bool not_found_is_one = false);
std::optional<boost::json::value> read_json(const MemberAnswer& one);
std::optional<boost::json::object> read_object(const MemberAnswer& one);

// Of one trace. A decided trace before an open one, and the one with most spans of several: 200 with `member`, and
// `unanswered` where there are such. 404 when nobody knows it, 503 when those who answered do not.
Response merge_trace(const MemberAnswers& answers, JsonForm form);
// Of /explain: the last `limit` of all, each with `member`. Who did not answer is in the header tailgate-unanswered.
Response merge_lists(const MemberAnswers& answers, std::size_t limit, JsonForm form);
// Of /shadow: sums by policy, with `members` and `unanswered`.
Response merge_shadow(const MemberAnswers& answers);

}  // namespace tailgate
