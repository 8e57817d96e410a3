// SPDX-License-Identifier: Apache-2.0
// Writes onto the spans of a kept trace: `ot=th` into their tracestate, and why they were kept. A span is never
// rewritten. Fields are added behind its bytes (FrameSpan::tail): in protobuf the last scalar wins and repeated fields
// add up. Threads: any, without a shard's lock; pure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"
#include "model/verdict.h"
#include "wire/otlp/frame.h"

namespace tailgate {

enum class RecordPolicy : std::uint8_t {
  kOff,
  kRoot,   // on the root span, or the first one when no root came
  kScope,  // on every instrumentation scope, where contrib puts `tailsampling.policy`
};

struct StampInput {
  const TraceId& id;
  const Verdict& verdict;
  std::string_view policy;
  std::uint64_t threshold = 0;  // of the verdict; kCertain, kUnknownChance
  std::uint64_t decided_unix_ns = 0;
  bool late = false;
};

// Tracestates that could not get a new threshold.
struct StampResult {
  std::uint32_t unparsable = 0, no_room = 0;
};

// Bytes behind `tail` and changed `scope` live in `store`, which must outlive the framing. `trace_states` are those of
// `spans`; they are not read when the trace was kept with certainty.
StampResult stamp_thresholds(const StampInput& in, const std::vector<ByteView>& trace_states,
                             std::vector<FrameSpan>& spans, std::deque<std::string>& store);
// The attribute `key` with this text on every scope.
void stamp_scopes(std::string_view key, std::string_view text, std::vector<FrameSpan>& spans,
                  std::deque<std::string>& store);
// `resource_spans` fields with it on every scope; those given, when they cannot be read.
std::string with_scope_text(ByteView otlp, std::string_view key, std::string_view text);
void stamp_policy(const StampInput& in, RecordPolicy record, std::size_t root, std::vector<FrameSpan>& spans,
                  std::deque<std::string>& store);

}  // namespace tailgate
