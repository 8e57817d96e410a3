// SPDX-License-Identifier: Apache-2.0
#include "export/queue/durable_queue.h"

#include <algorithm>
#include <utility>

namespace tailgate {
namespace {

// Calls f(e) for each bit of `bits`.
template <class F>
void each_exporter(std::uint64_t bits, F&& f) {
  for (; bits != 0; bits &= bits - 1) f(static_cast<std::size_t>(__builtin_ctzll(bits)));
}

std::uint64_t bit(std::size_t exporter) { return std::uint64_t{1} << exporter; }

}  // namespace

DurableQueue::DurableQueue(const std::vector<DurableOptions>& exporters) : shares_(exporters.size()) {
  for (std::size_t e = 0; e < exporters.size(); ++e) {
    shares_[e].options = exporters[e];
    memory_max_ = std::max(memory_max_, exporters[e].memory_max);
  }
}

std::uint16_t DurableQueue::policy_number(const std::string& name) {
  const auto it = std::find(policies_.begin(), policies_.end(), name);
  if (it != policies_.end()) return static_cast<std::uint16_t>(it - policies_.begin());
  if (policies_.size() > UINT16_MAX) return 0;
  policies_.push_back(name);
  return static_cast<std::uint16_t>(policies_.size() - 1);
}

void DurableQueue::wait_for(Share& share, std::uint64_t number, const Entry& entry) {
  (entry.chance ? share.chance : share.certain).insert(number);
  share.stats.waiting_spans += entry.spans;
  share.stats.waiting_bytes += entry.bytes;
}

void DurableQueue::no_longer_waits(Share& share, std::uint64_t number, const Entry& entry) {
  (entry.chance ? share.chance : share.certain).erase(number);
  share.parked.erase(number);
  share.stats.waiting_spans -= entry.spans;
  share.stats.waiting_bytes -= entry.bytes;
}

void DurableQueue::restore(std::uint64_t number, std::uint64_t pushed_unix_ns, const KeptTrace& trace,
                           std::size_t bytes, std::uint64_t wanted, bool keep) {
  next_number_ = std::max(next_number_, number + 1);
  if (wanted == 0) {
    if (!keep) removes_.push_back(number);
    return;
  }
  Entry& entry = entries_[number];
  entry.pushed_unix_ns = pushed_unix_ns;
  entry.bytes = bytes;
  entry.wanted = wanted;
  entry.spans = trace.spans;
  entry.policy = policy_number(trace.policy);
  entry.state = State::kOnDisk;
  entry.chance = trace.verdict.by_chance();
  entry.keep = keep;
  each_exporter(wanted, [&](std::size_t e) {
    wait_for(shares_[e], number, entry);
    shares_[e].stats.bytes += bytes;
    shares_[e].stats.restored_spans += trace.spans;
  });
}

void DurableQueue::push(const KeptTracePtr& trace, std::uint64_t wanted, std::uint64_t now_unix_ns) {
  if (trace->parts == 1) return admit(trace, wanted, now_unix_ns);
  const auto at = parts_.try_emplace({trace->id, trace->parts}).first;
  std::vector<KeptTracePtr>& parts = at->second;
  parts.push_back(trace);
  if (parts.size() < trace->parts) return;
  for (KeptTracePtr& part : parts) admit(std::move(part), wanted, now_unix_ns);
  parts_.erase(at);
}

void DurableQueue::admit(KeptTracePtr trace, std::uint64_t wanted, std::uint64_t now_unix_ns) {
  const std::size_t bytes = trace->bytes();
  const std::uint64_t number = next_number_++;
  Entry& entry = entries_[number];
  entry.pushed_unix_ns = now_unix_ns;
  entry.bytes = bytes;
  entry.wanted = wanted;
  entry.spans = trace->spans;
  entry.policy = policy_number(trace->policy);
  entry.chance = trace->verdict.by_chance();
  entry.trace = std::move(trace);
  memory_ += bytes;
  in_memory_.insert(number);
  new_.insert(number);
  const bool chance = entry.chance;
  each_exporter(wanted, [&](std::size_t e) {
    Share& share = shares_[e];
    wait_for(share, number, entry);
    share.stats.bytes += bytes;
    share.stats.pushed_spans += entry.spans;
  });
  // The entry may go with the last of its drops.
  each_exporter(wanted, [&](std::size_t e) {
    Share& share = shares_[e];
    if (share.stats.bytes <= share.options.bytes_max) return;
    (chance ? share.chance : share.certain).erase(number);  // not to be pushed out for itself
    bool room = bytes <= share.options.bytes_max;
    while (room && share.stats.bytes > share.options.bytes_max) room = make_room(e, chance);
    (chance ? share.chance : share.certain).insert(number);
    if (!room) drop(e, number, DropReason::kQueueFull);
  });
}

bool DurableQueue::make_room(std::size_t exporter, bool chance) {
  const Share& share = shares_[exporter];
  if (!share.parked.empty()) {
    drop(exporter, *share.parked.begin(), DropReason::kQueueFull);
    return true;
  }
  if (!share.chance.empty()) {
    drop(exporter, *share.chance.begin(), DropReason::kQueueFull);
    return true;
  }
  if (chance || share.certain.empty()) return false;
  drop(exporter, *share.certain.begin(), DropReason::kQueueFull);
  return true;
}

void DurableQueue::expire(std::uint64_t now_unix_ns) {
  for (std::size_t e = 0; e < shares_.size(); ++e) {
    if (shares_[e].options.age_max <= Duration::zero()) continue;
    const auto age = static_cast<std::uint64_t>(shares_[e].options.age_max.count());
    for (const std::set<std::uint64_t>* waiting : {&shares_[e].chance, &shares_[e].certain, &shares_[e].parked}) {
      while (!waiting->empty() && entries_.at(*waiting->begin()).pushed_unix_ns + age < now_unix_ns) {
        drop(e, *waiting->begin(), DropReason::kTooOld);
      }
    }
  }
}

void DurableQueue::drop(std::size_t exporter, std::uint64_t number, DropReason reason) {
  const Entry& entry = entries_.at(number);
  if (reason == DropReason::kShutdown && entry.trace != nullptr) entry.trace->delivery.lost();
  if (reason == DropReason::kQueueFull && entry.state != State::kOnDisk && entry.trace != nullptr &&
      entry.bytes <= shares_[exporter].options.bytes_max)
    entry.trace->delivery.pushed_out();
  Stats& stats = shares_[exporter].stats;
  stats.dropped_spans[static_cast<std::size_t>(reason)] += entry.spans;
  stats.dropped_by_policy[policies_[entry.policy]][static_cast<std::size_t>(reason)] += entry.spans;
  let_go(exporter, number);
}

void DurableQueue::forget_trace(std::uint64_t number, Entry& entry) {
  if (entry.trace == nullptr) return;
  memory_ -= entry.trace->bytes();
  in_memory_.erase(number);
  entry.trace = nullptr;
}

// `exporter` does not need it any more, whether it was sent or dropped.
void DurableQueue::let_go(std::size_t exporter, std::uint64_t number) {
  const auto it = entries_.find(number);
  Entry& entry = it->second;
  Share& share = shares_[exporter];
  share.stats.bytes -= entry.bytes;
  if ((entry.out & bit(exporter)) == 0) {
    no_longer_waits(share, number, entry);
  } else {
    share.out.erase(number);
  }
  entry.wanted &= ~bit(exporter);
  entry.out &= ~bit(exporter);
  if (entry.wanted != 0 || entry.keep) {
    if (entry.state != State::kNew) marks_.push_back({number, exporter});
    if (entry.wanted != 0) return;
    forget_trace(number, entry);
    entries_.erase(it);  // `keep`: it is on disk
    return;
  }
  forget_trace(number, entry);
  if (entry.state == State::kOnDisk) removes_.push_back(number);
  if (entry.state == State::kWriting) gone_.insert(number);
  if (entry.state == State::kNew) new_.erase(number);
  entries_.erase(it);
}

std::optional<std::uint64_t> DurableQueue::oldest_waiting(const Share& share) const {
  if (share.chance.empty() && share.certain.empty()) return std::nullopt;
  if (share.chance.empty()) return *share.certain.begin();
  if (share.certain.empty()) return *share.chance.begin();
  return std::min(*share.chance.begin(), *share.certain.begin());
}

const DurableQueue::Entry* DurableQueue::ready(const Share& share) const {
  const std::optional<std::uint64_t> number = oldest_waiting(share);
  if (!number) return nullptr;
  const Entry& entry = entries_.at(*number);
  return entry.state == State::kOnDisk || disk_refuses_ ? &entry : nullptr;
}

std::size_t DurableQueue::next_bytes(std::size_t exporter) const {
  const Entry* entry = ready(shares_[exporter]);
  return entry == nullptr ? 0 : entry->bytes;
}

bool DurableQueue::waits(std::size_t exporter) const { return oldest_waiting(shares_[exporter]).has_value(); }

bool DurableQueue::all_on_disk(std::size_t exporter) const {
  // Commits take the oldest first, so from this number on nothing is on disk.
  const std::uint64_t from = std::min(new_.empty() ? UINT64_MAX : *new_.begin(), writing_from_);
  const Share& share = shares_[exporter];
  const auto none = [&](const std::set<std::uint64_t>& numbers) { return numbers.lower_bound(from) == numbers.end(); };
  return none(share.chance) && none(share.certain) && none(share.parked) && none(share.out);
}

bool DurableQueue::evict_unwritten(bool only_chance) {
  if (!disk_refuses_ || new_.empty()) return false;
  const std::uint64_t from = *new_.begin();
  std::uint64_t oldest = UINT64_MAX;
  for (const auto waiting : {&Share::parked, &Share::chance, &Share::certain}) {
    if (oldest != UINT64_MAX || (only_chance && waiting == &Share::certain)) break;
    for (const Share& share : shares_) {
      const auto it = (share.*waiting).lower_bound(from);
      if (it != (share.*waiting).end()) oldest = std::min(oldest, *it);
    }
  }
  if (oldest == UINT64_MAX) return false;
  const Entry& entry = entries_.at(oldest);
  each_exporter(entry.wanted & ~entry.out, [&](std::size_t e) { drop(e, oldest, DropReason::kQueueFull); });
  return true;
}

std::optional<DurableQueue::Next> DurableQueue::next(std::size_t exporter) {
  const Share& share = shares_[exporter];
  if (ready(share) == nullptr) return std::nullopt;
  return hand_out(exporter, *oldest_waiting(share));
}

std::optional<DurableQueue::Next> DurableQueue::next_parked(std::size_t exporter) {
  Share& share = shares_[exporter];
  while (!share.parked_order.empty()) {
    const std::uint64_t number = share.parked_order.front();
    share.parked_order.pop_front();
    if (share.parked.contains(number)) return hand_out(exporter, number);  // others were dropped
  }
  return std::nullopt;
}

void DurableQueue::park(std::size_t exporter, std::uint64_t number) {
  const auto it = entries_.find(number);
  if (it == entries_.end() || (it->second.out & bit(exporter)) == 0) return;
  Share& share = shares_[exporter];
  it->second.out &= ~bit(exporter);
  share.out.erase(number);
  share.parked.insert(number);
  share.parked_order.push_back(number);
  share.stats.waiting_spans += it->second.spans;
  share.stats.waiting_bytes += it->second.bytes;
}

DurableQueue::Next DurableQueue::hand_out(std::size_t exporter, std::uint64_t number) {
  Share& share = shares_[exporter];
  Entry& entry = entries_.at(number);
  no_longer_waits(share, number, entry);
  share.out.insert(number);
  entry.out |= bit(exporter);
  Next out{number, entry.trace};
  // A trace that is not written yet stays here too, for the commit.
  if (entry.out == entry.wanted && entry.state == State::kOnDisk) forget_trace(number, entry);
  return out;
}

void DurableQueue::put_back(std::size_t exporter, std::uint64_t number) {
  const auto it = entries_.find(number);
  if (it == entries_.end() || (it->second.out & bit(exporter)) == 0) return;
  it->second.out &= ~bit(exporter);
  shares_[exporter].out.erase(number);
  wait_for(shares_[exporter], number, it->second);
}

void DurableQueue::done(std::size_t exporter, std::uint64_t number) {
  const auto it = entries_.find(number);
  if (it != entries_.end() && (it->second.wanted & bit(exporter)) != 0) let_go(exporter, number);
}

void DurableQueue::drop_damaged(std::size_t exporter, std::uint64_t number) {
  put_back(exporter, number);
  const auto it = entries_.find(number);
  if (it == entries_.end()) return;
  it->second.keep = false;
  // Others that it was handed to have what they need.
  each_exporter(it->second.wanted & ~it->second.out, [&](std::size_t e) { drop(e, number, DropReason::kDamaged); });
}

DurableQueue::Plan DurableQueue::begin_commit(std::size_t bytes_max) {
  Plan plan;
  std::size_t bytes = 0;
  auto it = new_.begin();
  for (; it != new_.end(); ++it) {
    Entry& entry = entries_.at(*it);
    if (bytes >= bytes_max && entry.trace->part == 0) break;
    bytes += entry.bytes;
    entry.state = State::kWriting;
    plan.puts.push_back({*it, entry.pushed_unix_ns, entry.trace, entry.wanted});
  }
  new_.erase(new_.begin(), it);
  if (!plan.puts.empty()) writing_from_ = plan.puts.front().number;
  plan.removes = std::exchange(removes_, {});
  plan.marks = std::exchange(marks_, {});
  return plan;
}

DurableQueue::Plan DurableQueue::begin_giving_back(std::size_t changes_max) {
  Plan plan;
  const auto take = [&](auto& from, auto& to) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(changes_max, from.size()));
    to.assign(from.begin(), from.begin() + count);
    from.erase(from.begin(), from.begin() + count);
    changes_max -= to.size();
  };
  take(marks_, plan.marks);  // first: a mark must not come after its record has gone
  take(removes_, plan.removes);
  return plan;
}

