// SPDX-License-Identifier: Apache-2.0
// Batch and SendResult: what a SendQueue hands to an exporter, and what the exporter says became of it. BatchMemory:
// what an exporter remembers of a batch from one attempt to the next. Plain values; the runner's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/enum_names.h"
#include "model/kept_trace.h"

namespace tailgate {

// Why an attempt failed; label values of export_failures and export_failed_spans.
enum class FailReason : std::uint8_t {
  kTimeout,
  kUnavailable,
  kRefused,    // the backend is over a limit, or the request is
  kPermanent,  // the backend will never take it
  kPartial,    // spans a backend rejected out of a request that it took
  kIo,
  kExpired,  // retry_on_failure.max_elapsed_time was over
};
inline constexpr std::array<std::string_view, 7> kFailReasonNames = {"timeout", "unavailable", "refused", "permanent",
                                                                     "partial", "io",          "expired"};
static_assert(names_end_with(kFailReasonNames, FailReason::kExpired, "expired"));

struct Batch {
  std::uint64_t id = 0;
  std::vector<KeptTracePtr> traces;
  std::size_t bytes = 0;  // of OTLP
  std::uint64_t spans = 0;
};
using BatchPtr = std::shared_ptr<const Batch>;

// A trace of a batch that the backend took without some of its spans.
struct RejectedTrace {
  std::size_t index = 0;  // in Batch::traces
  std::uint64_t spans = 0;
  std::string why;
};

// What became of one attempt.
struct SendResult {
  enum class Kind : std::uint8_t { kDone, kRetry, kPermanent };

  // What a final refusal is about. The queue divides what is about the content or the size, until the traces that the
  // backend will not take are alone.
  enum class About : std::uint8_t {
    kAll,      // every request, or traces that the exporter has sent one by one
    kContent,  // something in this request
    kSize,     // the size of this request
  };

  Kind kind = Kind::kDone;
  FailReason reason = FailReason::kUnavailable;  // of a failure
  Duration retry_after = Duration::zero();       // what the backend asked for
  std::uint64_t rejected_spans = 0;              // of a batch that is done: partial success
  std::string detail;                            // for the log
  // Where those spans are, one entry a trace; empty when the backend does not say.
  std::vector<RejectedTrace> rejected = {};
  About about = About::kAll;  // of kPermanent
  // Of kRetry, ascending: the traces of the batch of which nothing is left to send. What was refused of them is in
  // `rejected`. They end if the batch is divided.
  std::vector<std::size_t> settled = {};

  static SendResult done(std::uint64_t rejected = 0) {
    SendResult r;
    r.rejected_spans = rejected;
    return r;
  }
  static SendResult done_but_for(std::vector<RejectedTrace> traces) {
    SendResult r;
    for (const RejectedTrace& t : traces) r.rejected_spans += t.spans;
    if (!traces.empty()) r.detail = traces.front().why;
    r.rejected = std::move(traces);
    return r;
  }
  static SendResult retry(FailReason why, std::string text, Duration after = Duration::zero()) {
    return {Kind::kRetry, why, after, 0, std::move(text)};
  }
  static SendResult permanent(FailReason why, std::string text, About about = About::kAll) {
    SendResult r{Kind::kPermanent, why, Duration::zero(), 0, std::move(text)};
    r.about = about;
    return r;
  }
};

// Traces of some of the spans of `trace` each, with at most `bytes_max` of OTLP where a span is not larger; empty when
// it cannot be cut. They hold the whole as well until the last of them has gone.
std::vector<KeptTracePtr> cut_trace(const KeptTracePtr& trace, std::size_t bytes_max);

// One entry for each trace, in the order of the batch; the spans of several add up and the first reason stays.
std::vector<RejectedTrace> merge_rejected(std::vector<RejectedTrace> rejected);

// An exporter that sends a batch in parts remembers here which of them the backend has. The queue keeps a batch until
// it ended for good; what is remembered of batches that the queue has given up goes at the next call of of().
template <class Memory>
class BatchMemory {
 public:
  // What is remembered of `batch`, new at its first attempt. The reference is good until forget().
  Memory& of(const BatchPtr& batch) {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.batch.expired(); });
    Entry& entry = entries_[batch->id];
    entry.batch = batch;
    return entry.memory;
  }
  Memory& at(std::uint64_t batch_id) { return entries_.at(batch_id).memory; }
  void forget(std::uint64_t batch_id) { entries_.erase(batch_id); }

 private:
  struct Entry {
    std::weak_ptr<const Batch> batch;
    Memory memory;
  };
  std::unordered_map<std::uint64_t, Entry> entries_;  // by the batch's id; a map whose entries stay where they are
};

}  // namespace tailgate
