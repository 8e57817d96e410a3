// SPDX-License-Identifier: Apache-2.0
#include "export/queue/kept_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/same_file.h"
#include "export/queue/kept_file.h"

namespace tailgate {
namespace {

// LMDB writes what a change touches to other pages: a leaf for each record and its marks, the branches above, the list
// of free pages.
constexpr std::size_t kPagesPerChange = 4;
constexpr std::size_t kReservePages = kGiveBackMax * kPagesPerChange;

// At a start nothing else is in memory yet, so this may be more than a commit of the running daemon.
constexpr std::size_t kTakeOverBytes = 8 << 20;

struct File {
  int fd = -1;
  std::uint64_t bytes = 0;
  explicit File(const std::string& path) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info {};
    if (fd >= 0 && ::fstat(fd, &info) == 0) bytes = static_cast<std::uint64_t>(info.st_size);
  }
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

// Aborts what is not committed.
struct Transaction {
  Transaction(MDB_env* env, unsigned flags) : code(mdb_txn_begin(env, nullptr, flags, &get)) {}
  ~Transaction() {
    if (get != nullptr) mdb_txn_abort(get);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  int commit() { return mdb_txn_commit(std::exchange(get, nullptr)); }

  MDB_txn* get = nullptr;
  const int code;
};

constexpr std::string_view kRemoved =
    "{}: the directory or a file in it was removed or moved while the queue was in use. It is made anew; what waited "
    "in "
    "the old one and was not read yet is lost";

class Lmdb final : public KeptLog {
 public:
  Lmdb(std::string directory, std::size_t bytes_max) : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  ~Lmdb() override {
    close_env();
    if (lock_ >= 0) ::close(lock_);
  }

  Result<Damage> open(const Each& each) override {
    if (Result<void> owned = own_directory(); !owned) return tl::unexpected(owned.error());
    Result<Damage> damage = mend();
    if (!damage) return damage;
    if (Result<void> env = open_env(); !env) return tl::unexpected(env.error());
    const Transaction txn(env_, MDB_RDONLY);
    if (txn.code != 0) return tl::unexpected(failed("read", txn.code).error());
    if (const int code = read_all(txn.get, each); code != 0) return tl::unexpected(failed("read", code).error());
    return damage;
  }

  // After a write that failed at the wrong moment LMDB refuses everything until its files are opened anew.
  Result<void> commit(const Writes& writes) override {
    const Result<bool> room = find_room(writes);
    if (room && !*room) return fail(ErrorKind::kIo, fmt::format("{}: {}", directory_, std::strerror(ENOSPC)));
    Result<void> done;
    if (!room) {
      done = tl::unexpected(room.error());
    } else {
      const std::shared_lock lock(env_mutex_);
      done = env_ == nullptr ? failed("open", MDB_PANIC) : try_commit(writes);
      if (done && !in_place()) done = fail(ErrorKind::kIo, fmt::format(kRemoved, directory_));
    }
    if (done) return done;
    const std::lock_guard lock(env_mutex_);
    close_env();
    // Holes may be too small for what comes, and even giving room back takes some.
    if (full_ && grows_) map_bytes_ = std::min(map_bytes_ + map_bytes_most_ / 8, map_bytes_most_);
    full_ = false;
    Result<void> again = in_place() ? Result<void>() : own_directory();
    if (again) again = open_env();
    if (!again) close_env();  // until the next commit
    return done;
  }

  Result<std::string> read(std::uint64_t number) override {
    const std::shared_lock lock(env_mutex_);
    if (env_ == nullptr) return tl::unexpected(failed("open", MDB_PANIC).error());
    const Transaction txn(env_, MDB_RDONLY);
    if (txn.code != 0) return tl::unexpected(failed("begin", txn.code).error());
    MDB_val key{sizeof number, &number}, value{};
    if (const int code = mdb_get(txn.get, records_, &key, &value); code != 0) {
      Error error = failed("read", code).error();
      if (code == MDB_NOTFOUND || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND) error.kind = ErrorKind::kBadInput;
      return tl::unexpected(std::move(error));
    }
    return std::string(static_cast<const char*>(value.mv_data), value.mv_size);
  }

 private:
  // Makes the directory, and holds the lock on it.
  Result<void> own_directory() {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) return fail(ErrorKind::kIo, fmt::format("{}: {}", directory_, error.message()));
    if (lock_ >= 0) ::close(lock_);
    lock_ = ::open((directory_ + "/owner").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock_ < 0) return fail(ErrorKind::kIo, fmt::format("{}/owner: {}", directory_, std::strerror(errno)));
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
    ::close(lock_);
    lock_ = -1;  // in_place() must not take it for ours
    return fail(ErrorKind::kIo, fmt::format("{}: another process has this queue open", directory_));
  }

