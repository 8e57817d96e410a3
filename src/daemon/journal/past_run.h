// SPDX-License-Identifier: Apache-2.0
// Judges what a journal has of a time with policies of its own, in a buffer of its own: the live daemon and its limits
// are not touched. Traces close as they would have then, by the arrival of their spans.
//
// Threads: one; a run each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "buffer/store/trace_store.h"
#include "journal/cursor.h"

namespace tailgate {

struct PastRunOptions {
  std::string directory;
  JournalCursor::ExtentOf extent;
  std::uint64_t from_unix_ns = 0, to_unix_ns = UINT64_MAX;  // of arrival
  TraceStoreOptions store;
  std::size_t memory = std::size_t{48} << 20;  // for open traces
  // Spans are held without their bytes: enough for every policy but those that weigh a trace.
  bool slim = false;
  std::uint64_t bytes_max = UINT64_MAX;  // of requests: what comes after these is not looked at
  std::function<bool()> cancelled = {};
  std::function<void(const JournalRequest&)> taken = {};                // those of the time, in their order
  std::function<void(double progress, std::uint64_t bytes)> tell = {};  // now and then
};

struct PastRunOutcome {
  std::uint64_t requests = 0, bytes = 0, damaged = 0, not_taken = 0;  // not_taken: requests without room
  std::uint64_t first_unix_ns = 0, last_unix_ns = 0;
  bool cut = false;                // cancelled, or at bytes_max: there may be more
  std::uint64_t judged_early = 0;  // traces, because more was open at a time than there was memory for
  StoreSnapshot totals;
};

// The memory for a run, charged: `wanted`, or less where `charge` has not so much and an eighth for others. 0: there is
// too little for any.
std::size_t take_memory(Charge& charge, std::size_t wanted);

// `decided` gets every verdict; with numbers of `tables`, as `policies` have them.
using TakeDecided = std::function<void(std::span<const DecidedTrace>)>;
Result<PastRunOutcome> run_past(const PastRunOptions& options, const PolicySetPtr& policies, PolicyTables& tables,
                                const TakeDecided& decided);

}  // namespace tailgate
