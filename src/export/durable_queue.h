// DurableQueue: the kept traces of one exporter from the decision until the backend has them, on disk. This is the
// order and the bookkeeping; KeptLog is the disk, DurableStore the thread between them.
//
//   push -> new -> (begin_commit, end_commit) -> on disk -> done -> removed by a later commit
//             \__ next: handed to the SendQueue, oldest first, from memory while it is there, else to be read
//
// A trace that the backend has before its first commit is never written: with a healthy backend the disk sees little.
// One that is on disk and not handed out yet is let go of in memory beyond `memory_max`. Always true on return: pushed
// + restored = done + dropped + waiting, in spans, and `bytes` is at most bytes_max.
//
// No clock, no lock, no thread: DurableStore's lock is around it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "export/durable_options.h"
#include "export/send_queue.h"

namespace tailgate {

class DurableQueue {
 public:
  explicit DurableQueue(const DurableOptions& options) : options_(options) {}

  // A record found at the start, by ascending number.
  void restore(std::uint64_t number, std::uint64_t pushed_unix_ns, const KeptTrace& trace, std::size_t bytes);
  // Takes `trace` in, dropping for room the oldest that is not handed out: first those kept by chance, then the rest.
  // One kept by chance does not push out a certain one; it is dropped itself.
  void push(KeptTracePtr trace, std::uint64_t now_unix_ns);
  // Drops what is older than age_max and not handed out.
  void expire(std::uint64_t now_unix_ns);

  struct Next {
    std::uint64_t number = 0;
    KeptTracePtr trace;  // null: only on disk
  };
  // Hands out the oldest, nothing when all are. put_back() takes the last one back, when it could not be read.
  std::optional<Next> next();
  void put_back(std::uint64_t number);
  std::size_t next_bytes() const;  // of what next() gives; 0: nothing
  // The backend has it, or will never take it.
  void done(std::uint64_t number);
  // It was handed out, and its record turned out to be damaged.
  void drop_damaged(std::uint64_t number) { drop(number, DropReason::kDamaged); }

  // What is to be written and removed; end_commit() says whether it was. One at a time.
  struct Plan {
    struct Put {
      std::uint64_t number = 0;
      std::uint64_t pushed_unix_ns = 0;
      KeptTracePtr trace;
    };
    std::vector<Put> puts;
    std::vector<std::uint64_t> removes;
    bool empty() const { return puts.empty() && removes.empty(); }
  };
  Plan begin_commit();
  void end_commit(Plan plan, bool written);

  struct Stats {
    std::uint64_t waiting_spans = 0;  // not handed out
    std::uint64_t waiting_bytes = 0;
    std::uint64_t bytes = 0;  // of all records, handed out ones included
    std::uint64_t restored_spans = 0;
    std::array<std::uint64_t, kDropReasonNames.size()> dropped_spans{};
    std::map<std::string, std::array<std::uint64_t, kDropReasonNames.size()>> dropped_by_policy;
    std::uint64_t oldest_unix_ns = 0;  // when the oldest that is not done was pushed; 0: none
  };
  Stats stats() const;
  std::size_t memory_bytes() const { return memory_; }

 private:
  enum class State : std::uint8_t { kNew, kWriting, kOnDisk };
  struct Entry {
    KeptTracePtr trace;  // null: let go of
    std::uint64_t pushed_unix_ns = 0;
    std::size_t bytes = 0;
    std::uint32_t spans = 0;
    State state = State::kNew;
    bool chance = false;
    bool out = false;  // handed out
    std::uint16_t policy = 0;
  };

  std::uint16_t policy_number(const std::string& name);
  void drop(std::uint64_t number, DropReason reason);
  void erase(std::map<std::uint64_t, Entry>::iterator it);
  bool make_room(bool chance);

  DurableOptions options_;
  std::map<std::uint64_t, Entry> entries_;  // by number, which is the order of arrival
  std::set<std::uint64_t> chance_;          // of them: kept by chance and not handed out
  std::set<std::uint64_t> certain_;         // kept with certainty and not handed out
  std::vector<std::uint64_t> new_;          // not written yet
  std::vector<std::uint64_t> removes_;
  std::set<std::uint64_t> gone_;  // erased while they were being written
  std::vector<std::string> policies_;
  std::uint64_t next_number_ = 1;
  std::size_t memory_ = 0;  // KeptTrace::bytes() of entries that hold one and are not handed out
  Stats stats_;
};

}  // namespace tailgate
