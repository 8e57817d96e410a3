// file: kept traces as OTLP JSON lines, one line per trace, in the form of the Collector's file exporter.
//     file: {path: kept-traces.json, rotation: {max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false}}
// A file that would pass max_megabytes is renamed to NAME-2026-05-04T10-11-12.345.EXT (UTC unless localtime) and a new
// one is begun; the oldest backups over max_backups or older than max_days are removed. Unlike the Collector's, it
// rotates without being asked and continues a file that exists. Each batch is written at once; one that fails half way
// is cut off again and tried later, so that no line is torn, lost or doubled.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "base/clock.h"
#include "export/export_config.h"
#include "export/registry.h"
#include "telemetry/log.h"
#include "wire/otlp_json_write.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

struct FileOptions {
  std::string path;
  std::uint64_t bytes_max = 100 << 20;  // of one file; 0: no limit
  std::int64_t days_max = 0;            // 0: no limit
  std::int64_t backups_max = 100;       // 0: no limit
  bool local_time = false;
  bool make_directory = false;
};

constexpr std::size_t kStampSize = std::string_view("2026-05-04T10-11-12.345").size();

std::string stamp(std::uint64_t wall_ns, bool local) {
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  std::tm t{};
  local ? ::localtime_r(&seconds, &t) : ::gmtime_r(&seconds, &t);
  return fmt::format("{:04}-{:02}-{:02}T{:02}-{:02}-{:02}.{:03}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                     t.tm_min, t.tm_sec, wall_ns / 1'000'000 % 1000);
}

class FileExporter final : public BlockingExporter {
 public:
  explicit FileExporter(FileOptions options) : options_(std::move(options)), path_(options_.path) {}
  ~FileExporter() override { close(); }

  Result<void> start() override {
    if (options_.make_directory && path_.has_parent_path()) {
      std::error_code ignored;  // opening the file says what is wrong
      fs::create_directories(path_.parent_path(), ignored);
    }
    if (!open()) return fail(ErrorKind::kIo, fmt::format("{}: cannot open: {}", options_.path, std::strerror(errno)));
    return {};
  }

 protected:
  SendResult write(const Batch& batch) override {
    lines_.clear();
    for (const KeptTracePtr& t : batch.traces) {
      append_otlp_json(lines_, t->otlp);
      lines_ += '\n';
    }
    if (options_.bytes_max != 0 && bytes_ > 0 && bytes_ + lines_.size() > options_.bytes_max) rotate();
    if (fd_ < 0 && !open()) return failed();
    std::string_view rest = lines_;
    while (!rest.empty()) {
      const ssize_t n = ::write(fd_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const SendResult result = failed();
        if (regular_ && ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) close();
        return result;
      }
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    bytes_ += lines_.size();
    if (lines_.capacity() > (8 << 20)) lines_ = {};
    return SendResult::done();
  }

 private:
  SendResult failed() const {
    return SendResult::retry(FailReason::kIo, fmt::format("{}: {}", options_.path, std::strerror(errno)));
  }

  bool open() {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd_ < 0) return false;
    struct stat info {};
    regular_ = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
    bytes_ = regular_ ? static_cast<std::uint64_t>(info.st_size) : 0;
    return true;
  }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  // When renaming fails the file simply grows on, and the next batch tries again.
  void rotate() {
    if (!regular_) return;
    const std::string name =
        path_.stem().string() + "-" + stamp(wall_now_ns(), options_.local_time) + path_.extension().string();
    std::error_code error;
    const fs::path backup = path_.parent_path() / name;
    if (fs::exists(backup, error)) return;  // twice in a millisecond
    fs::rename(path_, backup, error);
    if (error) {
      if (!rename_reported_) log_warn("file not rotated", {{"path", options_.path}, {"detail", error.message()}});
      rename_reported_ = true;
      return;
    }
    rename_reported_ = false;
    close();
    remove_old();
  }

  // Backups sort by name as by age, since the stamp is all that differs.
  void remove_old() {
    const std::string before = path_.stem().string() + "-";
    const std::string after = path_.extension().string();
    const fs::path directory = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
    std::vector<fs::path> backups;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.size() == before.size() + kStampSize + after.size() && name.starts_with(before) &&
          name.ends_with(after) && name[before.size() + 10] == 'T') {
        backups.push_back(it->path());
      }
    }
    std::sort(backups.rbegin(), backups.rend());  // newest first
    const std::uint64_t age_ns = static_cast<std::uint64_t>(options_.days_max) * 86'400'000'000'000ULL;
    const std::string oldest = options_.days_max > 0 ? stamp(wall_now_ns() - age_ns, options_.local_time) : "";
    for (std::size_t i = 0; i < backups.size(); ++i) {
      const bool too_many = options_.backups_max > 0 && i >= static_cast<std::size_t>(options_.backups_max);
      const bool too_old = backups[i].filename().string().substr(before.size(), kStampSize) < oldest;
      if (too_many || too_old) fs::remove(backups[i], error);
    }
  }

  const FileOptions options_;
  const fs::path path_;
  int fd_ = -1;
  bool regular_ = false;
  bool rename_reported_ = false;
  std::uint64_t bytes_ = 0;  // in the open file
  std::string lines_;
};

}  // namespace

ExporterParts read_file_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  FileOptions options;
  options.path = node.text("path");
  if (options.path.empty()) node.error("path", "want the path of a file");
  node.choice("format", "json", {"json"});
  if (!node.text("compression").empty())
    node.child("compression").error("want no compression, it is not supported here");
  if (!node.text("encoding").empty()) node.child("encoding").error("want no encoding, it is not supported here");
  if (node.child("group_by").boolean("enabled", false)) {
    node.child("group_by").error("want no group_by, it is not supported here");
  }
  node.without_effect({"flush_interval", "directory_permissions"});
  if (node.has("append") && !node.boolean("append", true)) {
    node.child("append").notice("a file that exists is continued, never emptied");
  }
  options.make_directory = node.boolean("create_directory", false);
  const ConfigNode rotation = node.child("rotation");
  constexpr std::int64_t kMany = 1'000'000;
  options.bytes_max = static_cast<std::uint64_t>(rotation.integer("max_megabytes", 100, {.min = 0, .max = kMany}))
                      << 20;
  options.days_max = rotation.integer("max_days", 0, {.min = 0, .max = 10'000});
  options.backups_max = rotation.integer("max_backups", 100, {.min = 0, .max = kMany});
  options.local_time = rotation.boolean("localtime", false);
  rotation.finish();

  parts.queue.bytes_max = defaults.queue_bytes_max;
  parts.queue.in_flight_max = 1;
  parts.queue.retry.initial_interval = std::chrono::seconds(1);
  read_queue(node, parts.queue);
  parts.queue.in_flight_max = 1;  // one file, one writer
  if (!options.path.empty()) parts.exporter = std::make_unique<FileExporter>(std::move(options));
  return parts;
}

}  // namespace tailgate
