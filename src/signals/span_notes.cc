// SPDX-License-Identifier: Apache-2.0
#include "signals/span_notes.h"

#include "base/hash.h"
#include "codec/utf8.h"
#include "signals/names.h"
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
  resource_dimensions_.clear();
}

void SpanNotes::clear() {
  spans_.clear();
  dimensions_.clear();
  if (resources_.size() <= 1) return;
  resources_.erase(resources_.begin(), resources_.end() - 1);
  resource_dimensions_.erase(resource_dimensions_.begin(),
                             resource_dimensions_.end() - static_cast<std::ptrdiff_t>(slots_.size()));
}

void SpanNotes::on_resource(const ByteView* attributes) {
  ResourceNote note{{}, seed_, ++resource_numbers_};
  if (config_->service && service_slot_ >= 0 && attributes[service_slot_].data() != nullptr) {
    note.service = start_of_text(string_value(attributes[service_slot_]).value_or(ByteView()), kLabelValueMax);
  }
  note.hash = hash_bytes(note.service, seed_);
  // One without spans gives way to the next: a request may have millions of them.
  const bool used = resources_.empty() || (!spans_.empty() && spans_.back().resource + 1 == resources_.size());
  if (!used) {
    resources_.pop_back();
    resource_dimensions_.resize(resource_dimensions_.size() - slots_.size());
  }
  resources_.push_back(note);
  resource_hashes_.clear();
  for (const int slot : slots_) {
    const ByteView value = slot >= 0 ? attributes[slot] : ByteView();
    resource_dimensions_.push_back(value);
    resource_hashes_.push_back(value.data() != nullptr ? hash_bytes(value, seed_) : 0);
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
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const ByteView value = slots_[i] >= 0 ? span.attributes[slots_[i]] : ByteView();
    dimensions_.push_back(value);
    if (value.data() != nullptr) {
      hash = hash_bytes(value, hash);  // of a KeyValue, which is never empty
    } else {
      hash += resource_hashes_[i];  // made once, since it may be of megabytes
      hash = next_random(hash);
    }
  }
  note.hash = hash;
  if (counts_ != nullptr) counts_->prefetch(hash);
  spans_.push_back(note);
}

}  // namespace tailgate
