// SPDX-License-Identifier: Apache-2.0
// A verdict as a record of the verdicts topic. The key is the trace id in 32 lowercase hex digits. The value:
//
//   byte 0   version, 1
//   byte 1   decision: 0 sampled, 1 not sampled, 2 dropped
//   byte 2   what closed the trace, as CloseReason counts
//   byte 3   1 complete, 2 kept by chance, 4 shed
//   rest     the verdict in words: policy, threshold and exporters by name (decide/verdict_words.h)
//
// A later version is passed over, so that members of different versions may share a topic. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

// Appends the value.
void append_verdict_record(std::string& out, const Verdict& verdict, std::string_view words);

struct ReadVerdict {
  TraceId id;
  Verdict verdict;  // without numbers of policy, route and threshold
  std::string_view words;
};
// Nothing: it is none of ours, or of a later version. `words` is a view into `value`.
std::optional<ReadVerdict> read_verdict_record(ByteView key, ByteView value);

}  // namespace tailgate
