// SPDX-License-Identifier: Apache-2.0
// JournalHistory: what earlier processes decided and delivered, for a replay of their requests.
//
// The spans that a request has of a trace ended before if its verdict was not to keep it, or if every exporter has
// them; these are not looked at again. A kept trace that is not delivered is put together again and follows its verdict
// of then. Spans without a verdict are decided as if they came now.
//
// Threads: load() by one; afterwards immutable, any.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "journal/journal.h"

namespace tailgate {

class JournalHistory {
 public:
  // Hands over the verdicts of a segment whose requests are not replayed.
  using Take = std::function<void(const TraceId& id, const Verdict& verdict)>;
  void pass(const std::string& directory, std::uint64_t segment, const VerdictWords& words, const Take& take);

  // Reads the ends of these segments. What cannot be read is skipped and counted: spans of traces in there are decided,
  // and sent, again.
  void load(const std::string& directory, const std::vector<std::uint64_t>& segments, const VerdictWords& words);

  // Whether the spans of this trace in this request ended before. `position`: of the request.
  bool ended(const TraceId& id, const JournalRequest& request, std::uint64_t position) const;

  struct Foregone {
    Verdict verdict;
    std::uint64_t order = 0;
  };
  // The verdict of a trace that is to be put together again, the last such; nothing when there is none. A later one of
  // the same trace may have ended: it was kept once more after the fact, or came anew when it was not remembered.
  std::optional<Foregone> find(const TraceId& id) const;

  // Whether every exporter has the spans that came with this request, or that it is a copy of.
  bool delivered(const TraceId& id, std::uint64_t request) const;

  // Whether a request that was not this daemon's own is where it belongs.
  bool passed_on(std::uint64_t number) const { return passed_on_.contains(number); }

  // Hands over the verdict of each trace that find() has none of.
  template <class F>
  void each_ended(F&& take) const {
    bool opens = false;  // one of this trace's, so far
    for (std::size_t i = 0; i != entries_.size(); ++i) {
      const Entry& e = entries_[i];
      opens |= open(e);
      if (i + 1 != entries_.size() && entries_[i + 1].id == e.id) continue;
      if (!std::exchange(opens, false) && !e.moved) take(e.id, e.verdict);
    }
  }

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const {
    return entries_.capacity() * sizeof(Entry) + late_.capacity() * sizeof late_[0] +
           passed_on_.bucket_count() * sizeof(std::uint64_t);
  }
  std::uint64_t damaged() const { return damaged_; }

 private:
  struct Entry {
    TraceId id;
    std::uint64_t order = 0, upto = 0;
    Verdict verdict;
    bool moved = false;                // to another daemon, which decides what it covers and what comes later
    bool delivered = false;            // what it covers
    std::uint64_t delivered_upto = 0;  // what a replay put together again, up to this position

    bool covers(const JournalRequest& request, std::uint64_t position) const {
      return upto != 0 ? position < upto : request.order < order;
    }
  };
  static bool open(const Entry& e) {
    return e.verdict.decision == Decision::kSampled && !e.delivered && e.delivered_upto == 0;
  }
  // Calls for every record. The last two may be empty.
  void scan(const std::string& directory, std::uint64_t segment,
            const std::function<void(std::vector<JournalVerdict>&&)>& verdicts,
            const std::function<void(std::vector<JournalDelivery>&&)>& deliveries,
            const std::function<void(std::vector<std::uint64_t>&&)>& passed_on);
  std::pair<const Entry*, const Entry*> of(const TraceId& id) const;

  std::vector<Entry> entries_;                           // by trace, then order
  std::vector<std::pair<TraceId, std::uint64_t>> late_;  // delivered: trace, request; sorted
  boost::unordered_flat_set<std::uint64_t> passed_on_;
  std::uint64_t damaged_ = 0;
};

}  // namespace tailgate
