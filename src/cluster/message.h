// SPDX-License-Identifier: Apache-2.0
// ClusterMessage: what members tell and ask each other, as protobuf (proto/cluster_twin.proto has the same schema for
// the tests). It comes from outside: every length is checked, and there is nothing of which more is made than what
// came. Unknown fields are skipped, so that versions can talk. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/members.h"
#include "model/ids.h"
#include "net/http/page_question.h"

namespace tailgate {

inline constexpr std::size_t kMembersMax = 256;
inline constexpr std::size_t kVerdictsMax = 10'000;   // in one message
inline constexpr std::size_t kLimitNeedsMax = 1'000;  // likewise

// A verdict in words, since numbers of policies and exporters are each process's own.
struct ToldVerdict {
  TraceId id;
  std::uint8_t decision = 0, reason = 0;
  bool complete = false, chance = false, shed = false;
  std::string words;
  bool operator==(const ToldVerdict&) const = default;
};

// What is asked of a limit on a member. `limit`: of its name.
struct LimitNeed {
  std::uint64_t limit = 0;
  double per_second = 0;  // finite, not negative
  bool operator==(const LimitNeed&) const = default;
};

struct ClusterMessage : MemberSays {
  std::string from;  // a member's name; empty: a daemon that owns nothing
  std::vector<ToldVerdict> verdicts;
  std::optional<PageQuestion> page;  // for a page of the other
  std::optional<PageAnswer> page_answer;
  bool shares_limits = false;  // with the other members; then the next is all it needs
  std::vector<LimitNeed> needs;
  bool operator==(const ClusterMessage&) const = default;
};

std::string write_message(const ClusterMessage& message);
// Errors: kBadInput.
Result<ClusterMessage> read_message(ByteView bytes);

}  // namespace tailgate
