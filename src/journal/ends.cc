// SPDX-License-Identifier: Apache-2.0
// Journal: what became of traces, beside the requests: verdicts, deliveries, and up to where all is settled.
#include <map>
#include <utility>

#include "journal/journal.h"

namespace tailgate {

// While the disk hangs or takes nothing they wait, so many at most.
bool Journal::takes_ends(std::size_t more) {
  if (stopped_) return false;
  if (waiting_ends_.size() + more <= kEndsWaitingMax) return true;
  stats_.ends_lost += more;
  return false;
}

void Journal::note(std::span<const DecidedTrace> decided) {
  const MutexLock lock(mutex_);
  if (!takes_ends(decided.size())) return;
  waiting_ends_.decided.insert(waiting_ends_.decided.end(), decided.begin(), decided.end());
}

void Journal::note(const JournalDelivery& delivery) {
  const MutexLock lock(mutex_);
  if (takes_ends(1)) waiting_ends_.deliveries.push_back(delivery);
}

void Journal::note_passed_on(std::uint64_t number) {
  const MutexLock lock(mutex_);
  if (takes_ends(1)) waiting_ends_.passed_on.push_back(number);
}

// Ends are not synced: what the power takes of them is decided and sent again. Those that cannot be written wait.
void Journal::write_ends(bool settled) {
  Ends ends;
  JournalSettled moved;  // below 0: it has not
  std::uint64_t segment = 0;
  {
    const MutexLock lock(mutex_);
    std::swap(ends, waiting_ends_);
    if (settled) moved = {segments_.settled(), segments_.left()};
    segment = segments_.last().number;
  }
  if ((ends.size() == 0 && !settled) || words_ == nullptr) return;
  PackedBlock block;
  bool good = pack_ends(ends, moved, block);
  if (ends_ != nullptr && !ends_->in_place()) ends_.reset();
  if (good && ends_ == nullptr) {
    auto opened = BlockWriter::open(ends_path(options_.directory, segment),
                                    {.codec = options_.codec, .mode = kFileMode, .sync = false});
    if (opened) ends_ = std::move(*opened);
  }
  const std::uint64_t before = ends_ != nullptr ? ends_->size() : 0;
  good = good && ends_ != nullptr && ends_->write({&block, 1});
  const MutexLock lock(mutex_);
  if (good) {
    stats_.written_bytes += ends_->size() - before;
    segments_.last().bytes += ends_->size() - before;
    segments_.last().ends_bytes = ends_->size();
    stats_.passed_on += ends.passed_on.size();
    return;
  }
  ++stats_.write_errors;
  if (waiting_ends_.size() + ends.size() > kEndsWaitingMax) {
    stats_.ends_lost += ends.size();
    return;
  }
  std::swap(ends, waiting_ends_);
  waiting_ends_.add(ends);
}

void Journal::Ends::add(const Ends& other) {
  decided.insert(decided.end(), other.decided.begin(), other.decided.end());
  deliveries.insert(deliveries.end(), other.deliveries.begin(), other.deliveries.end());
  passed_on.insert(passed_on.end(), other.passed_on.begin(), other.passed_on.end());
}

// One block of all of them; settled below 0: nothing of that.
bool Journal::pack_ends(const Ends& ends, const JournalSettled& settled, PackedBlock& block) const {
  std::vector<JournalVerdict> verdicts;
  verdicts.reserve(ends.decided.size());
  std::map<std::uint64_t, std::string> words;  // by the numbers they stand for
  for (const DecidedTrace& d : ends.decided) {
    JournalVerdict& v = verdicts.emplace_back(JournalVerdict{d.id, d.order, d.upto, d.verdict, {}, d.moved});
    if (d.verdict.decision != Decision::kSampled) continue;
    const std::uint64_t key = d.verdict.policy | static_cast<std::uint64_t>(d.verdict.route) << 16 |
                              static_cast<std::uint64_t>(d.verdict.threshold) << 32;
    const auto [at, fresh] = words.try_emplace(key);
    if (fresh) at->second = words_->words_of(d.verdict);
    v.words = at->second;
  }
  std::string raw;
  const auto put = [&](bool any, auto add, const auto& what) {
    block.records += any ? 1U : 0U;
    return !any || add(raw, what);
  };
  return put(!verdicts.empty(), append_verdicts, verdicts) &&
         put(!ends.deliveries.empty(), append_deliveries, ends.deliveries) &&
         put(!ends.passed_on.empty(), append_passed_on, ends.passed_on) &&
         put(settled.below != 0, append_settled, settled) && pack_block(raw, options_.codec, block);
}

}  // namespace tailgate
