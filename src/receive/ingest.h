// SPDX-License-Identifier: Apache-2.0
// Ingest: the one way in for spans of every protocol. A receiver turns its request into OTLP bytes (an
// ExportTraceServiceRequest) and calls accept(), which scans them once and gives the spans to the shards.
//
// Threads: any; each has its own scratch memory. Cost: one scan and one copy of every span.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "model/span_batch.h"
#include "net/http/clients.h"
#include "receive/forward.h"
#include "receive/refusal_reason.h"
#include "receive/request_log.h"
#include "telemetry/metrics.h"
#include "wire/otlp/scan_plan.h"
#include "wire/span_watch.h"

namespace tailgate {

struct IngestResult {
  enum class Kind {
    kAccepted,      // all of it, or all but `rejected_spans` with bad ids
    kMalformed,     // not an OTLP request; nothing was taken. 400 / INVALID_ARGUMENT
    kNoMemory,      // nothing was taken; try again. 503 / UNAVAILABLE with Retry-After / RetryInfo 1 s
    kClientSpans,   // nothing was taken; its client has to wait `retry_seconds`. 429 / UNAVAILABLE
    kShuttingDown,  // nothing was taken; try again, elsewhere. 503 / UNAVAILABLE
    kJournal,       // nothing was taken, because the journal cannot be written; try again. 503 / UNAVAILABLE
  };
  Kind kind = Kind::kAccepted;
  std::uint64_t rejected_spans = 0;
  std::string message;  // for people: why and where. Set unless accepted whole
  std::uint32_t retry_seconds = 1;
  bool no_spans = false;     // accepted, and there was something in the request, but no span
  bool all_bad_ids = false;  // accepted, and every span in it was rejected
  bool never = false;        // kNoMemory, of spans with an origin: it is larger than the memory for traces
  TimePoint now{};           // the clock, as it was read for this request
  // Set: the answer waits until the journal has the request.
  std::shared_ptr<Receipt> receipt = nullptr;
};

// Takes the OTLP bytes of one request; they need to live only until the call returns. The limits of `client` are
// checked before its spans are taken; null: no limits.
using Ingest = std::function<IngestResult(SourceId source, ByteView otlp, Client* client)>;
// The same for a request of another daemon.
using IngestForwarded =
    std::function<IngestResult(SourceId source, ByteView otlp, Client* client, const Forwarded& forwarded)>;

// A receiver and a format of spans. All sources are known after the start and do not change afterwards.
struct Source {
  std::string receiver;  // the name in the configuration
  std::string format;    // otlp_proto, otlp_json, ...
};

// Counts refused requests, refused spans, and those that went to other members of a cluster. These spans are also
// counted as received here, under the same lock, so that received = refused + sent holds for them at every scrape.
// Threads: any; called per request, never per span.
class Refusals {
 public:
  // From now on snapshots contain every reason of this source, as zero until it happens.
  void begin(SourceId source);
  void request(SourceId source, RefusalReason reason);
  void spans(SourceId source, SpanRefusal why, std::uint64_t count);  // counts them as received and as refused
  void sent_to_members(SourceId source, std::uint64_t spans);         // as received and as sent

  struct Snapshot {
    std::map<SourceId, std::uint64_t> received;                                 // spans
    std::uint64_t sent_to_members = 0;                                          // likewise
    std::map<std::pair<SourceId, std::string>, std::uint64_t> spans, requests;  // by source and reason
  };
  Snapshot snapshot() const;

 private:
  mutable Mutex mutex_;
  Snapshot counts_ TAILGATE_GUARDED_BY(mutex_);
};

// What is odd about requests that were taken.
enum class Oddity : std::uint8_t { kRepairedTexts, kWithoutSpans };

// Counts it. Threads: any; called per odd request.
class Oddities {
 public:
  void begin(SourceId source);  // from now on snapshots contain this source
  void add(SourceId source, Oddity what, std::uint64_t count);

  struct Counts {
    std::uint64_t repaired_texts = 0, requests_without_spans = 0;
  };
  using Snapshot = std::map<SourceId, Counts>;
  Snapshot snapshot() const;

 private:
  mutable Mutex mutex_;
  Snapshot counts_ TAILGATE_GUARDED_BY(mutex_);
};

// Where accepted spans go. Threads: any, once per request and slice, not per span.
class IngestTarget {
 public:
  virtual ~IngestTarget() = default;
  // The plan of the policies in force.
  virtual std::shared_ptr<const ScanPlan> plan() const = 0;
  // Takes the whole batch and returns true, or refuses the whole batch when there is no room.
  virtual bool take(const SpanBatch& batch, SourceId source, TimePoint now) = 0;
  // Whether there can ever be room for it.
  virtual bool could_take(const SpanBatch& batch) const = 0;
  // For SpanBatch::hash_seed.
  virtual std::uint64_t hash_seed() const = 0;
};

class IngestPipeline {
 public:
  // All outlive the pipeline. `watch` sees every span that is taken; null: nobody does. Without a log (null) requests
  // are answered when they are taken.
  // Without a forwarder (null) all spans are the target's.
  IngestPipeline(IngestTarget& target, Refusals& refusals, SpanWatch* watch = nullptr, RequestLog* log = nullptr,
                 SpanForwarder* forwarder = nullptr)
      : target_(target), refusals_(refusals), watch_(watch), log_(log), forwarder_(forwarder) {}

  // Counts refused spans with their reason. The receiver counts refused requests, because it answers them.
  IngestResult accept(SourceId source, ByteView otlp, Client* client = nullptr, const Forwarded& forwarded = {},
                      SpanOrigin origin = 0);

  // Of spans that come out of the log and are another daemon's to decide, or may be: sends those that are, and takes
  // them out of `slice`. False: there is no room for them now. `written`: what the log writes of it; null: nothing.
  bool pass_on(SpanBatch& slice, SourceId source, std::uint64_t arrival_unix_ns, std::shared_ptr<Receipt>& written);

  // From now on accept() refuses everything with kShuttingDown.
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  class Slices;

  IngestTarget& target_;
  Refusals& refusals_;
  SpanWatch* const watch_;
  RequestLog* const log_;
  SpanForwarder* const forwarder_;
  std::atomic<bool> stopping_{false};
};

}  // namespace tailgate
