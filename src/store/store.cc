// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <utility>

#include "base/mutex.h"
#include "store/catalogue_sum.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDeleting = "deleting-";

// NUMBER-TIME, so that the names sort by age and say it.
std::string folder_name(std::uint64_t number, std::uint64_t created_ns) {
  const auto seconds = static_cast<std::time_t>(created_ns / 1'000'000'000);
  return fmt::format("{:010}-{:%Y%m%dT%H%M%SZ}", number, fmt::gmtime(seconds));
}

std::uint64_t number_of(const std::string& folder) {
  const std::string name = fs::path(folder).filename();
  std::uint64_t n = 0;
  std::from_chars(name.data(), name.data() + 10, n);
  return n;
}

void tell(const std::string& folder, const PartitionRecovery& found, std::vector<std::string>& notices) {
  if (found.blocks.torn_bytes != 0) {
    notices.push_back(fmt::format("cut off {} bytes at the end of '{}': the write of a block had not ended",
                                  found.blocks.torn_bytes, block_path(folder)));
  }
  if (found.blocks.damaged != 0) {
    notices.push_back(fmt::format("skipped {} damaged bytes in '{}'; the traces in them are lost",
                                  found.blocks.damaged_bytes, block_path(folder)));
  }
  if (found.catalogue_made_again) {
    notices.push_back(fmt::format("made '{}' and its index again from the blocks, since they were missing or damaged",
                                  catalogue_path(folder)));
  }
}

}  // namespace

class LivePartitions final : public PartitionSource {
 public:
  Result<std::vector<std::shared_ptr<Partition>>> partitions() override {
    const MutexLock lock(mutex_);
    return partitions_;
  }
  void set(std::vector<std::shared_ptr<Partition>> partitions) {
    const MutexLock lock(mutex_);
    partitions_ = std::move(partitions);
  }

 private:
  Mutex mutex_;
  std::vector<std::shared_ptr<Partition>> partitions_ TAILGATE_GUARDED_BY(mutex_);
};

Store::Store(const StoreOptions& options) : options_(options), live_(std::make_shared<LivePartitions>()) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options, std::uint64_t now_ns,
                                           std::vector<std::string>& notices) {
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) {
    return fail(ErrorKind::kIo, fmt::format("cannot make the directory '{}': {}. Make it, and give it to the user of "
                                            "the daemon",
                                            options.directory, error.message()));
  }
  auto lock = DirectoryLock::take(options.directory);
  if (!lock) return tl::unexpected(lock.error());
  std::unique_ptr<Store> store(new Store(options));
  store->lock_ = std::move(*lock);
  if (auto done = store->open_folders(notices); !done) return tl::unexpected(done.error());
  store->publish();
  if (auto done = store->keep_bounds(now_ns); !done) return tl::unexpected(done.error());
  return store;
}

Result<void> Store::open_folders(std::vector<std::string>& notices) {
  std::error_code error;
  std::vector<fs::path> deleting;
  for (fs::directory_iterator at(options_.directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().starts_with(kDeleting)) deleting.push_back(at->path());
  }
  for (const fs::path& path : deleting) fs::remove_all(path, error);
  const auto folders = partition_folders(options_.directory);
  if (!folders) return tl::unexpected(folders.error());
  for (const std::string& folder : *folders) {
    next_folder_ = number_of(folder) + 1;
    if (folder == folders->back()) {
      folder_ = folder;
      if (auto done = open_writer(0, notices); !done) return done;
      continue;
    }
    auto finished = open_finished(folder, notices);
    if (!finished) return tl::unexpected(finished.error());
    finished_.push_back(std::move(*finished));
  }
  return {};
}

