#include "export/kept_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace tailgate {
namespace {

class Lmdb final : public KeptLog {
 public:
  Lmdb(std::string directory, std::size_t bytes_max) : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  ~Lmdb() override {
    if (env_ != nullptr) mdb_env_close(env_);
    if (lock_ >= 0) ::close(lock_);
  }

  Result<void> open(const std::function<void(std::uint64_t, ByteView)>& each) override {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) return fail(ErrorKind::kIo, fmt::format("{}: {}", directory_, error.message()));
    lock_ = ::open((directory_ + "/owner").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock_ < 0) return fail(ErrorKind::kIo, fmt::format("{}/owner: {}", directory_, std::strerror(errno)));
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::kIo, fmt::format("{}: another process has this queue open", directory_));
    }
    int code = mdb_env_create(&env_);
    if (code == 0) code = mdb_env_set_mapsize(env_, bytes_max_);
    // Each number is read once, so reading ahead brings nothing.
    if (code == 0) code = mdb_env_open(env_, directory_.c_str(), MDB_NORDAHEAD | MDB_NOTLS, 0640);
    if (code != 0) return failed("open", code);
    MDB_txn* txn = nullptr;
    code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != 0) return failed("open", code);
    code = mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &db_);
    if (code != 0) {
      mdb_txn_abort(txn);
      return failed("open", code);
    }
    MDB_cursor* cursor = nullptr;
    code = mdb_cursor_open(txn, db_, &cursor);
    MDB_val key{}, value{};
    while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
      std::uint64_t number = 0;
      if (key.mv_size == sizeof number) std::memcpy(&number, key.mv_data, sizeof number);
      each(number, ByteView(static_cast<const char*>(value.mv_data), value.mv_size));
    }
    if (cursor != nullptr) mdb_cursor_close(cursor);
    if (code != MDB_NOTFOUND) {
      mdb_txn_abort(txn);
      return failed("read", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? Result<void>() : failed("open", code);
  }

  Result<void> commit(const Puts& puts, const std::vector<std::uint64_t>& removes) override {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != 0) return failed("begin", code);
    for (std::uint64_t number : removes) {
      MDB_val key{sizeof number, &number};
      code = mdb_del(txn, db_, &key, nullptr);
      if (code == MDB_NOTFOUND) code = 0;
      if (code != 0) break;
    }
    for (auto it = puts.begin(); code == 0 && it != puts.end(); ++it) {
      std::uint64_t number = it->first;
      MDB_val key{sizeof number, &number};
      MDB_val value{it->second.size(), const_cast<char*>(it->second.data())};
      code = mdb_put(txn, db_, &key, &value, 0);
    }
    if (code != 0) {
      mdb_txn_abort(txn);
      return failed("write", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? Result<void>() : failed("commit", code);
  }

  Result<std::string> read(std::uint64_t number) override {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
    if (code != 0) return tl::unexpected(failed("begin", code).error());
    MDB_val key{sizeof number, &number}, value{};
    code = mdb_get(txn, db_, &key, &value);
    std::string out;
    if (code == 0) out.assign(static_cast<const char*>(value.mv_data), value.mv_size);
    mdb_txn_abort(txn);
    if (code != 0) return tl::unexpected(failed("read", code).error());
    return out;
  }

 private:
  Result<void> failed(std::string_view what, int code) const {
    return fail(ErrorKind::kIo, fmt::format("{}: {}: {}", directory_, what, mdb_strerror(code)));
  }

  const std::string directory_;
  const std::size_t bytes_max_;
  int lock_ = -1;
  MDB_env* env_ = nullptr;
  MDB_dbi db_ = 0;
};

}  // namespace

std::unique_ptr<KeptLog> make_kept_log(const std::string& directory, std::size_t bytes_max) {
  return std::make_unique<Lmdb>(directory, bytes_max);
}

}  // namespace tailgate
