// SPDX-License-Identifier: Apache-2.0
// KeptLog: records on disk under numbers, for the durable queue. A commit is all or nothing and is on the disk when it
// returns. LMDB does the work (docs/design/0012-durable-queue.md).
//
// A log whose file is damaged is opened all the same: what can be read goes into a new file, and the old one is kept
// beside it.
//
// Threads: open() first; then one thread at a time may commit() while another calls read().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tailgate {

// How many removes and marks always find room on a full disk, in a commit of nothing else.
inline constexpr std::size_t kGiveBackMax = 256;

class KeptLog {
 public:
  struct Writes {
    std::vector<std::pair<std::uint64_t, std::string>> puts;     // number, record; ascending, above all that exist
    std::vector<std::uint64_t> removes;                          // their marks go too
    std::vector<std::pair<std::uint64_t, std::uint64_t>> marks;  // number of a record, a mark on it; made first
  };
  // A record that is there, with the marks on it.
  using Each = std::function<void(std::uint64_t number, ByteView record, const std::vector<std::uint64_t>& marks)>;

  struct Damage {
    std::string cause;                       // empty: there is none
    std::string set_aside;                   // the folder that the damaged file is in now
    std::uint64_t taken_over = 0, lost = 0;  // records; lost: known to have been there
  };

  virtual ~KeptLog() = default;
  // Calls `each` for every record that is there, by number. kIo: it cannot be opened, or another process has it.
  virtual Result<Damage> open(const Each& each) = 0;
  virtual Result<void> commit(const Writes& writes) = 0;
  // kBadInput: the record does not exist, or is damaged for good.
  virtual Result<std::string> read(std::uint64_t number) = 0;
};

// In `directory`, which is created. The log may grow by `bytes_max` beyond what is there already, holes between records
// included, and by as much again where no hole fits. A few MiB more are held in reserve, so that changes that give room
// back can be written when nothing else can.
std::unique_ptr<KeptLog> make_kept_log(const std::string& directory, std::size_t bytes_max);

// What is wrong with the file of the log in `directory`; empty when nothing is, when it is not there or cannot be
// opened, and while a process has the log open. Changes nothing.
std::string kept_log_damage(const std::string& directory);

}  // namespace tailgate