Result<Store::Finished> Store::open_finished(const std::string& folder, std::vector<std::string>& notices) {
  Finished out;
  auto filter = IdFilter::load(filter_path(folder));
  if (!filter || !partition_whole(folder)) {
    auto writer = open_partition(folder, 0, notices);
    if (!writer) return tl::unexpected(writer.error());
    filter = (*writer)->finish();
    if (!filter) return tl::unexpected(filter.error());
  }
  out.partition = std::make_shared<Partition>(folder);
  const auto blocks = out.partition->blocks();
  if (!blocks) return tl::unexpected(blocks.error());
  out.created_ns = (*blocks)->created_ns();
  out.filter = std::move(*filter);
  out.bytes = folder_bytes(folder);
  if (const auto db = out.partition->connect()) {
    auto rows = (*db)->prepare("SELECT value FROM meta WHERE name='traces'");
    if (rows && rows->step().value_or(false)) out.traces = from_sql(rows->number(0));
  }
  return out;
}

PartitionOptions Store::partition_options(std::uint64_t created_ns) {
  PartitionOptions options;
  options.codec = options_.codec;
  options.created_ns = created_ns;
  options.parts_per_posting_file = options_.parts_per_posting_file;
  options.earlier = [this](const TraceId& id) { return earlier(id); };
  return options;
}

Result<std::unique_ptr<PartitionWriter>> Store::open_partition(const std::string& folder, std::uint64_t created_ns,
                                                               std::vector<std::string>& notices) {
  PartitionRecovery found;
  auto writer = PartitionWriter::open(folder, partition_options(created_ns), &found);
  if (!writer) return writer;
  tell(folder, found, notices);
  damaged_ += found.blocks.damaged;
  catalogues_ += found.catalogue_made_again ? 1 : 0;
  torn_ += found.blocks.torn_bytes;
  return writer;
}

Result<void> Store::open_writer(std::uint64_t created_ns, std::vector<std::string>& notices) {
  auto opened = open_partition(folder_, created_ns, notices);
  if (!opened) return tl::unexpected(opened.error());
  writer_ = std::move(*opened);
  publish();
  return {};
}

std::optional<EarlierParts> Store::earlier(const TraceId& id) const {
  std::optional<EarlierParts> out;
  for (const Finished& f : finished_) {
    if (!f.filter.may_have(id)) continue;
    const auto db = f.partition->connect();
    if (!db) continue;
    auto rows = (*db)->prepare("SELECT start_ns, end_ns FROM traces WHERE trace_id=?");
    if (!rows || !rows->bind_blob(1, id.view()).step().value_or(false)) continue;
    const std::uint64_t start = from_sql(rows->number(0)), end = from_sql(rows->number(1));
    out = out ? EarlierParts{std::min(out->start_ns, start), std::max(out->end_ns, end)} : EarlierParts{start, end};
  }
  return out;
}

Result<void> Store::append(std::span<const KeptTracePtr> traces, std::uint64_t now_ns) {
  Result<void> done = append_in_place(traces, now_ns);
  // Asked after the sync, so that nothing is reported that went into files which nobody can find.
  if (!lock_.in_place() || (writer_ && !writer_->in_place())) {
    return fail(ErrorKind::kUnavailable,
                fmt::format("'{}' or files in it were removed or moved while the store was in use; the traces in them "
                            "are not found any more. The store is opened anew",
                            options_.directory));
  }
  return done;
}

Result<void> Store::append_in_place(std::span<const KeptTracePtr> traces, std::uint64_t now_ns) {
  std::vector<std::string> notices;
  if (writer_ && writer_->stale()) writer_.reset();
  if (!writer_ && !folder_.empty()) {
    if (auto done = open_writer(now_ns, notices); !done) return done;
  }
  if (auto done = keep_bounds(now_ns); !done) return done;
  if (!writer_) {
    folder_ = fmt::format("{}/{}", options_.directory, folder_name(next_folder_++, now_ns));
    if (auto done = open_writer(now_ns, notices); !done) return done;
  }
  Result<void> done = writer_->append(traces);
  count();
  return done;
}

Result<void> Store::finish_partition() {
  const std::uint64_t traces = writer_->traces();
  auto filter = writer_->finish();
  if (!filter) return tl::unexpected(filter.error());
  const std::string folder = writer_->partition()->folder();
  const std::uint64_t created = writer_->created_ns();
  writer_.reset();
  folder_.clear();
  finished_.push_back({std::make_shared<Partition>(folder), std::move(*filter), folder_bytes(folder), traces, created});
  publish();
  return {};
}

