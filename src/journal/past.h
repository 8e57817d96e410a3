// SPDX-License-Identifier: Apache-2.0
// JournalPast: what was received in the last while, kept or not, by the id of a trace. Beside it a thread that makes
// the index of ids of segments that are not written to any more.
//
// Threads: find() by any; one makes, starts and destroys it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "journal/id_index.h"
#include "journal/journal.h"
#include "model/trace_facts.h"

namespace tailgate {

struct PastTrace {
  std::string otlp;  // `resource_spans` fields, by request in the order of arrival; empty: nothing was found
  TraceFacts facts;
  std::string root_service, root_name;  // of the root; of the first span when it has none
  bool has_root = false;
  std::uint64_t spans = 0;
  std::uint64_t first_unix_ns = 0, last_unix_ns = 0;  // of arrival
  std::uint64_t damaged = 0;                          // blocks that may have more and cannot be read
  bool cut = false;                                   // cancelled, or too large: there may be more
  bool no_room = false;                               // cut because memory is short
  Charge charge = {};                                 // for otlp
};

// In a directory that another process may write to: all of a segment is read where it has no index. `cancelled` may be
// empty. A trace of more than `bytes_max` is cut there. Any thread.
struct FindPast {
  const std::string& directory;
  std::vector<std::uint64_t> segments;
  // Where the ids of a segment are known without its index, the positions of this hash.
  std::function<std::optional<std::vector<std::uint64_t>>(std::uint64_t segment, std::uint64_t hash)> positions = {};
  std::function<bool()> cancelled = {};
  ByteBudget* budget = nullptr;  // what is found is charged to `requests`, up to half of it; null: to nobody
  std::size_t bytes_max = kBytesMax;
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;
};
PastTrace find_past(const FindPast& in, const TraceId& id);

class JournalPast {
 public:
  explicit JournalPast(Journal& journal, ByteBudget* budget = nullptr) : journal_(journal), budget_(budget) {}
  ~JournalPast() { stop(); }
  JournalPast(const JournalPast&) = delete;
  JournalPast& operator=(const JournalPast&) = delete;

  void start();
  void stop();
  // Makes the index of one segment that has none. False: all have one.
  bool index_one();

  // `cancelled` may be empty.
  Result<PastTrace> find(const TraceId& id, const std::function<bool()>& cancelled = {}) const;

 private:
  void run();
  bool read_ids(std::uint64_t segment, std::vector<IdEntry>& out);

  Journal& journal_;
  ByteBudget* const budget_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tailgate
