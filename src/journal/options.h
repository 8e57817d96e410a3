// SPDX-License-Identifier: Apache-2.0
// What a journal is told. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "blocks/format.h"

namespace tailgate {

enum class JournalAck : std::uint8_t {
  kAtOnce,   // answers do not wait
  kJournal,  // the system has the bytes: they outlive the process, however it ends
  kDisk,     // the disk has them: they outlive the machine's power
};
enum class JournalFailure : std::uint8_t { kRefuse, kMemory };

struct JournalOptions {
  std::string directory = {};  // empty: no journal
  JournalAck ack = JournalAck::kJournal;
  JournalFailure on_failure = JournalFailure::kRefuse;
  BlockCodec codec = BlockCodec::kLz4;
  std::uint64_t bytes_max = std::uint64_t{64} << 30;  // of all files
  std::uint64_t disk_free_min = 0;                    // what the file system must have left; 0: not asked
  Duration write_timeout = std::chrono::seconds(5);   // a commit that takes longer counts as failed; 0: none does
  Duration retain = Duration::zero();                 // beyond what a restart needs
  Duration hold = std::chrono::seconds(30);           // a trace is decided so long after its first span, at the latest
  std::uint64_t keep_spans_per_minute = 600'000;      // that may be kept after the fact
  std::uint64_t ends_bytes = 64 << 20;                // of verdicts that are kept when their requests are deleted
  std::uint64_t segment_bytes = 64 << 20;
  Duration segment_age = std::chrono::minutes(1);
};

}  // namespace tailgate
