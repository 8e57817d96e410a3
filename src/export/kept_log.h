// KeptLog: records on disk under numbers, for the durable queue. A commit is all or nothing and is on the disk when it
// returns. LMDB does the work (docs/design/0012-durable-queue.md).
//
// Threads: open() first; then commit() by one thread at a time, read() by another beside it.
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

class KeptLog {
 public:
  using Puts = std::vector<std::pair<std::uint64_t, std::string>>;  // number, record; ascending, above all that exist

  virtual ~KeptLog() = default;
  // Calls `each` for every record that is there, by number. kIo: it cannot be opened, or another process has it.
  virtual Result<void> open(const std::function<void(std::uint64_t, ByteView)>& each) = 0;
  virtual Result<void> commit(const Puts& puts, const std::vector<std::uint64_t>& removes) = 0;
  virtual Result<std::string> read(std::uint64_t number) = 0;
};

// In `directory`, which is made. At most `bytes_max` are taken there, holes between records included.
std::unique_ptr<KeptLog> make_kept_log(const std::string& directory, std::size_t bytes_max);

}  // namespace tailgate
