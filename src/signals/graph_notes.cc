// SPDX-License-Identifier: Apache-2.0
#include "signals/graph_notes.h"

#include <algorithm>

#include "base/hash.h"
#include "wire/otlp/attribute_value.h"

namespace tailgate {
namespace {

// What Tempo names a database by, before the attribute that shows that it is one.
const std::vector<std::string>& host_attributes() {
  static const std::vector<std::string> keys = {"peer.service", "server.address", "network.peer.address"};
  return keys;
}

}  // namespace

std::vector<std::string> GraphNotes::attributes(const ServiceGraphConfig& config) {
  std::vector<std::string> out = config.database_attributes;
  if (!out.empty()) out.insert(out.end(), host_attributes().begin(), host_attributes().end());
  if (config.virtual_nodes) out.insert(out.end(), config.peer_attributes.begin(), config.peer_attributes.end());
  return out;
}

void GraphNotes::find(const std::vector<std::string>& keys, const ScanPlan& plan, Slots& slots) {
  slots.clear();
  for (const std::string& key : keys) {
    if (const int slot = plan.find_slot(key, Attributes::kOfSpans); slot >= 0) slots.push_back(slot);
  }
}

void GraphNotes::begin(const ServiceGraphConfig& config, const ScanPlan& plan, std::uint64_t seed) {
  notes_.clear();
  resources_.clear();
  seed_ = seed;
  if (config_ == &config && plan_serial_ == plan.serial()) return;
  config_ = &config;
  plan_serial_ = plan.serial();
  service_slot_ = plan.find_slot("service.name", Attributes::kOfResources);
  find(config.database_attributes, plan, databases_);
  find(host_attributes(), plan, hosts_);
  find(config.peer_attributes, plan, peers_);
  all_ = databases_;
  all_.insert(all_.end(), hosts_.begin(), hosts_.end());
  all_.insert(all_.end(), peers_.begin(), peers_.end());
  std::sort(all_.begin(), all_.end());
  all_.erase(std::unique(all_.begin(), all_.end()), all_.end());
}

void GraphNotes::clear() {
  notes_.clear();
  if (resources_.size() > 1) resources_.erase(resources_.begin(), resources_.end() - 1);
}

void GraphNotes::on_resource(const ByteView* attributes) {
  GraphResource resource{{}, 0};
  if (service_slot_ >= 0 && attributes[service_slot_].data() != nullptr)
    resource.service = string_value(attributes[service_slot_]).value_or(ByteView());
  resource.hash = hash_bytes(resource.service, seed_);
  resource_has_ = any_in(attributes);
  if (resource_has_) {
    resource_hashes_.resize(static_cast<std::size_t>(all_.back()) + 1);
    for (const int slot : all_) {
      if (attributes[slot].data() != nullptr)
        resource_hashes_[static_cast<std::size_t>(slot)] = hash_bytes(attributes[slot], seed_ + 1);
    }
  }
  const bool used = resources_.empty() || (!notes_.empty() && notes_.back().resource + 1 == resources_.size());
  if (used) {
    resources_.push_back(resource);
  } else {
    resources_.back() = resource;
  }
}

// The slot of the first that the span or its resource has, or -1.
int GraphNotes::first_of(const Slots& slots, const SpanFields& span) {
  for (const int slot : slots) {
    if (span.attributes[slot].data() != nullptr || span.context->resource_attributes[slot].data() != nullptr)
      return slot;
  }
  return -1;
}

bool GraphNotes::any_in(const ByteView* attributes) const {
  std::uintptr_t any = 0;  // without a branch for each
  for (const int slot : all_) any |= reinterpret_cast<std::uintptr_t>(attributes[slot].data());
  return any != 0;
}

void GraphNotes::find_peer(const SpanFields& span, GraphNote& note) const {
  const int database = first_of(databases_, span);
  note.database = database >= 0;
  int slot = first_of(note.database ? hosts_ : peers_, span);
  if (slot < 0) slot = database;
  if (slot < 0) return;
  note.peer = span.attributes[slot];
  if (note.peer.data() != nullptr) {
    note.peer_hash = hash_bytes(note.peer, seed_ + 1);
  } else {  // its hash was made once, since it may be of megabytes
    note.peer = span.context->resource_attributes[slot];
    note.peer_hash = resource_hashes_[static_cast<std::size_t>(slot)];
  }
}

void GraphNotes::note(const SpanFields& span, std::uint64_t trace_hash) {
  const auto kind = static_cast<SpanKind>(span.kind);
  const bool client = kind == SpanKind::kClient || kind == SpanKind::kProducer;
  const bool messaging = kind == SpanKind::kProducer || kind == SpanKind::kConsumer;
  const ByteView id = client ? span.span_id : span.parent_span_id;
  const std::uint64_t word = id.size() == 8 ? load_le<std::uint64_t>(id.data()) : 0;
  if (word == 0 && messaging) return;  // a message whose sender is not known
  GraphNote& note = notes_.emplace_back();
  note.half.key = word == 0 ? 0 : mix_bits(trace_hash + mix_bits(seed_ ^ word));
  note.half.duration_ns = span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0;
  note.half.client = client;
  note.half.failed = span.status_code == static_cast<std::int32_t>(StatusCode::kError);
  note.half.type = messaging ? EdgeType::kMessaging : EdgeType::kPlain;
  note.resource = static_cast<std::uint32_t>(resources_.size() - 1);
  if (client && (resource_has_ || any_in(span.attributes))) find_peer(span, note);
}

}  // namespace tailgate
