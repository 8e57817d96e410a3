// SPDX-License-Identifier: Apache-2.0
#include "store/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/mutex.h"
#include "store/catalogue.h"
#include "store/search.h"

namespace tailgate {
namespace {

// The partitions of a directory that another process writes.
class DirectorySource final : public PartitionSource {
 public:
  explicit DirectorySource(std::string directory) : directory_(std::move(directory)) {}

  Result<std::vector<std::shared_ptr<Partition>>> partitions() override {
    auto folders = partition_folders(directory_);
    if (!folders) return tl::unexpected(folders.error());
    const MutexLock lock(mutex_);
    std::map<std::string, std::shared_ptr<Partition>> found;
    std::vector<std::shared_ptr<Partition>> out;
    for (const std::string& folder : *folders) {
      const auto known = known_.find(folder);
      std::shared_ptr<Partition> partition =
          known == known_.end() ? std::make_shared<Partition>(folder) : known->second;
      if (known == known_.end()) {
        const Result<bool> ready = has_tables(*partition);
        if (!ready) return tl::unexpected(ready.error());
        if (!*ready) continue;
      }
      out.push_back(found[folder] = std::move(partition));
    }
    known_ = std::move(found);
    return out;
  }

 private:
  // False for a partition that has only been begun, or goes away meanwhile.
  static Result<bool> has_tables(Partition& partition) {
    // The files are looked at before they are opened: the writer may make them between the two, and what it had not yet
    // made is no fault.
    std::error_code error;
    const std::string blocks = block_path(partition.folder());
    if (!std::filesystem::exists(catalogue_path(partition.folder()), error)) return false;
    const std::uintmax_t size = std::filesystem::file_size(blocks, error);
    if (error || size < kBlockFileHeaderBytes) return false;
    const auto db = partition.connect();
    if (!db && db.error().kind == ErrorKind::kUnavailable) return false;
    if (!db) return tl::unexpected(db.error());
    auto tables = (*db)->prepare("SELECT 1 FROM sqlite_master WHERE name='posting_files'");
    if (!tables) return tl::unexpected(tables.error());
    return tables->step();
  }

