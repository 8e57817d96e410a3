// SPDX-License-Identifier: Apache-2.0
// SpanNotes: what one request's spans are counted by, noted while the scan has them in its hands, so that nothing is
// read twice and nothing is counted of a request that is refused.
//
// Everything points into the request. Belongs to one thread; the memory stays for the next request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "signals/config.h"
#include "signals/series_counts.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

struct SpanNote {
  std::uint64_t hash;         // of all that its series is told by
  std::uint64_t duration_ns;  // 0 when it ends before it starts
  const char* name;
  std::uint32_t name_size;
  std::uint32_t bytes;       // of the Span message
  std::uint32_t resource;    // index in resources()
  std::uint32_t dimensions;  // index in dimensions() of its first one
  std::uint8_t kind;         // SpanKind, or kOtherKind
  std::uint8_t status;       // StatusCode, or kOtherStatus

  static constexpr std::uint8_t kOtherKind = 6, kOtherStatus = 3;  // numbers that OTLP has no name for
};

struct ResourceNote {
  ByteView service;    // service.name, "" when there is none
  std::uint64_t hash;  // of it, seeded
};

class SpanNotes {
 public:
  // For spans of a request that is scanned by `plan`; `config` outlives the notes. `counts` is where they will be
  // counted.
  void begin(const SpanMetricsConfig& config, const ScanPlan& plan, std::uint64_t seed, const SeriesCounts* counts);
  // Forgets the spans. The resource stays, since more of its spans may come.
  void clear();

  void on_resource(const ByteView* attributes);
  void on_span(const SpanFields& span);

  const std::vector<SpanNote>& spans() const { return spans_; }
  const ResourceNote& resource_of(const SpanNote& span) const { return resources_[span.resource]; }
  // The attributes (KeyValue messages) of a span's dimensions, in the order of the configuration; data() is null for
  // one that it has not.
  const ByteView* dimensions_of(const SpanNote& span) const { return dimensions_.data() + span.dimensions; }

 private:
  const SpanMetricsConfig* config_ = nullptr;
  const SeriesCounts* counts_ = nullptr;
  std::uint64_t seed_ = 0;
  int service_slot_ = -1;
  std::vector<int> slots_;  // of the dimensions, of spans and resources alike
  std::vector<SpanNote> spans_;
  std::vector<ResourceNote> resources_;
  std::vector<ByteView> dimensions_;
};

}  // namespace tailgate
