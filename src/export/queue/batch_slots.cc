// SPDX-License-Identifier: Apache-2.0
#include "export/queue/batch_slots.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/invariant.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kAsideShare = 4;     // one in so many of the calls is for batches that are set aside
constexpr std::uint32_t kOrdinaryFirst = 3;  // with fewer calls: so many others before the next of them

}  // namespace

std::size_t bytes_of(const Batch& batch) {
  std::size_t bytes = 0;
  for (const KeptTracePtr& trace : batch.traces) bytes += trace->bytes();
  return bytes;
}

BatchSlot& BatchSlots::add(BatchSlot slot) {
  ++ordinary_;
  ++in_flight_;
  ++since_aside_;
  retried_ = false;
  list_.push_back(std::move(slot));
  return list_.back();
}

BatchSlot* BatchSlots::find(std::uint64_t batch_id) {
  const auto it =
      std::find_if(list_.begin(), list_.end(), [&](const BatchSlot& slot) { return slot.batch->id == batch_id; });
  return it == list_.end() ? nullptr : &*it;
}

BatchSlot BatchSlots::take(BatchSlot& slot) {
  INVARIANT(slot.in_flight);
  --in_flight_;
  --(slot.aside ? asides_in_flight_ : ordinary_);
  const auto at = std::find_if(list_.begin(), list_.end(), [&](const BatchSlot& other) { return &other == &slot; });
  BatchSlot out = std::move(*at);
  list_.erase(at);
  return out;
}

void BatchSlots::wait(BatchSlot& slot) {
  INVARIANT(slot.in_flight);
  if (slot.aside) return set_aside(take(slot));
  slot.in_flight = false;
  --in_flight_;
}

void BatchSlots::set_aside(BatchSlot slot) {
  slot.in_flight = false;
  slot.aside = true;
  aside_bytes_ += bytes_of(*slot.batch);
  Aside& aside = slot.tries != 0 && slot.batch->traces.size() == 1 ? single_ : undivided_;
  aside.emplace_hint(aside.lower_bound(slot.due), slot.due, std::move(slot));
}

BatchSlot* BatchSlots::begin_attempt(List::iterator slot) {
  slot->in_flight = true;
  ++in_flight_;
  ++since_aside_;
  retried_ = true;
  return &*slot;
}

BatchSlot* BatchSlots::begin_aside(Aside& from) {
  BatchSlot slot = std::move(from.extract(from.begin()).mapped());
  aside_bytes_ -= bytes_of(*slot.batch);
  slot.in_flight = true;
  ++in_flight_;
  ++asides_in_flight_;
  since_aside_ = 0;
  list_.push_back(std::move(slot));
  return &list_.back();
}

bool BatchSlots::aside_may_go(std::uint32_t calls) const {
  return asides_in_flight_ < std::max<std::uint32_t>(1, calls / kAsideShare);
}

BatchSlots::Aside* BatchSlots::due_aside(TimePoint now) {
  for (Aside* aside : {&undivided_, &single_}) {
    if (!aside->empty() && aside->begin()->first <= now) return aside;
  }
  return nullptr;
}

BatchSlots::Next BatchSlots::next(TimePoint now, std::uint32_t calls, bool new_ready) {
  const auto due = std::find_if(list_.begin(), list_.end(),
                                [&](const BatchSlot& slot) { return !slot.in_flight && slot.due <= now; });
  const bool fresh = new_ready && has_place();
  const bool others = due != list_.end() || fresh;
  Aside* const aside = due_aside(now);
  if (aside != nullptr && aside_may_go(calls) && (!others || calls >= kAsideShare || since_aside_ >= kOrdinaryFirst)) {
    return {Turn::kWaiting, begin_aside(*aside)};
  }
  if (due != list_.end() && !(fresh && retried_)) return {Turn::kWaiting, begin_attempt(due)};
  return {others ? Turn::kNew : Turn::kNobody, nullptr};
}

BatchSlots::List::iterator BatchSlots::least_recent() {
  auto found = list_.end();
  for (auto it = list_.begin(); it != list_.end(); ++it) {
    if (!it->in_flight && (found == list_.end() || it->sent < found->sent)) found = it;
  }
  return found;
}

