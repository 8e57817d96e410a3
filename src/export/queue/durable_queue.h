// SPDX-License-Identifier: Apache-2.0
// DurableQueue: the kept traces of all exporters that share a directory, from the decision until each backend has them.
// This is the order and the bookkeeping; KeptLog is the disk, DurableStore the thread between them.
//
//   push -> new -> (begin_commit, end_commit) -> on disk, once for all -> next: handed to an exporter's SendQueue,
//   oldest first, from memory while it is there, else to be read -> done by each -> removed by a later commit
//
// A trace is handed out only when it is on disk for every exporter that wants it, so that no crash can leave a trace at
// one backend that another never gets. While the disk refuses writes, everything is handed out from memory at once:
// what waits for one dead backend must not hold back what the others can have. Beyond `memory_max` a trace that is on
// disk is no longer held in memory.
// Always true on return, for each exporter, in spans: pushed + restored = done + dropped + waiting + handed out; and
// its bytes are at most its bytes_max.
//
// No clock, no lock, no thread: DurableStore's lock is around it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "export/queue/durable_options.h"
#include "export/queue/send_queue.h"

namespace tailgate {

class DurableQueue {
 public:
  // Exporters are known by their place here; bit e of a `wanted` is exporter e. At most 64.
  explicit DurableQueue(const std::vector<DurableOptions>& exporters);

  // A record found at the start, by ascending number, that `wanted` still want. `keep`: others want it too, which are
  // not here; it then stays on disk.
  void restore(std::uint64_t number, std::uint64_t pushed_unix_ns, const KeptTrace& trace, std::size_t bytes,
               std::uint64_t wanted, bool keep);
  // Takes `trace` in. Where an exporter's share is full, the oldest traces that are not handed out go: first those kept
  // by chance, then the rest. A trace kept by chance does not push out a certain one; it is dropped itself. The parts
  // of a trace go in together, when the last has come.
  void push(const KeptTracePtr& trace, std::uint64_t wanted, std::uint64_t now_unix_ns);
  // Drops what is older than age_max and not handed out.
  void expire(std::uint64_t now_unix_ns);
  // While the disk refuses writes: drops the oldest trace that is in memory only, for all who were not handed it, in
  // the order of push(). False: there is none.
  bool evict_unwritten(bool only_chance);

  struct Next {
    std::uint64_t number = 0;
    KeptTracePtr trace;  // null: only on disk
  };
  // Hands out the oldest trace; nothing when there is none or it is not on disk yet. put_back() takes the last one back
  // when its record could not be read.
  std::optional<Next> next(std::size_t exporter);
  void put_back(std::size_t exporter, std::uint64_t number);
  std::size_t next_bytes(std::size_t exporter) const;  // of what next() gives; 0: nothing
  bool waits(std::size_t exporter) const;              // something is not handed out, nor parked
  bool all_on_disk(std::size_t exporter) const;        // a restart would find all that it is not done with
  // One that was handed out waits apart: next() does not give it, next_parked() does, those first that were parked
  // first. When room runs out these go before all others.
  void park(std::size_t exporter, std::uint64_t number);
  std::optional<Next> next_parked(std::size_t exporter);
  bool has_parked(std::size_t exporter) const { return !shares_[exporter].parked.empty(); }
  // The backend has it, or will never take it.
  void done(std::size_t exporter, std::uint64_t number);
  // It was handed out, and its record turned out to be damaged.
  void drop_damaged(std::size_t exporter, std::uint64_t number);

  // What is to be written and removed; end_commit() says whether it was. One at a time.
  struct Plan {
    struct Put {
      std::uint64_t number = 0;
      std::uint64_t pushed_unix_ns = 0;
      KeptTracePtr trace;
      std::uint64_t wanted = 0;
    };
    struct Mark {  // this exporter is done with it, others are not
      std::uint64_t number = 0;
      std::size_t exporter = 0;
    };
    std::vector<Put> puts;
    std::vector<std::uint64_t> removes;
    std::vector<Mark> marks;
    bool empty() const { return puts.empty() && removes.empty() && marks.empty(); }
  };
  // At most `bytes_max` of puts, but one, and all parts of a trace or none.
  Plan begin_commit(std::size_t bytes_max = SIZE_MAX);
  // Only what gives room back, `changes_max` of it at most, oldest first.
  Plan begin_giving_back(std::size_t changes_max);
  bool anything_to_write() const { return !new_.empty(); }
  bool anything_to_give_back() const { return !marks_.empty() || !removes_.empty(); }
  void end_commit(Plan plan, bool written);
  // The last commit failed, or the last that had something new.
  bool disk_refuses() const { return disk_refuses_; }
  // For the end, when the disk refuses: drops the traces that are in memory only, handed out or not, with reason
  // `shutdown`. Returns their spans.
  std::uint64_t drop_unwritten();

