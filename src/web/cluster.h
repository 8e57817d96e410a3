// SPDX-License-Identifier: Apache-2.0
// The page /cluster: who is in the cluster, as this daemon knows it. And what /explain/{trace_id} answers when the
// trace is another member's.
//
// Threads: any; `status` is called from any.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "web/json_page.h"
#include "web/pages.h"

namespace tailgate {

// What one member says of a trace.
struct MemberAnswer {
  std::string member;
  bool answered = false;
  std::string json;   // as its /explain answers; empty: it knows nothing
  std::string error;  // why it did not answer
};

void add_cluster_page(Pages& pages, std::function<boost::json::object()> status);

// A decided trace before an open one, and the one with most spans of several: 200 with `member`, and `unanswered` where
// there are such. 404 when nobody knows it, 503 when those who answered do not.
Response member_answers(const std::vector<MemberAnswer>& answers, JsonForm form);

}  // namespace tailgate
