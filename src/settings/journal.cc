// SPDX-License-Identifier: Apache-2.0
#include "settings/journal.h"

#include <algorithm>

#include "decide/limiter.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kBytesMin = 64 * kMiB;
constexpr std::uint64_t kSegmentsMin = 16;                      // of max_bytes: the unit in which it is given back
constexpr Duration kHoldMore = std::chrono::milliseconds(500);  // wheel, sweeps

}  // namespace

JournalOptions read_journal(const ConfigNode& node, Duration decision_wait) {
  JournalOptions out;
  if (node.is_null()) return out;
  out.directory = node.text("directory");
  if (out.directory.empty()) node.error("directory", "expected the path of a directory");
  const std::string ack = node.choice("ack", "journal", {"none", "journal", "disk"});
  out.ack = ack == "disk" ? JournalAck::kDisk : ack == "none" ? JournalAck::kAtOnce : JournalAck::kJournal;
  out.on_failure = node.choice("on_failure", "refuse", {"refuse", "memory"}) == "memory" ? JournalFailure::kMemory
                                                                                         : JournalFailure::kRefuse;
  const std::string codec = node.choice("compression", "lz4", {"none", "lz4", "zstd"});
  out.codec = codec == "zstd" ? BlockCodec::kZstd : codec == "none" ? BlockCodec::kPlain : BlockCodec::kLz4;
  out.bytes_max = node.bytes("max_bytes", out.bytes_max);
  if (out.bytes_max < kBytesMin) node.error("max_bytes", "at least 64MiB");
  out.disk_free_min = node.bytes("disk_free_min", 512 * kMiB);
  out.retain = node.duration("retain", out.retain);
  out.segment_bytes = std::clamp(out.bytes_max / kSegmentsMin, 4 * kMiB, out.segment_bytes);
  out.keep_spans_per_minute =
      static_cast<std::uint64_t>(node.integer("keep_spans_per_minute", 600'000, {.min = 1, .max = 1'000'000'000}));
  // A trace may wait for the end of an interval of its rate limit too.
  out.hold = decision_wait + kLimitInterval + kHoldMore;
  node.finish();
  return out;
}

bool read_hand_over(const ConfigNode& node, bool has_journal) {
  const std::string undecided = node.choice("undecided", has_journal ? "hand_over" : "decide", {"hand_over", "decide"});
  node.finish();
  if (undecided == "hand_over" && !has_journal)
    node.error("undecided", "'decide', or a section `journal` that holds what is handed over");
  return undecided == "hand_over";
}

}  // namespace tailgate
