#include "export/durable_queue.h"

#include <algorithm>
#include <utility>

namespace tailgate {

std::uint16_t DurableQueue::policy_number(const std::string& name) {
  const auto it = std::find(policies_.begin(), policies_.end(), name);
  if (it != policies_.end()) return static_cast<std::uint16_t>(it - policies_.begin());
  if (policies_.size() > UINT16_MAX) return 0;
  policies_.push_back(name);
  return static_cast<std::uint16_t>(policies_.size() - 1);
}

void DurableQueue::restore(std::uint64_t number, std::uint64_t pushed_unix_ns, const KeptTrace& trace,
                           std::size_t bytes) {
  const bool chance = trace.verdict.by_chance();
  entries_[number] = {nullptr,        pushed_unix_ns, bytes, trace.spans,
                      State::kOnDisk, chance,         false, policy_number(trace.policy)};
  (chance ? chance_ : certain_).insert(number);
  next_number_ = std::max(next_number_, number + 1);
  stats_.bytes += bytes;
  stats_.waiting_spans += trace.spans;
  stats_.waiting_bytes += bytes;
  stats_.restored_spans += trace.spans;
}

void DurableQueue::push(KeptTracePtr trace, std::uint64_t now_unix_ns) {
  const std::size_t bytes = trace->bytes();
  const bool chance = trace->verdict.by_chance();
  const std::uint64_t number = next_number_++;
  const std::uint16_t policy = policy_number(trace->policy);
  stats_.bytes += bytes;
  stats_.waiting_spans += trace->spans;
  stats_.waiting_bytes += bytes;
  memory_ += bytes;
  const std::uint32_t spans = trace->spans;
  entries_[number] = {std::move(trace), now_unix_ns, bytes, spans, State::kNew, chance, false, policy};
  while (stats_.bytes > options_.bytes_max) {
    if (bytes <= options_.bytes_max && make_room(chance)) continue;
    drop(number, DropReason::kQueueFull);
    return;
  }
  (chance ? chance_ : certain_).insert(number);
  new_.push_back(number);
}

bool DurableQueue::make_room(bool chance) {
  if (!chance_.empty()) {
    drop(*chance_.begin(), DropReason::kQueueFull);
    return true;
  }
  if (chance || certain_.empty()) return false;
  drop(*certain_.begin(), DropReason::kQueueFull);
  return true;
}

void DurableQueue::expire(std::uint64_t now_unix_ns) {
  if (options_.age_max <= Duration::zero()) return;
  const auto age = static_cast<std::uint64_t>(options_.age_max.count());
  for (std::set<std::uint64_t>* waiting : {&chance_, &certain_}) {
    while (!waiting->empty() && entries_.at(*waiting->begin()).pushed_unix_ns + age < now_unix_ns) {
      drop(*waiting->begin(), DropReason::kTooOld);
    }
  }
}

void DurableQueue::drop(std::uint64_t number, DropReason reason) {
  const auto it = entries_.find(number);
  stats_.dropped_spans[static_cast<std::size_t>(reason)] += it->second.spans;
  stats_.dropped_by_policy[policies_[it->second.policy]][static_cast<std::size_t>(reason)] += it->second.spans;
  erase(it);
}

void DurableQueue::erase(std::map<std::uint64_t, Entry>::iterator it) {
  const std::uint64_t number = it->first;
  const Entry& entry = it->second;
  stats_.bytes -= entry.bytes;
  if (!entry.out) {
    stats_.waiting_spans -= entry.spans;
    stats_.waiting_bytes -= entry.bytes;
    if (entry.trace != nullptr) memory_ -= entry.trace->bytes();
    (entry.chance ? chance_ : certain_).erase(number);
  }
  if (entry.state == State::kOnDisk) removes_.push_back(number);
  if (entry.state == State::kWriting) gone_.insert(number);
  entries_.erase(it);  // one that is new is passed over by the next commit
}

std::size_t DurableQueue::next_bytes() const {
  if (chance_.empty() && certain_.empty()) return 0;
  const std::uint64_t number = chance_.empty()    ? *certain_.begin()
                               : certain_.empty() ? *chance_.begin()
                                                  : std::min(*chance_.begin(), *certain_.begin());
  return entries_.at(number).bytes;
}

std::optional<DurableQueue::Next> DurableQueue::next() {
  if (chance_.empty() && certain_.empty()) return std::nullopt;
  const bool chance = certain_.empty() || (!chance_.empty() && *chance_.begin() < *certain_.begin());
  std::set<std::uint64_t>& from = chance ? chance_ : certain_;
  const std::uint64_t number = *from.begin();
  from.erase(from.begin());
  Entry& entry = entries_.at(number);
  entry.out = true;
  stats_.waiting_spans -= entry.spans;
  stats_.waiting_bytes -= entry.bytes;
  if (entry.trace != nullptr) memory_ -= entry.trace->bytes();
  // One that is not written yet stays here too, for the commit.
  Next out{number, entry.trace};
  if (entry.state == State::kOnDisk) entry.trace = nullptr;
  return out;
}

void DurableQueue::put_back(std::uint64_t number) {
  const auto it = entries_.find(number);
  if (it == entries_.end() || !it->second.out) return;
  it->second.out = false;
  stats_.waiting_spans += it->second.spans;
  stats_.waiting_bytes += it->second.bytes;
  if (it->second.trace != nullptr) memory_ += it->second.trace->bytes();
  (it->second.chance ? chance_ : certain_).insert(number);
}

void DurableQueue::done(std::uint64_t number) {
  const auto it = entries_.find(number);
  if (it != entries_.end()) erase(it);
}

DurableQueue::Plan DurableQueue::begin_commit() {
  Plan plan;
  for (const std::uint64_t number : new_) {
    const auto it = entries_.find(number);
    if (it == entries_.end()) continue;  // sent, or dropped, before it was written
    it->second.state = State::kWriting;
    plan.puts.push_back({number, it->second.pushed_unix_ns, it->second.trace});
  }
  new_.clear();
  plan.removes = std::exchange(removes_, {});
  return plan;
}

void DurableQueue::end_commit(Plan plan, bool written) {
  if (!written) {
    // As before it: nothing of a commit that failed is on disk.
    std::vector<std::uint64_t> again;
    for (const Plan::Put& put : plan.puts) {
      const auto it = entries_.find(put.number);
      if (it == entries_.end()) continue;
      it->second.state = State::kNew;
      again.push_back(put.number);
    }
    new_.insert(new_.begin(), again.begin(), again.end());
    removes_.insert(removes_.begin(), plan.removes.begin(), plan.removes.end());
    gone_.clear();
    return;
  }
  for (const Plan::Put& put : plan.puts) {
    const auto it = entries_.find(put.number);
    if (it == entries_.end()) continue;
    it->second.state = State::kOnDisk;
    if (it->second.out) it->second.trace = nullptr;  // the SendQueue has it
  }
  removes_.insert(removes_.end(), gone_.begin(), gone_.end());
  gone_.clear();
  // The newest are needed last.
  for (auto it = entries_.rbegin(); it != entries_.rend() && memory_ > options_.memory_max; ++it) {
    Entry& entry = it->second;
    if (entry.out) break;
    if (entry.trace == nullptr || entry.state != State::kOnDisk) continue;
    memory_ -= entry.trace->bytes();
    entry.trace = nullptr;
  }
}

DurableQueue::Stats DurableQueue::stats() const {
  Stats out = stats_;
  if (!entries_.empty()) out.oldest_unix_ns = entries_.begin()->second.pushed_unix_ns;
  return out;
}

}  // namespace tailgate