std::uint64_t DurableQueue::drop_unwritten() {
  std::uint64_t spans = 0;
  for (const std::uint64_t number : std::exchange(new_, {})) {
    const Entry& entry = entries_.at(number);
    const std::uint32_t spans_each = entry.spans;
    each_exporter(entry.wanted, [&](std::size_t e) {
      spans += spans_each;
      drop(e, number, DropReason::kShutdown);
    });
  }
  return spans;
}

void DurableQueue::end_commit(Plan plan, bool written) {
  if (!written || !plan.puts.empty()) disk_refuses_ = !written;
  writing_from_ = UINT64_MAX;
  if (!written) {
    // A commit that failed left nothing on disk, so all of its changes wait for the next one.
    for (const Plan::Put& put : plan.puts) {
      const auto it = entries_.find(put.number);
      if (it == entries_.end()) continue;
      it->second.state = State::kNew;
      new_.insert(put.number);
    }
    removes_.insert(removes_.begin(), plan.removes.begin(), plan.removes.end());
    // A trace's next put, if there is one, says who wants the trace by then, so its mark is not needed.
    std::erase_if(marks_, [&](const Plan::Mark& mark) {
      const auto at = std::lower_bound(plan.puts.begin(), plan.puts.end(), mark.number,
                                       [](const Plan::Put& put, std::uint64_t n) { return put.number < n; });
      return at != plan.puts.end() && at->number == mark.number;
    });
    marks_.insert(marks_.begin(), plan.marks.begin(), plan.marks.end());
    gone_.clear();
    return;
  }
  std::uint64_t first_of_commit = UINT64_MAX;
  for (const Plan::Put& put : plan.puts) {
    first_of_commit = std::min(first_of_commit, put.number);
    const auto it = entries_.find(put.number);
    if (it == entries_.end()) continue;
    it->second.state = State::kOnDisk;
    put.trace->delivery.on_disk();
    if (it->second.out == it->second.wanted) forget_trace(put.number, it->second);  // the SendQueues have it
  }
  removes_.insert(removes_.end(), gone_.begin(), gone_.end());
  gone_.clear();
  // The newest are needed last. But exporters that are not behind want those of this commit at once.
  for (auto it = in_memory_.lower_bound(first_of_commit); it != in_memory_.begin() && memory_ > memory_max_;) {
    const std::uint64_t number = *--it;
    Entry& entry = entries_.at(number);
    if (entry.state != State::kOnDisk) continue;
    it = in_memory_.erase(it);
    memory_ -= entry.trace->bytes();
    entry.trace = nullptr;
  }
}

DurableQueue::Stats DurableQueue::stats(std::size_t exporter) const {
  const Share& share = shares_[exporter];
  Stats out = share.stats;
  std::optional<std::uint64_t> oldest = oldest_waiting(share);
  if (!share.out.empty()) oldest = std::min(oldest.value_or(UINT64_MAX), *share.out.begin());
  if (!share.parked.empty()) oldest = std::min(oldest.value_or(UINT64_MAX), *share.parked.begin());
  if (oldest) out.oldest_unix_ns = entries_.at(*oldest).pushed_unix_ns;
  return out;
}

}  // namespace tailgate
