// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/scan_plan.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "codec/protobuf.h"
#include "model/span_batch.h"
#include "wire/otlp/tracestate.h"

namespace tailgate {

bool SpanFields::has_parent() const {
  if (parent_span_id.size() == 8) return load_le<std::uint64_t>(parent_span_id.data()) != 0;
  return parent_span_id.find_first_not_of('\0') != ByteView::npos;
}

namespace {

class Randomness final : public SpanCounter {
 public:
  std::uint64_t on_span(const SpanFields& span) const override {
    if (span.trace_state.empty()) return 0;
    const std::optional<std::uint64_t> value = read_ot(span.trace_state).random;
    return value ? *value | 1ULL << 63 : 0;
  }
};

}  // namespace

ScanPlan::ScanPlan() {
  static std::atomic<std::uint64_t> plans{0};
  serial_ = ++plans;
  by_length_.fill(kNoSlot);
}

std::size_t ScanPlan::attribute_slot(std::string_view key, Attributes where) {
  const auto it = std::find(keys_.begin(), keys_.end(), key);
  const auto slot = static_cast<std::size_t>(it - keys_.begin());
  if (it == keys_.end()) {
    keys_.emplace_back(key);
    where_.push_back(0);
    same_length_.push_back(std::exchange(by_length_[key.size() & 63], static_cast<std::uint16_t>(slot)));
  }
  where_[slot] |= static_cast<std::uint8_t>(where);
  for (const Attributes side : {Attributes::kOfSpans, Attributes::kOfResources}) {
    if ((static_cast<unsigned>(where) & static_cast<unsigned>(side)) == 0) continue;
    Masks& masks = masks_[side == Attributes::kOfResources];
    masks.length |= 1ULL << (key.size() & 63);
    if (!key.empty()) masks.first |= 1ULL << (static_cast<std::uint8_t>(key[0]) & 63);
  }
  return slot;
}

std::size_t ScanPlan::add(std::unique_ptr<SpanPredicate> predicate, std::string attribute) {
  predicates.push_back(std::move(predicate));
  asked_.push_back(std::move(attribute));
  return predicates.size() - 1;
}

std::size_t ScanPlan::add_sum(std::unique_ptr<SpanCounter> counter) {
  counters_.push_back({std::move(counter), Merge::kSum});
  return counters_.size() - 1;
}

std::size_t ScanPlan::add_first(std::unique_ptr<SpanCounter> counter) {
  counters_.push_back({std::move(counter), Merge::kFirst});
  return counters_.size() - 1;
}

std::size_t ScanPlan::add_greatest(std::unique_ptr<SpanCounter> counter) {
  counters_.push_back({std::move(counter), Merge::kGreatest});
  return counters_.size() - 1;
}

std::size_t ScanPlan::add_request_bytes() {
  if (!request_bytes_) request_bytes_ = add_sum(nullptr);
  return *request_bytes_;
}

std::size_t ScanPlan::add_randomness() {
  if (!randomness_) randomness_ = add_first(std::make_unique<Randomness>());
  return *randomness_;
}

void ScanPlan::merge(std::uint64_t* words, const std::uint64_t* later) const {
  const std::size_t bits = bit_words();
  for (std::size_t i = 0; i < bits; ++i) words[i] |= later[i];
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    std::uint64_t& word = words[bits + i];
    if (counters_[i].merge == Merge::kSum) {
      word += later[bits + i];
    } else if (counters_[i].merge == Merge::kGreatest) {
      word = std::max(word, later[bits + i]);
    } else if (word == 0) {
      word = later[bits + i];
    }
  }
}

void ScanPlan::count(const SpanFields& span, std::uint64_t* words) const {
  std::uint64_t* word = words + bit_words();
  for (const Counter& counter : counters_) {
    if (counter.merge == Merge::kGreatest) {
      *word = std::max(*word, counter.counter->on_span(span));
    } else if (counter.counter != nullptr && (counter.merge == Merge::kSum || *word == 0)) {
      *word += counter.counter->on_span(span);
    }
    ++word;
  }
}

int ScanPlan::find_slot_slow(ByteView key, Attributes where) const {
  for (std::uint16_t i = by_length_[key.size() & 63]; i != kNoSlot; i = same_length_[i]) {
    if (keys_[i] == key) return (where_[i] & static_cast<unsigned>(where)) != 0 ? static_cast<int>(i) : -1;
  }
  return -1;
}

void fill_request_bytes(const ScanPlan& plan, SpanBatch& batch) {
  if (!plan.request_bytes()) return;
  const std::size_t word = plan.bit_words() + *plan.request_bytes();
  const auto field = [](std::size_t content) { return 1 + pb::varint_size(content) + content; };
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    std::size_t bytes = 0;
    std::size_t resource = 0, scope = 0;  // content of the messages being filled
    const ScopeGroup* last = nullptr;
    std::uint32_t last_number = kNoIndex;
    for (std::uint32_t s = batch.traces[t].first; s != kNoIndex; s = batch.spans[s].next) {
      const BatchSpan& span = batch.spans[s];
      if (span.group != last_number) {
        const ScopeGroup& group = batch.groups[span.group];
        if (last != nullptr) resource += field(scope);
        if (last == nullptr || group.resource_index != last->resource_index) {
          if (last != nullptr) bytes += field(resource);
          resource = group.resource.size();
        }
        scope = group.scope.size();
        last = &group;
        last_number = span.group;
      }
      scope += field(span.size);
    }
    if (last != nullptr) bytes += field(resource + field(scope));
    batch.words_of(t)[word] = bytes;
  }
}

}  // namespace tailgate
