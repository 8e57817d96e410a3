// Ingest: the one way in for spans, whatever protocol they came by. A receiver turns its request into OTLP bytes (an
// ExportTraceServiceRequest) and calls accept(), which scans them once and hands the spans to the shards.
//
// Threads: any; each uses scratch memory of its own. Cost: one scan and one copy of every span.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "model/span_batch.h"
#include "net/http/clients.h"
#include "net/refusal.h"
#include "telemetry/metrics.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

struct IngestResult {
  enum class Kind {
    kAccepted,      // all of it, or all but `rejected_spans` with bad ids
    kMalformed,     // not an OTLP request; nothing was taken. 400 / INVALID_ARGUMENT
    kNoMemory,      // nothing was taken; try again. 503 / UNAVAILABLE with Retry-After / RetryInfo 1 s
    kClientSpans,   // nothing was taken; its client has to wait `retry_seconds`. 429 / UNAVAILABLE
    kShuttingDown,  // nothing was taken; try again, elsewhere. 503 / UNAVAILABLE
  };
  Kind kind = Kind::kAccepted;
  std::uint64_t rejected_spans = 0;
  std::string message;  // for people: why and where. Set unless accepted whole
  std::uint32_t retry_seconds = 1;
};

// Takes one request's OTLP bytes; they need to live only until the call returns. `client` is asked before its spans are
// taken; null: not limited.
using Ingest = std::function<IngestResult(SourceId source, ByteView otlp, Client* client)>;

// The receivers and formats spans come by, in the order they were added at start. Constant afterwards.
struct Source {
  std::string receiver;  // the name in the configuration
  std::string format;    // otlp_proto, otlp_json, ...
};

// Why spans are refused, and why requests are for reasons of their receiver; other requests by kRefuseWhyNames.
inline constexpr std::array<std::string_view, 3> kSpanRefusalNames = {"bad_id", "no_memory", "client_spans"};
inline constexpr std::array<std::string_view, 3> kRequestRefusalNames = {"malformed", "unsupported", "shutdown"};

// What was refused at the door, and the receipt of spans that were: both sides of the account under one lock, so that
// received = refused holds for this part at every scrape. Threads: any; touched per refused request, never per span.
class Refusals {
 public:
  // From now on every reason of this source is in a snapshot, as a zero until it happens.
  void begin(SourceId source);
  void request(SourceId source, std::string_view reason);
  void spans(SourceId source, std::string_view reason, std::uint64_t count);  // received and refused

  struct Snapshot {
    std::map<SourceId, std::uint64_t> received;                                 // spans
    std::map<std::pair<SourceId, std::string>, std::uint64_t> spans, requests;  // by source and reason
  };
  Snapshot snapshot() const;

 private:
  mutable std::mutex mutex_;
  Snapshot counts_;  // guarded by mutex_
};

class IngestPipeline {
 public:
  struct Hooks {
    std::function<std::shared_ptr<const ScanPlan>()> plan;  // the live policies' plan; once per request
    // Takes a batch whole (true) or refuses it whole for want of room.
    std::function<bool(const SpanBatch&, SourceId, TimePoint now)> deliver;
    std::uint64_t hash_seed = 0;
  };
  IngestPipeline(Hooks hooks, Refusals& refusals) : hooks_(std::move(hooks)), refusals_(refusals) {}

  // Spans that are not taken are counted here, with their reason. Requests are counted by the receiver that answers
  // them.
  IngestResult accept(SourceId source, ByteView otlp, Client* client = nullptr);

  // From now on everything is refused with kShuttingDown.
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  Hooks hooks_;
  Refusals& refusals_;
  std::atomic<bool> stopping_{false};
};

}  // namespace tailgate
