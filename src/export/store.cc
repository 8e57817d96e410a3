// SPDX-License-Identifier: Apache-2.0
// store: kept traces in a directory of this machine, where the daemon's pages and `tailgate query` find them.
//     store: {directory: /var/lib/tailgate/store, max_bytes: 10GiB, max_age: 168h, compression: zstd}
// A batch is done when it is synced. A directory that cannot be opened does not keep the daemon from starting: it is
// tried again with every batch, and the traces wait.
#include <utility>

#include "base/mutex.h"
#include "export/export_config.h"
#include "export/registry.h"
#include "store/reader.h"
#include "store/store.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kLookNs = 10'000'000'000;
constexpr std::uint64_t kBytesMin = std::uint64_t{16} << 20;

// What readers ask from the start on, whenever the store is opened.
class StoreWhenOpen final : public PartitionSource {
 public:
  Result<std::vector<std::shared_ptr<Partition>>> partitions() override {
    std::shared_ptr<PartitionSource> source;
    {
      const MutexLock lock(mutex_);
      if (!source_) return fail(ErrorKind::kUnavailable, why_);
      source = source_;
    }
    return source->partitions();
  }
  void opened(std::shared_ptr<PartitionSource> source) {
    const MutexLock lock(mutex_);
    source_ = std::move(source);
  }
  void failed(std::string why) {
    const MutexLock lock(mutex_);
    source_.reset();
    why_ = std::move(why);
  }

 private:
  Mutex mutex_;
  std::shared_ptr<PartitionSource> source_ TAILGATE_GUARDED_BY(mutex_);
  std::string why_ TAILGATE_GUARDED_BY(mutex_) = "the store has not been opened yet";
};

class StoreExporter final : public BlockingExporter {
 public:
  explicit StoreExporter(StoreOptions options)
      : options_(std::move(options)),
        source_(std::make_shared<StoreWhenOpen>()),
        reader_(std::make_shared<StoreReader>(source_)) {}

  Result<void> start() override {
    if (const Result<void> opened = open(); !opened) {
      log_error("the store cannot be opened, its traces wait until it can", {{"detail", opened.error().text}});
    }
    return {};
  }
  std::shared_ptr<StoreReader> stored() const override { return reader_; }
  std::optional<StoreCounts> store_counts() const override {
    const MutexLock lock(mutex_);
    return store_ ? store_->counts() : StoreCounts{};
  }

 protected:
  SendResult write(const Batch& batch) override {
    Result<void> done = open();
    if (done) done = store_->append(batch.traces, wall_now_ns());
    if (done) return SendResult::done();
    if (store_ && done.error().kind == ErrorKind::kUnavailable) close(done.error().text);
    if (done.error().kind == ErrorKind::kPermanent) {
      return SendResult::permanent(FailReason::kPermanent, done.error().text, SendResult::About::kSize);
    }
    return SendResult::retry(FailReason::kIo, done.error().text);
  }

  void rest() override {
    const std::uint64_t now = wall_now_ns();
    if (!store_ || now < looked_ns_ + kLookNs) return;
    looked_ns_ = now;
    if (const Result<void> done = store_->keep_bounds(now); !done) {
      log_warn("old traces of the store cannot be deleted, it is tried again", {{"detail", done.error().text}});
    }
    std::vector<std::string> notices;
    if (const Result<void> done = store_->check_next(notices); !done) notices.push_back(done.error().text);
    for (const std::string& notice : notices) log_warn("store", {{"detail", notice}});
  }

 private:
  Result<void> open() {
    if (store_) return {};
    std::vector<std::string> notices;
    auto store = Store::open(options_, wall_now_ns(), notices);
    for (const std::string& notice : notices) log_warn("store", {{"detail", notice}});
    if (!store) {
      source_->failed(store.error().text);
      return tl::unexpected(store.error());
    }
    const MutexLock lock(mutex_);
    store_ = std::move(*store);
    source_->opened(store_->source());
    return {};
  }

  void close(const std::string& why) {
    log_error("store", {{"detail", why}});
    source_->failed(why);
    const MutexLock lock(mutex_);
    store_.reset();
  }

  const StoreOptions options_;
  const std::shared_ptr<StoreWhenOpen> source_;
  const std::shared_ptr<StoreReader> reader_;
  std::uint64_t looked_ns_ = 0;  // for what is too old
  mutable Mutex mutex_;          // for who asks for the counts while store_ is being set
  std::unique_ptr<Store> store_;
};

}  // namespace

ExporterParts read_store_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  StoreOptions options;
  options.directory = node.text("directory");
  if (options.directory.empty()) node.error("directory", "expected the path of a directory");
  options.bytes_max = node.bytes("max_bytes", options.bytes_max);
  if (options.bytes_max < kBytesMin) node.error("max_bytes", "expected at least 16MiB");
  const Duration age = node.duration("max_age", std::chrono::hours(168), std::chrono::minutes(1));
  options.age_max_ns = static_cast<std::uint64_t>(age.count());
  const std::string codec = node.choice("compression", "zstd", {"zstd", "lz4", "none"});
  options.codec = codec == "zstd" ? BlockCodec::kZstd : codec == "lz4" ? BlockCodec::kLz4 : BlockCodec::kPlain;

  parts.queue.bytes_max = defaults.queue_bytes_max;
  parts.queue.divide = false;
  // A commit costs two syncs and some pages of the catalogue, however many traces it has.
  parts.queue.batch_bytes = 8 << 20;
  parts.queue.flush_timeout = std::chrono::seconds(1);
  parts.queue.retry.initial_interval = std::chrono::seconds(1);
  read_queue(node, parts.queue);
  parts.queue.in_flight_max = 1;  // one directory, one writer
  parts.directory = options.directory;
  if (!options.directory.empty()) parts.exporter = std::make_unique<StoreExporter>(std::move(options));
  return parts;
}

}  // namespace tailgate