  const std::string directory_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Partition>> known_ TAILGATE_GUARDED_BY(mutex_);
};

// Runs `sql` in each partition and hands over the rows.
template <class Bind, class Take>
Result<void> each_row(PartitionSource& source, std::string_view sql, const Bind& bind, const Take& take) {
  const auto partitions = source.partitions();
  if (!partitions) return tl::unexpected(partitions.error());
  for (const std::shared_ptr<Partition>& partition : *partitions) {
    const auto db = partition->connect();
    if (!db && db.error().kind == ErrorKind::kUnavailable) continue;
    if (!db) return tl::unexpected(db.error());
    auto rows = (*db)->prepare(sql);
    if (!rows) return tl::unexpected(rows.error());
    bind(*rows);
    while (true) {
      const Result<bool> row = rows->step();
      if (!row) return tl::unexpected(row.error());
      if (!*row) break;
      take(*rows);
    }
  }
  return {};
}

template <class Set>
std::vector<typename Set::value_type> first_of(const Set& set, std::size_t limit) {
  return {set.begin(), std::next(set.begin(), static_cast<std::ptrdiff_t>(std::min(limit, set.size())))};
}

// What is greater than every text with this prefix.
std::string after_prefix(const std::string& prefix) { return prefix + "\xff"; }
std::int64_t scope_number(std::optional<AttributeScope> scope) {
  return scope ? static_cast<std::int64_t>(*scope) : -1;
}
std::int64_t limit_number(std::size_t limit) { return to_sql(limit); }

// A damaged catalogue is not the fault of who asks.
tl::unexpected<Error> failed(const Error& error) {
  if (error.kind != ErrorKind::kBadInput) return tl::unexpected(error);
  return fail(ErrorKind::kIo, error.text + ". The next start of the daemon makes a damaged catalogue again");
}

}  // namespace

std::string parts_lost_text(const StoredTrace& trace) {
  return fmt::format("Trace {} lacks spans: blocks with {} parts of it are damaged.", trace.id.hex(), trace.parts_lost);
}

std::string SearchOutcome::damage() const {
  if (damaged_files.empty()) return {};
  std::string out = fmt::format("'{}' is damaged", *damaged_files.begin());
  if (damaged_files.size() > 1) out += fmt::format(", and so are {} other files", damaged_files.size() - 1);
  return out + (damaged == 0 ? ". The search took longer, and its answer is whole."
                             : fmt::format(". {} traces are left out or lack spans.", damaged));
}

StoreReader::StoreReader(std::shared_ptr<PartitionSource> source) : source_(std::move(source)) {}
StoreReader::~StoreReader() = default;

std::shared_ptr<PartitionSource> no_partitions() {
  class None final : public PartitionSource {
    Result<std::vector<std::shared_ptr<Partition>>> partitions() override { return {}; }
  };
  return std::make_shared<None>();
}

Result<StoredTrace> StoreReader::trace(const TraceId& id) {
  Result<StoredTrace> stored = stored_trace(id);
  if (!other_ || (stored && !stored->otlp.empty())) return stored;
  Result<StoredTrace> other = other_(id);
  return other && other->otlp.empty() ? stored : other;
}

Result<StoredTrace> StoreReader::stored_trace(const TraceId& id) {
  const auto partitions = source_->partitions();
  if (!partitions) return failed(partitions.error());
  std::vector<std::unique_ptr<PartitionView>> views;
  std::vector<TracePlace> places;
  for (const std::shared_ptr<Partition>& partition : *partitions) {
    auto db = partition->connect();
    if (!db && db.error().kind == ErrorKind::kUnavailable) continue;
    if (!db) return failed(db.error());
    const auto number = find_trace(**db, id);
    if (!number) return failed(number.error());
    if (!*number) continue;
    views.emplace_back(new PartitionView{partition, std::move(*db)});
    places.push_back({views.back().get(), **number});
  }
  StoredTrace out;
  SearchOutcome outcome;
  TraceGatherer gatherer;
  const Result<bool> read = gatherer.gather(id, places, out, outcome);
  if (!read) return failed(read.error());
  if (!*read && out.parts_lost != 0) {
    return fail(ErrorKind::kIo, fmt::format("the store has trace {}, and the block it is in is damaged", id.hex()));
  }
  return out;
}

Result<SearchOutcome> StoreReader::search(const SearchRequest& request,
                                          const std::function<bool(const StoredTrace&)>& take) {
  const auto partitions = source_->partitions();
  if (!partitions) return failed(partitions.error());
  Result<SearchOutcome> outcome = Search(request).run(*partitions, take);
  if (!outcome) return failed(outcome.error());
  return outcome;
}

Result<std::vector<std::string>> StoreReader::services(std::uint64_t from_ns, std::uint64_t to_ns) {
  std::set<std::string> out;
  auto done = each_row(
      *source_, "SELECT name FROM services WHERE first_ns<=?1 AND last_ns>=?2",
      [&](Statement& s) { s.bind(1, to_sql(to_ns)).bind(2, to_sql(from_ns)); },
      [&](Statement& s) { out.emplace(s.text(0)); });
  if (!done) return failed(done.error());
  return first_of(out, out.size());
}

Result<std::vector<StoredOperation>> StoreReader::operations(const std::string& service,
                                                             std::optional<std::uint32_t> kind) {
  std::set<StoredOperation> out;
  auto done = each_row(
      *source_, "SELECT name, kind FROM operations WHERE (?1='' OR service=?1) AND (?2<0 OR kind=?2)",
      [&](Statement& s) { s.bind(1, service).bind(2, kind ? std::int64_t{*kind} : -1); },
      [&](Statement& s) {
        out.insert({std::string(s.text(0)), static_cast<std::uint32_t>(s.number(1))});
      });
  if (!done) return failed(done.error());
  return first_of(out, out.size());
}

Result<std::vector<std::string>> StoreReader::attribute_names(std::optional<AttributeScope> scope,
                                                              const std::string& prefix, std::size_t limit) {
  std::set<std::string> out;
  const std::string end = after_prefix(prefix);
  auto done = each_row(
      *source_,
      "SELECT DISTINCT name FROM attribute_names WHERE name>=?1 AND name<?2 AND (?3<0 OR scope=?3) ORDER BY name "
      "LIMIT ?4",
      [&](Statement& s) { s.bind(1, prefix).bind(2, end).bind(3, scope_number(scope)).bind(4, limit_number(limit)); },
      [&](Statement& s) { out.emplace(s.text(0)); });
  if (!done) return failed(done.error());
  return first_of(out, limit);
}

Result<std::vector<std::string>> StoreReader::attribute_values(std::optional<AttributeScope> scope,
                                                               const std::string& name, const std::string& prefix,
                                                               std::size_t limit) {
  std::set<std::string> out;
  const std::string end = after_prefix(prefix);
  auto done = each_row(
      *source_,
      "SELECT DISTINCT value FROM attribute_values WHERE name=?5 AND value>=?1 AND value<?2 AND (?3<0 OR scope=?3) "
      "ORDER BY value LIMIT ?4",
      [&](Statement& s) {
        s.bind(1, prefix).bind(2, end).bind(3, scope_number(scope)).bind(4, limit_number(limit)).bind(5, name);
      },
      [&](Statement& s) { out.emplace(s.text(0)); });
  if (!done) return failed(done.error());
  return first_of(out, limit);
}

Result<std::vector<StoredDependency>> StoreReader::dependencies(std::uint64_t from_ns, std::uint64_t to_ns) {
  std::map<std::pair<std::string, std::string>, std::uint64_t> sums;
  constexpr std::uint64_t kStep = 600'000'000'000;
  auto done = each_row(
      *source_, "SELECT parent, child, calls FROM calls WHERE start_ns>=?1 AND start_ns<=?2",
      [&](Statement& s) { s.bind(1, to_sql(from_ns / kStep * kStep)).bind(2, to_sql(to_ns)); },
      [&](Statement& s) {
        sums[{std::string(s.text(0)), std::string(s.text(1))}] += from_sql(s.number(2));
      });
  if (!done) return failed(done.error());
  std::vector<StoredDependency> out;
  for (const auto& [services, calls] : sums) out.push_back({services.first, services.second, calls});
  return out;
}

Result<StoreStatus> StoreReader::status() {
  StoreStatus out;
  const auto partitions = source_->partitions();
  if (!partitions) return failed(partitions.error());
  for (const std::shared_ptr<Partition>& partition : *partitions) {
    const auto db = partition->connect();
    if (!db && db.error().kind == ErrorKind::kUnavailable) continue;
    if (!db) return failed(db.error());
    ++out.partitions;
    out.bytes += folder_bytes(partition->folder());
    const Result<std::int64_t> traces = read_meta(**db, "traces"), spans = read_meta(**db, "spans"),
                               end = read_meta(**db, "last_end_ns");
    for (const Result<std::int64_t>* n : {&traces, &spans, &end}) {
      if (!*n) return failed(n->error());
    }
    auto first = (*db)->prepare("SELECT start_ns FROM traces ORDER BY start_ns LIMIT 1");
    if (!first) return failed(first.error());
    const Result<bool> row = first->step();
    if (!row) return failed(row.error());
    if (!*row) continue;
    const std::uint64_t start = from_sql(first->number(0));
    out.start_ns = out.traces == 0 ? start : std::min(out.start_ns, start);
    out.end_ns = std::max(out.end_ns, from_sql(*end));
    out.traces += from_sql(*traces);
    out.spans += from_sql(*spans);
  }
  return out;
}

Result<std::unique_ptr<StoreReader>> open_store(const std::string& directory) {
  auto source = std::make_shared<DirectorySource>(directory);
  const auto folders = partition_folders(directory);
  if (!folders) return tl::unexpected(folders.error());
  for (const std::string& folder : *folders) {  // a newer version is told at once
    const auto file = BlockReader::open(block_path(folder));
    if (!file && file.error().text.starts_with("expected version")) return tl::unexpected(file.error());
  }
  return std::make_unique<StoreReader>(std::move(source));
}

}  // namespace tailgate