  struct Stats {
    std::uint64_t waiting_spans = 0;  // not handed out
    std::uint64_t waiting_bytes = 0;
    std::uint64_t bytes = 0;  // of all records it wants, handed out ones included
    std::uint64_t restored_spans = 0, pushed_spans = 0;
    std::array<std::uint64_t, kDropReasonNames.size()> dropped_spans{};
    std::map<std::string, std::array<std::uint64_t, kDropReasonNames.size()>> dropped_by_policy;
    std::uint64_t oldest_unix_ns = 0;  // when the oldest that is not done was pushed; 0: none
  };
  Stats stats(std::size_t exporter) const;
  std::uint64_t bytes(std::size_t exporter) const { return shares_[exporter].stats.bytes; }  // of stats()
  std::size_t memory_bytes() const { return memory_; }

 private:
  enum class State : std::uint8_t { kNew, kWriting, kOnDisk };
  struct Entry {
    KeptTracePtr trace;  // null: let go of
    std::uint64_t pushed_unix_ns = 0;
    std::size_t bytes = 0;
    std::uint64_t wanted = 0;  // by whom, handed out or not
    std::uint64_t out = 0;     // of them: handed out
    std::uint32_t spans = 0;
    std::uint16_t policy = 0;
    State state = State::kNew;
    bool chance = false;
    bool keep = false;
  };
  using Entries = std::map<std::uint64_t, Entry>;  // by number, which is the order of arrival
  struct Share {
    DurableOptions options;
    std::set<std::uint64_t> chance;   // kept by chance and not handed out
    std::set<std::uint64_t> certain;  // kept with certainty and not handed out
    std::set<std::uint64_t> out;
    std::set<std::uint64_t> parked;
    std::deque<std::uint64_t> parked_order;  // also some that are not parked any more
    Stats stats;
  };

  std::uint16_t policy_number(const std::string& name);
  void admit(KeptTracePtr trace, std::uint64_t wanted, std::uint64_t now_unix_ns);
  void wait_for(Share& share, std::uint64_t number, const Entry& entry);
  void no_longer_waits(Share& share, std::uint64_t number, const Entry& entry);
  std::optional<std::uint64_t> oldest_waiting(const Share& share) const;
  const Entry* ready(const Share& share) const;
  Next hand_out(std::size_t exporter, std::uint64_t number);
  void drop(std::size_t exporter, std::uint64_t number, DropReason reason);
  void let_go(std::size_t exporter, std::uint64_t number);
  bool make_room(std::size_t exporter, bool chance);
  void forget_trace(std::uint64_t number, Entry& entry);

  std::vector<Share> shares_;
  std::size_t memory_max_ = 0;
  Entries entries_;
  // Of traces whose last part has not come, by the number of parts too: late spans of the same trace may come in parts
  // of their own, from another thread.
  std::map<std::pair<TraceId, std::uint32_t>, std::vector<KeptTracePtr>> parts_;
  std::set<std::uint64_t> new_;              // not written yet
  std::uint64_t writing_from_ = UINT64_MAX;  // the first of the commit that is being made
  bool disk_refuses_ = false;
  std::vector<std::uint64_t> removes_;
  std::vector<Plan::Mark> marks_;
  std::set<std::uint64_t> gone_;       // erased while they were being written
  std::set<std::uint64_t> in_memory_;  // entries that hold their trace
  std::vector<std::string> policies_;
  std::uint64_t next_number_ = 1;
  std::size_t memory_ = 0;  // KeptTrace::bytes() of them
};

}  // namespace tailgate