BatchSlots::Next BatchSlots::next_probe(bool new_ready) {
  enum class Who : std::uint8_t { kNew, kPlaced, kAside };
  static constexpr std::array kTurns = {Who::kPlaced, Who::kNew, Who::kPlaced, Who::kNew, Who::kAside};
  for (std::size_t i = 0; i < kTurns.size(); ++i) {
    switch (kTurns[probe_turn_++ % kTurns.size()]) {
      case Who::kPlaced:
        if (const auto it = least_recent(); it != list_.end()) return {Turn::kWaiting, begin_attempt(it)};
        break;
      case Who::kNew:
        // A new batch may also go beyond the places, which may be full of batches that can never succeed.
        if (new_ready && ordinary_ <= most_) return {Turn::kNew, nullptr};
        break;
      case Who::kAside:
        if (Aside* const aside = due_aside(TimePoint::max())) return {Turn::kWaiting, begin_aside(*aside)};
    }
  }
  return {};
}

std::optional<TimePoint> BatchSlots::next_due(std::uint32_t calls) const {
  std::optional<TimePoint> due;
  for (const BatchSlot& slot : list_) {
    if (!slot.in_flight) due = std::min(due.value_or(slot.due), slot.due);
  }
  if (!aside_may_go(calls)) return due;
  for (const Aside* aside : {&undivided_, &single_}) {
    if (!aside->empty()) due = std::min(due.value_or(aside->begin()->first), aside->begin()->first);
  }
  return due;
}

void BatchSlots::keep_to_places() {
  if (ordinary_ <= most_) return;
  auto most_tried = list_.end();
  for (auto it = list_.begin(); it != list_.end(); ++it) {
    if (!it->in_flight && (most_tried == list_.end() || it->tries > most_tried->tries)) most_tried = it;
  }
  if (most_tried == list_.end()) return;
  BatchSlot slot = std::move(*most_tried);
  list_.erase(most_tried);
  --ordinary_;
  set_aside(std::move(slot));
}

void BatchSlots::all_due(TimePoint now) {
  for (BatchSlot& slot : list_) {
    if (!slot.in_flight) slot.due = std::min(slot.due, now);
  }
  for (Aside* aside : {&undivided_, &single_}) {
    std::vector<BatchSlot> later;
    for (auto it = aside->upper_bound(now); it != aside->end(); it = aside->erase(it))
      later.push_back(std::move(it->second));
    for (BatchSlot& slot : later) {
      slot.due = now;
      aside->emplace(now, std::move(slot));
    }
  }
}

std::optional<BatchSlot> BatchSlots::take_last_aside() {
  Aside& aside = single_.empty() ? undivided_ : single_;
  if (aside.empty()) return std::nullopt;
  BatchSlot slot = std::move(aside.extract(std::prev(aside.end())).mapped());
  aside_bytes_ -= bytes_of(*slot.batch);
  return slot;
}

std::optional<BatchSlot> BatchSlots::take_waiting() {
  const auto it = std::find_if(list_.begin(), list_.end(), [](const BatchSlot& slot) { return !slot.in_flight; });
  if (it == list_.end()) return std::nullopt;
  BatchSlot slot = std::move(*it);
  list_.erase(it);
  --ordinary_;
  return slot;
}

std::uint64_t BatchSlots::aside_spans() const {
  std::uint64_t spans = 0;
  each([&](const BatchSlot& slot) { spans += slot.aside ? slot.batch->spans : 0; });
  return spans;
}

std::optional<TimePoint> BatchSlots::oldest_since() const {
  std::optional<TimePoint> since;
  each([&](const BatchSlot& slot) { since = std::min(since.value_or(slot.since), slot.since); });
  return since;
}

void BatchSlots::clear() {
  list_.clear();
  undivided_.clear();
  single_.clear();
  ordinary_ = in_flight_ = asides_in_flight_ = 0;
  aside_bytes_ = 0;
}

}  // namespace tailgate
