// SPDX-License-Identifier: Apache-2.0
#include "head/root_watch.h"

#include "base/hash.h"
#include "base/thread_number.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/schema.h"

namespace tailgate {

class RootWatch::Notes final : public SpanWatcher {
 public:
  void begin(const ScanPlan& plan, std::uint64_t slow_ns, bool entries_too) {
    service_slot_ = plan.find_slot("service.name", Attributes::kOfResources);
    slow_ns_ = slow_ns;
    entries_too_ = entries_too;
    clear();
  }
  void clear() {
    roots.clear();
    spans = 0;
  }

  void on_resource(const ByteView* attributes) override {
    service_ = {};
    if (service_slot_ >= 0 && attributes[service_slot_].data() != nullptr)
      service_ = string_value(attributes[service_slot_]).value_or(ByteView());
    // The byte that is too many tells that it is too long to be counted by; the rest is read for no root.
    service_ = service_.substr(0, AdaptiveConfig::kOperationBytes + 1);
  }

  void on_span(const SpanFields& span, std::uint64_t /*trace_hash*/) override {
    ++spans;
    const auto kind = static_cast<SpanKind>(span.kind);
    if (span.has_parent() && !(entries_too_ && (kind == SpanKind::kServer || kind == SpanKind::kConsumer))) return;
    Root& root = roots.emplace_back(Root{service_, span.name, {.roots = 1}});
    root.counts.errors = span.status_code == static_cast<std::int32_t>(StatusCode::kError);
    root.counts.slow = span.end_ns > span.start_ns && span.end_ns - span.start_ns > slow_ns_;
  }

  std::vector<Root> roots;
  std::uint64_t spans = 0;

 private:
  int service_slot_ = -1;
  std::uint64_t slow_ns_ = 0;
  bool entries_too_ = false;
  ByteView service_;
};

RootWatch::Notes& RootWatch::notes() {
  thread_local Notes of_this_thread;
  return of_this_thread;
}

RootWatch::RootWatch(const AdaptiveConfig& config, std::size_t parts, std::uint64_t seed)
    : services_max_(config.services_max),
      operations_max_(config.operations_max),
      slow_ns_(static_cast<std::uint64_t>(config.slow.count())),
      entries_too_(config.entries),
      seed_(seed) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, parts); ++i) parts_.push_back(std::make_unique<Part>());
}

std::size_t RootWatch::bytes_max(const AdaptiveConfig& config, std::size_t parts) {
  return std::max<std::size_t>(1, parts) * (config.services_max + config.operations_max) *
         (sizeof(Entry) + 2 * AdaptiveConfig::kOperationBytes + 64);
}

RootWatch::Part& RootWatch::part() const { return *parts_[number_of_this_thread() % parts_.size()]; }

SpanWatcher& RootWatch::begin(const ScanPlan& plan) {
  Notes& mine = notes();
  mine.begin(plan, slow_ns_, entries_too_);
  return mine;
}

// The entry of the service's others, which is there before that of any operation: so a service whose names have ids in
// them takes room from nobody else.
RootWatch::Entry* RootWatch::others_of(Part& part, ByteView service, std::uint64_t key) const {
  const auto found = part.entries.find(key);
  if (found != part.entries.end()) return &found->second;
  if (service.size() > AdaptiveConfig::kOperationBytes || part.services == services_max_) return nullptr;
  ++part.services;
  return &part.entries.emplace(key, Entry{{std::string(service), "", {}}}).first->second;
}

void RootWatch::add(Part& part, const Root& root) const {
  const std::uint64_t service_hash = hash_bytes(root.service, seed_);
  const std::uint64_t key = hash_bytes(root.operation, service_hash);
  if (const auto found = part.entries.find(key); found != part.entries.end()) {
    found->second.roots.counts += root.counts;
    return;
  }
  Entry* const others = others_of(part, root.service, hash_bytes({}, service_hash));
  if (others == nullptr) {
    part.overflow_roots += root.counts.roots;
  } else if (root.operation.empty() || root.operation.size() > AdaptiveConfig::kOperationBytes ||
             others->operations == AdaptiveConfig::kOperationsOfService ||
             part.entries.size() - part.services == operations_max_) {
    others->roots.counts += root.counts;
  } else {
    ++others->operations;
    part.entries.emplace(key, Entry{{std::string(root.service), std::string(root.operation), root.counts}});
  }
}

void RootWatch::taken(TimePoint) {
  Notes& mine = notes();
  if (mine.spans == 0) return;
  Part& to = part();
  {
    const MutexLock lock(to.mutex);
    to.spans += mine.spans;
    for (const Root& root : mine.roots) add(to, root);
  }
  mine.clear();
}

void RootWatch::refused() { notes().clear(); }

void RootWatch::kept(ByteView service, ByteView operation) {
  Part& to = part();
  const MutexLock lock(to.mutex);
  add(to, {service, operation, {.kept = 1}});
}

RootWatch::Counted RootWatch::take() {
  Counted out;
  for (const auto& part : parts_) {
    std::unordered_map<std::uint64_t, Entry> entries;
    {
      const MutexLock lock(part->mutex);
      entries.swap(part->entries);
      part->services = 0;
      out.spans += part->spans;
      part->spans = 0;
    }
    for (auto& [key, entry] : entries) {
      const RootCounts& counts = entry.roots.counts;
      if (counts.roots != 0 || counts.kept != 0) out.roots.push_back(std::move(entry.roots));
    }
  }
  return out;
}

std::uint64_t RootWatch::overflow_roots() const {
  std::uint64_t out = 0;
  for (const auto& part : parts_) {
    const MutexLock lock(part->mutex);
    out += part->overflow_roots;
  }
  return out;
}

}  // namespace tailgate