Result<void> Store::remove_oldest() {
  const fs::path folder = finished_.front().partition->folder();
  const fs::path gone = folder.parent_path() / (std::string(kDeleting) + folder.filename().string());
  std::error_code error;
  fs::rename(folder, gone, error);
  if (error && error != std::errc::no_such_file_or_directory) {  // somebody may have deleted it by hand
    return fail(ErrorKind::kIo, fmt::format("cannot delete '{}': {}", folder.string(), error.message()));
  }
  finished_.erase(finished_.begin());
  publish();
  ++deleted_;
  fs::remove_all(gone, error);  // what stays goes at the next start
  return {};
}

Result<void> Store::keep_bounds(std::uint64_t now_ns) {
  const std::uint64_t open = writer_ ? folder_bytes(writer_->partition()->folder()) : 0;
  std::uint64_t bytes = open;
  for (const Finished& f : finished_) bytes += f.bytes;
  // All that is in a partition came before the next one was begun; in the last one, within its share of the time.
  const auto ended = [&] {
    if (finished_.size() > 1) return finished_[1].created_ns;
    return writer_ ? writer_->created_ns() : finished_[0].created_ns + options_.age_max_ns / kPartitionShare;
  };
  while (!finished_.empty() && (bytes > options_.bytes_max || ended() + options_.age_max_ns <= now_ns)) {
    bytes -= finished_.front().bytes;
    if (auto done = remove_oldest(); !done) return done;
  }
  if (writer_ && !writer_->empty() && !writer_->stale() &&
      (open >= options_.bytes_max / kPartitionShare ||
       now_ns >= writer_->created_ns() + options_.age_max_ns / kPartitionShare)) {
    if (auto done = finish_partition(); !done) return done;
  }
  count();
  return {};
}

Result<void> Store::check_next(std::vector<std::string>& notices) {
  for (std::size_t i = 0; i != finished_.size(); ++i) {
    const std::size_t at = check_at_++ % finished_.size();
    if (!finished_[at].checked) return check(at, notices);
  }
  return {};
}

Result<void> Store::check(std::size_t at, std::vector<std::string>& notices) {
  Finished& f = finished_[at];
  const std::string folder = f.partition->folder();
  std::error_code error;
  if (!fs::exists(folder, error)) {  // somebody has deleted it
    finished_.erase(finished_.begin() + static_cast<std::ptrdiff_t>(at));
    publish();
    return {};
  }
  const Result<CatalogueState> state = check_catalogue(folder);
  f.checked = true;  // whatever comes of it, the others have their turn
  if (!state) return tl::unexpected(state.error());
  if (*state == CatalogueState::kWhole) return {};
  if (*state == CatalogueState::kUnsealed && partition_whole(folder)) {
    f.checked = seal_catalogue(folder).has_value();  // or somebody reads it just now
    return {};
  }
  notices.push_back(fmt::format("'{}' is damaged: its checksum is not the one noted. It is made again from the blocks",
                                catalogue_path(folder)));
  remove_derived(folder);
  f.checked = false;  // until it is whole
  auto again = open_finished(folder, notices);
  if (!again) return tl::unexpected(again.error());
  again->checked = true;
  f = std::move(*again);
  ++catalogues_;
  publish();
  return {};
}

void Store::count() {
  std::uint64_t bytes = writer_ ? folder_bytes(writer_->partition()->folder()) : 0;
  std::uint64_t traces = writer_ ? writer_->traces() : 0;
  for (const Finished& f : finished_) {
    bytes += f.bytes;
    traces += f.traces;
  }
  bytes_ = bytes;
  traces_ = traces;
  partitions_ = finished_.size() + (writer_ ? 1 : 0);
}

void Store::publish() {
  std::vector<std::shared_ptr<Partition>> all;
  for (const Finished& f : finished_) all.push_back(f.partition);
  if (writer_) all.push_back(writer_->partition());
  live_->set(std::move(all));
}

std::shared_ptr<PartitionSource> Store::source() const { return live_; }

StoreCounts Store::counts() const { return {bytes_, traces_, partitions_, deleted_, damaged_, catalogues_, torn_}; }

}  // namespace tailgate
