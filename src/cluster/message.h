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
#include "model/ids.h"

namespace tailgate {

inline constexpr std::size_t kMembersMax = 256;
inline constexpr std::size_t kVerdictsMax = 10'000;  // in one message

// A verdict in words, since numbers of policies and exporters are each process's own.
struct ToldVerdict {
  TraceId id;
  std::uint8_t decision = 0, reason = 0;
  bool complete = false, chance = false, shed = false;
  std::string words;
  bool operator==(const ToldVerdict&) const = default;
};

struct ClusterMessage {
  std::string from;                // a member's name; empty: a daemon that owns nothing
  std::vector<std::string> names;  // of the view in force
  bool leaving = false;
  std::vector<ToldVerdict> verdicts;
  std::optional<TraceId> explain;  // a question
  std::string explanation;         // the answer: JSON
  bool operator==(const ClusterMessage&) const = default;
};

std::string write_message(const ClusterMessage& message);
// Errors: kBadInput.
Result<ClusterMessage> read_message(ByteView bytes);

}  // namespace tailgate
