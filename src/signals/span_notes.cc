// SPDX-License-Identifier: Apache-2.0
#include "signals/span_notes.h"

#include "base/hash.h"
#include "wire/otlp/attribute_value.h"

namespace tailgate {

void SpanNotes::begin(const SpanMetricsConfig& config, const ScanPlan& plan, std::uint64_t seed,
                      const SeriesCounts* counts) {
  config_ = &config;
  counts_ = counts;
  seed_ = seed;
  service_slot_ = plan.find_slot("service.name", Attributes::kOfResources);
  slots_.clear();
  for (const Dimension& dimension : config.dimensions)
    slots_.push_back(plan.find_slot(dimension.attribute, Attributes::kOfSpans));
  spans_.clear();
  resources_.clear();
  dimensions_.clear();
}

void SpanNotes::clear() {
  spans_.clear();
  dimensions_.clear();
  if (resources_.size() > 1) resources_.erase(resources_.begin(), resources_.end() - 1);
}

void SpanNotes::on_resource(const ByteView* attributes) {
  ResourceNote note{{}, seed_};
  if (config_->service && service_slot_ >= 0 && attributes[service_slot_].data() != nullptr) {
    note.service = string_value(attributes[service_slot_]).value_or(ByteView());
  }
  note.hash = hash_bytes(note.service, seed_);
  // One without spans gives way to the next: a request may have millions of them.
  const bool used = resources_.empty() || (!spans_.empty() && spans_.back().resource + 1 == resources_.size());
  if (used) {
    resources_.push_back(note);
  } else {
    resources_.back() = note;
  }
}

void SpanNotes::on_span(const SpanFields& span) {
  SpanNote note;
  note.duration_ns = span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0;
  note.name = span.name.data();
  note.name_size = static_cast<std::uint32_t>(span.name.size());
  note.bytes = static_cast<std::uint32_t>(span.bytes.size());
  note.resource = static_cast<std::uint32_t>(resources_.size() - 1);
  note.dimensions = static_cast<std::uint32_t>(dimensions_.size());
  const auto kind = static_cast<std::uint32_t>(span.kind), status = static_cast<std::uint32_t>(span.status_code);
  note.kind = kind < SpanNote::kOtherKind ? static_cast<std::uint8_t>(kind) : SpanNote::kOtherKind;
  note.status = status < SpanNote::kOtherStatus ? static_cast<std::uint8_t>(status) : SpanNote::kOtherStatus;
  // A step of splitmix64 spreads the small numbers over the seed.
  std::uint64_t hash =
      resources_.back().hash + (config_->span_kind ? note.kind : 0u) * 4u + (config_->status_code ? note.status : 0u);
  hash = hash_bytes(config_->span_name ? span.name : ByteView(), next_random(hash));
  for (const int slot : slots_) {
    ByteView value = slot >= 0 ? span.attributes[slot] : ByteView();
    if (value.data() == nullptr && slot >= 0) value = span.context->resource_attributes[slot];
    dimensions_.push_back(value);
    hash = hash_bytes(value, hash);  // of a KeyValue, which is never empty
  }
  note.hash = hash;
  if (counts_ != nullptr) counts_->prefetch(hash);
  spans_.push_back(note);
}

}  // namespace tailgate
