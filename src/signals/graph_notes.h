// SPDX-License-Identifier: Apache-2.0
// GraphNotes: the sides of requests among the spans of one request, noted while the scan has them in its hands.
// Everything points into the request. Belongs to one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "signals/graph_config.h"
#include "signals/half_edges.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

struct GraphNote {
  HalfEdge half;            // key: 0 of a server's span without a parent; service and peer: ServiceGraph fills them in
  ByteView peer;            // of a client: the attribute (a KeyValue) that names what it calls; null: there is none
  std::uint64_t peer_hash;  // of it, seeded
  std::uint32_t resource;   // index in resources()
  std::uint32_t next;       // index of the next note of the same shard; ServiceGraph sets it
  bool database;            // `peer` is that of a database
};

struct GraphResource {
  ByteView service;
  std::uint64_t hash;  // of it, seeded
};

class GraphNotes {
 public:
  // For spans of a request that is scanned by `plan`. `config` outlives the notes.
  void begin(const ServiceGraphConfig& config, const ScanPlan& plan, std::uint64_t seed);
  void clear();  // the resource stays, since more of its spans may come

  void on_resource(const ByteView* attributes);
  void on_span(const SpanFields& span, std::uint64_t trace_hash) {
    const auto kind = static_cast<SpanKind>(span.kind);
    if (kind >= SpanKind::kServer && kind <= SpanKind::kConsumer && !resources_.back().service.empty())
      note(span, trace_hash);
  }

  std::vector<GraphNote>& notes() { return notes_; }  // ServiceGraph completes them
  const GraphResource& resource_of(const GraphNote& note) const { return resources_[note.resource]; }

  // Attributes that the scan must find.
  static std::vector<std::string> attributes(const ServiceGraphConfig& config);

 private:
  using Slots = std::vector<int>;  // of attributes of spans and resources alike
  static void find(const std::vector<std::string>& keys, const ScanPlan& plan, Slots& slots);
  static int first_of(const Slots& slots, const SpanFields& span);
  bool any_in(const ByteView* attributes) const;
  void find_peer(const SpanFields& span, GraphNote& note) const;
  void note(const SpanFields& span, std::uint64_t trace_hash);

  const ServiceGraphConfig* config_ = nullptr;
  std::uint64_t plan_serial_ = 0;  // of the plan that the slots belong to
  std::uint64_t seed_ = 0;
  int service_slot_ = -1;
  Slots databases_, peers_, hosts_;
  Slots all_;                                   // of these; most spans have none
  bool resource_has_ = false;                   // one of them
  std::vector<std::uint64_t> resource_hashes_;  // by slot, of what the last resource has
  std::vector<GraphNote> notes_;
  std::vector<GraphResource> resources_;
};

}  // namespace tailgate
