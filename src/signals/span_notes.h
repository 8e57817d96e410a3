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
  ByteView service;      // the start of service.name, as long as a label; "" when there is none
  std::uint64_t hash;    // of it, seeded
  std::uint64_t number;  // of the resource; no two of a SpanNotes have the same
};

// What the labels of a span have from its resource. Many spans share one, and its values may be long.
struct ResourceLabels {
  std::uint64_t number = 0;  // of the resource
  std::string service;
  std::vector<std::string> dimensions;  // those of spans that have no value of their own
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
  // The attributes (KeyValue messages) of the dimensions, in the order of the configuration; data() is null for one
  // that it has not. A span's own, and its resource's.
  const ByteView* dimensions_of(const SpanNote& span) const { return dimensions_.data() + span.dimensions; }
  const ByteView* resource_dimensions_of(const SpanNote& span) const {
    return resource_dimensions_.data() + span.resource * slots_.size();
  }

  // The caller's: those of the resource whose spans it labelled last.
  ResourceLabels labels;

 private:
  const SpanMetricsConfig* config_ = nullptr;
  const SeriesCounts* counts_ = nullptr;
  std::uint64_t seed_ = 0;
  int service_slot_ = -1;
  std::vector<int> slots_;  // of the dimensions, of spans and resources alike
  std::vector<SpanNote> spans_;
  std::vector<ResourceNote> resources_;
  std::uint64_t resource_numbers_ = 0;
  std::vector<ByteView> dimensions_;
  std::vector<ByteView> resource_dimensions_;
  std::vector<std::uint64_t> resource_hashes_;  // of the last resource's; 0 of one that it has not
};

}  // namespace tailgate
