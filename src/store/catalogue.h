// SPDX-License-Identifier: Apache-2.0
// Catalogue: the SQLite file of a partition, written. It has a row for each trace and can be made again from the blocks
// at any time; docs/exporters/store.md describes the tables, since people may open it with sqlite3. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "store/part_facts.h"
#include "store/part_record.h"
#include "store/postings.h"
#include "store/sqlite.h"

namespace tailgate {

// SQLite's numbers have a sign: times after the year 2262 count as its end.
inline std::int64_t to_sql(std::uint64_t n) { return n > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(n); }
inline std::uint64_t from_sql(std::int64_t n) { return n < 0 ? 0 : static_cast<std::uint64_t>(n); }

// Where a part is.
struct PartPlace {
  std::uint64_t block = 0;  // position in the block file
  std::uint32_t record = 0;
};

// First start and last end of a trace in older partitions.
struct EarlierParts {
  std::uint64_t start_ns = 0, end_ns = 0;
};

// What stands for a service in `trace_services`. A partition lists kListedServicesMax services, by number; another one
// is the hash of its name, which is negative, at start 0, since nothing could move its rows when a trace begins
// earlier.
struct ServiceKey {
  std::int64_t id = 0;
  bool listed() const { return id > 0; }
  std::int64_t start(std::int64_t trace_start_ns) const { return listed() ? trace_start_ns : 0; }
};
ServiceKey unlisted_service(std::string_view name);

class Catalogue {
 public:
  static constexpr std::int64_t kVersion = 2;  // of its tables, in `PRAGMA user_version`

  // Makes the tables when the file is new. kBadInput: it is damaged; remove it and apply every block again.
  static Result<std::unique_ptr<Catalogue>> open(const std::string& path);

  Result<void> begin();
  // The number of the trace, or of none when it has this part already. In a transaction.
  Result<std::optional<TraceNumber>> add(const TraceId& id, const PartRecord& part, const PartPlace& place,
                                         const PartFacts& facts);
  Result<void> add_crossing(const TraceId& id, const EarlierParts& earlier);
  // With the time over which its traces go, as they are now; a part that comes later makes it longer.
  Result<void> add_posting_file(std::uint64_t first, std::uint64_t last);
  // `end`: of the last block whose parts are in; `next_block`: the number of the one after it.
  Result<void> commit(std::uint64_t end, std::uint64_t next_block);
  void roll_back();

  std::uint64_t blocks_end() const { return blocks_end_; }
  std::uint64_t traces() const { return traces_; }
  std::uint64_t next_block() const { return next_block_; }
  std::uint64_t next_number() const { return next_; }
  // The number after the last part that a posting file has.
  Result<std::uint64_t> posted_end();
  // From which block on parts are not in a posting file; nothing when all are.
  Result<std::optional<std::uint64_t>> unposted_block();
  // What has been remembered, for the parts to come.
  KnownNames& known() { return known_; }
  Result<std::vector<std::uint64_t>> posting_files();
  Result<void> each_id(const std::function<void(const TraceId&)>& take);
  Result<void> forget_postings();
  Result<std::optional<TraceNumber>> find(const TraceId& id);

 private:
  explicit Catalogue(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  Result<void> each(std::string_view sql, const std::function<void(Statement&)>& take);
  Result<void> prepare();
  Result<void> load();
  Result<ServiceKey> service(const std::string& name, const PartRecord& part);
  Result<void> add_names(const PartRecord& part, const PartFacts& facts);
  Result<bool> extend(TraceNumber trace, const PartRecord& part, const PartPlace& place, const PartFacts& facts);

  std::unique_ptr<Database> db_;
  Statement find_, find_part_, add_trace_, add_part_, widen_, add_service_, find_service_, widen_service_, of_service_,
      move_services_, add_operation_, add_name_, add_value_, add_calls_, add_crossing_, widen_files_, set_meta_;
  struct Service {
    std::int64_t id = 0;
    std::int64_t first_ns = 0, last_ns = 0;
    bool widened = false;  // its times are to be written
  };
  std::unordered_map<std::string, Service> services_;
  std::vector<ServiceKey> of_part_;  // the services of the part that is added
  // Not written yet: {start, id of the parent's service, id of the own one}.
  std::map<std::array<std::int64_t, 3>, std::uint64_t> calls_;
  KnownNames known_;
  // Rows of `meta`.
  std::uint64_t blocks_end_ = 0, next_block_ = 0, next_ = 1, longest_trace_ns_ = 0, traces_ = 0, spans_ = 0,
                last_end_ns_ = 0;
};

}  // namespace tailgate