  // False once somebody has removed or moved the directory or its files: what is written then is gone with the process.
  bool in_place() const {
    int fd = -1;
    if (env_ != nullptr && mdb_env_get_fd(env_, &fd) != 0) return true;
    return is_still_at(lock_, (directory_ + "/owner").c_str()) &&
           (env_ == nullptr || is_still_at(fd, (directory_ + "/data.mdb").c_str()));
  }

  // Puts a new file in the place of one that is damaged, with what can be read of it. Whenever the process dies on the
  // way, the next start finds either the damaged file or the new one.
  Result<Damage> mend() {
    const std::string path = directory_ + "/data.mdb", fresh = directory_ + "/rebuilt";
    const File file(path);
    if (file.fd < 0) {
      if (errno == ENOENT) return Damage();
      return fail(ErrorKind::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
    }
    const KeptFile found = look_through(file.fd, file.bytes);
    if (found.fault.empty()) return Damage();
    Damage damage;
    damage.cause = found.fault;
    damage.lost = found.unreadable;
    std::error_code error;
    std::filesystem::remove_all(fresh, error);
    {
      Lmdb log(fresh, bytes_max_ + file.bytes);
      if (Result<Damage> opened = log.open([](std::uint64_t, ByteView, const std::vector<std::uint64_t>&) {}); !opened)
        return opened;
      take_over(file.fd, found, log, damage);
    }
    damage.set_aside = fmt::format("{}/damaged-{:%Y-%m-%dT%H-%M-%SZ}", directory_,
                                   fmt::gmtime(static_cast<std::time_t>(wall_now_ns() / 1'000'000'000)));
    std::filesystem::create_directory(damage.set_aside, error);
    const std::string aside = damage.set_aside + "/data.mdb";
    if (!error) std::filesystem::create_hard_link(path, aside, error);
    if (error) std::filesystem::rename(path, aside, error);  // a file system without hard links
    if (!error) std::filesystem::rename(fresh + "/data.mdb", path, error);
    if (error) {
      return fail(ErrorKind::kIo,
                  fmt::format("{}: {}, and it cannot be moved to {}: {}", path, found.fault, aside, error.message()));
    }
    std::filesystem::remove_all(fresh, error);
    return damage;
  }

  // The records get new numbers, since the old ones may be wrong.
  static void take_over(int fd, const KeptFile& found, Lmdb& log, Damage& damage) {
    Writes writes;
    std::size_t bytes = 0;
    std::uint64_t number = 0;
    auto mark = found.marks.begin();
    const auto write = [&] {
      const std::size_t count = writes.puts.size();
      (log.commit(writes) ? damage.taken_over : damage.lost) += count;
      writes = {};
      bytes = 0;
    };
    for (const KeptFile::Record& record : found.records) {
      std::optional<std::string> text = read_record(fd, record);
      if (!text) {
        ++damage.lost;
        continue;
      }
      bytes += text->size();
      writes.puts.emplace_back(++number, std::move(*text));
      while (mark != found.marks.end() && mark->first < record.number) ++mark;
      for (; mark != found.marks.end() && mark->first == record.number; ++mark)
        writes.marks.emplace_back(number, mark->second);
      if (bytes >= kTakeOverBytes) write();
    }
    if (!writes.puts.empty()) write();
  }

  // LMDB needs pages for every change, also for a removal, so on a disk that is full to the last page nothing could
  // ever be given back. Puts therefore leave a reserve: they are written when their room and the reserve can be
  // allocated behind the last page in use, or when as much is free inside the file. False when neither is so; then
  // nothing has changed.
  Result<bool> find_room(const Writes& writes) {
    if (env_ == nullptr) return true;  // commit() says so
    bool grows = true;
    if (!writes.puts.empty()) {
      std::size_t small = 0;  // bytes of records that are in a page with others, which may be half full
      std::size_t pages = kReservePages;
      for (const auto& [number, record] : writes.puts) {
        if (record.size() < page_ / 2) {
          small += 2 * record.size();
        } else {
          pages += record.size() / page_ + 1;
        }
      }
      const std::size_t changes = kPagesPerChange * (1 + writes.removes.size() + writes.marks.size());
      pages += small / page_ + std::min(changes, kReservePages);  // neighbours share pages
      grows = allocate(pages);
      const Result<Free> free = grows ? Free() : free_inside();
      if (!free) return tl::unexpected(free.error());
      if (!grows && free->pages < pages) return false;
      if (!grows && free->usable < pages) {
        if (Result<void> usable = make_usable(); !usable) return tl::unexpected(usable.error());
      }
    }
    if (Result<void> mapped = let_grow(grows); !mapped) return tl::unexpected(mapped.error());
    return true;
  }

  // LMDB gives up its map before it asks for the new one. If it then gets none, the environment is closed before read()
  // can use it, and commit() opens it again.
  Result<void> let_grow(bool grows) {
    if (grows == grows_) return {};
    const std::lock_guard lock(env_mutex_);
    const int code = mdb_env_set_mapsize(env_, grows ? map_bytes_ : page_);  // no less than is in use
    if (code != 0) {
      close_env();
      return failed("map", code);
    }
    grows_ = grows;
    return {};
  }

  void close_env() {
    if (env_ != nullptr) mdb_env_close(env_);
    env_ = nullptr;
  }

  // Pages that a commit has freed become usable two commits later. This makes the commit in between, which writes a
  // mark on no record.
  Result<void> make_usable() {
    if (Result<void> grows = let_grow(true); !grows) return grows;
    const std::shared_lock lock(env_mutex_);
    Transaction txn(env_, 0);
    std::uint64_t number = 0;
    MDB_val key{sizeof number, &number}, value{sizeof number, &number};
    int code = txn.code;
    if (code == 0) code = mdb_put(txn.get, marks_, &key, &value, MDB_NODUPDATA);
    if (code == MDB_KEYEXIST) code = mdb_del(txn.get, marks_, &key, nullptr);
    if (code == 0) code = txn.commit();
    return code == 0 ? Result<void>() : failed("commit", code);
  }

  // False: the disk has not that much behind the last page in use. True also where the file system cannot tell.
  bool allocate(std::size_t pages) {
    MDB_envinfo info{};
    int fd = -1;
    if (mdb_env_info(env_, &info) != 0 || mdb_env_get_fd(env_, &fd) != 0) return true;
    const std::size_t used = (info.me_last_pgno + 1) * page_, bytes = pages * page_;
    if (used + bytes <= allocated_to_) return true;
    if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(used), static_cast<off_t>(bytes)) != 0)
      return errno != ENOSPC && errno != EDQUOT;
    allocated_to_ = used + bytes;
    return true;
  }

  struct Free {
    std::size_t pages = 0, usable = 0;  // by the next commit
  };
  Result<Free> free_inside() {
    const std::shared_lock lock(env_mutex_);
    const Transaction txn(env_, MDB_RDONLY);
    MDB_cursor* cursor = nullptr;
    constexpr MDB_dbi kFreePages = 0;
    const int code = txn.code != 0 ? txn.code : mdb_cursor_open(txn.get, kFreePages, &cursor);
    if (code != 0) return tl::unexpected(failed("read", code).error());
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    Free out;
    // By transaction, a count and as many page numbers.
    for (MDB_val key{}, value{}; mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0;) {
      std::size_t count = 0, by = 0;
      if (value.mv_size >= sizeof count) std::memcpy(&count, value.mv_data, sizeof count);
      if (key.mv_size == sizeof by) std::memcpy(&by, key.mv_data, sizeof by);
      out.pages += count;
      if (by < info.me_last_txnid) out.usable += count;
    }
    mdb_cursor_close(cursor);
    return out;
  }

  Result<void> open_env() {
    std::error_code error;
    const auto there = std::filesystem::file_size(directory_ + "/data.mdb", error);
    if (map_bytes_ == 0) {
      map_bytes_ = bytes_max_ + (error ? 0 : there);
      map_bytes_most_ = map_bytes_ + bytes_max_;
    }
    int code = mdb_env_create(&env_);
    if (code == 0) code = mdb_env_set_mapsize(env_, map_bytes_);
    if (code == 0) code = mdb_env_set_maxdbs(env_, 2);
    // Each number is read once, so reading ahead brings nothing.
    if (code == 0) code = mdb_env_open(env_, directory_.c_str(), MDB_NORDAHEAD | MDB_NOTLS, 0640);
    if (code != 0) return failed("open", code);
    MDB_stat stat{};
    if (mdb_env_stat(env_, &stat) == 0) page_ = stat.ms_psize;
    Transaction txn(env_, 0);
    code = txn.code;
    if (code == 0) code = mdb_dbi_open(txn.get, "records", MDB_INTEGERKEY | MDB_CREATE, &records_);
    if (code == 0) {
      code = mdb_dbi_open(txn.get, "marks", MDB_INTEGERKEY | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_CREATE,
                          &marks_);
    }
    if (code == 0) code = txn.commit();
    if (code != 0) return failed("open", code);
    grows_ = true;
    allocated_to_ = 0;
    allocate(kReservePages);
    return {};
  }

  Result<void> try_commit(const Writes& writes) {
    Transaction txn(env_, 0);
    if (txn.code != 0) return failed("begin", txn.code);
    int code = 0;
    for (auto [number, mark] : writes.marks) {
      MDB_val key{sizeof number, &number}, value{sizeof mark, &mark};
      if (code == 0) code = mdb_put(txn.get, marks_, &key, &value, MDB_NODUPDATA);
      if (code == MDB_KEYEXIST) code = 0;
    }
    for (std::uint64_t number : writes.removes) {
      for (const MDB_dbi db : {records_, marks_}) {
        MDB_val key{sizeof number, &number};
        if (code == 0) code = mdb_del(txn.get, db, &key, nullptr);
        if (code == MDB_NOTFOUND) code = 0;
      }
    }
    for (auto it = writes.puts.begin(); code == 0 && it != writes.puts.end(); ++it) {
      std::uint64_t number = it->first;
      MDB_val key{sizeof number, &number}, value{it->second.size(), const_cast<char*>(it->second.data())};
      code = mdb_put(txn.get, records_, &key, &value, 0);
    }
    const bool written = code == 0;
    if (written) code = txn.commit();
    full_ = code == MDB_MAP_FULL;
    return code == 0 ? Result<void>() : failed(written ? "commit" : "write", code);
  }

  int read_all(MDB_txn* txn, const Each& each) {
    MDB_cursor *records = nullptr, *marks = nullptr;
    int code = mdb_cursor_open(txn, records_, &records);
    if (code == 0) code = mdb_cursor_open(txn, marks_, &marks);
    MDB_val key{}, value{};
    std::vector<std::uint64_t> marked;
    while (code == 0 && (code = mdb_cursor_get(records, &key, &value, MDB_NEXT)) == 0) {
      std::uint64_t number = 0;
      if (key.mv_size == sizeof number) std::memcpy(&number, key.mv_data, sizeof number);
      marked.clear();
      MDB_val mark{};
      for (int found = mdb_cursor_get(marks, &key, &mark, MDB_SET_KEY); found == 0;
           found = mdb_cursor_get(marks, &key, &mark, MDB_NEXT_DUP)) {
        marked.emplace_back();
        if (mark.mv_size == sizeof number) std::memcpy(&marked.back(), mark.mv_data, sizeof number);
      }
      each(number, ByteView(static_cast<const char*>(value.mv_data), value.mv_size), marked);
    }
    if (marks != nullptr) mdb_cursor_close(marks);
    if (records != nullptr) mdb_cursor_close(records);
    return code == MDB_NOTFOUND ? 0 : code;
  }

  Result<void> failed(std::string_view what, int code) const {
    return fail(ErrorKind::kIo, fmt::format("{}: {}: {}", directory_, what, mdb_strerror(code)));
  }

  const std::string directory_;
  const std::size_t bytes_max_;
  int lock_ = -1;
  std::size_t page_ = 4096;
  std::size_t map_bytes_ = 0, map_bytes_most_ = 0;
  bool full_ = false;             // the last commit found no room in the map
  bool grows_ = true;             // the map is as large as it may get; else only what is in use
  std::size_t allocated_to_ = 0;  // blocks of the file are on the disk up to here, though it may be shorter
  std::shared_mutex env_mutex_;   // shared: it is used; alone: it is opened anew
  MDB_env* env_ = nullptr;        // null: it could not be opened anew
  MDB_dbi records_ = 0, marks_ = 0;
};

}  // namespace

std::unique_ptr<KeptLog> make_kept_log(const std::string& directory, std::size_t bytes_max) {
  return std::make_unique<Lmdb>(directory, bytes_max);
}

std::string kept_log_damage(const std::string& directory) {
  const File owner(directory + "/owner"), file(directory + "/data.mdb");
  if (file.fd < 0 || (owner.fd >= 0 && ::flock(owner.fd, LOCK_SH | LOCK_NB) != 0)) return "";
  return look_through(file.fd, file.bytes).fault;
}

}  // namespace tailgate
