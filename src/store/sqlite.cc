// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>

namespace tailgate {
namespace {

tl::unexpected<Error> failed(sqlite3* db, const std::string& path) {
  const int code = sqlite3_errcode(db);
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return fail(damaged ? ErrorKind::kBadInput : ErrorKind::kIo, fmt::format("'{}': {}", path, sqlite3_errmsg(db)));
}

// A path as the URI that SQLite takes.
std::string uri_of(const std::string& path) {
  std::string out = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

void Statement::GiveBack::operator()(sqlite3_stmt* s) const {
  if (!to->open) return void(sqlite3_finalize(s));
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  if (to->all.size() == IdleStatements::kMax) {
    sqlite3_finalize(to->all.front());
    to->all.erase(to->all.begin());
  }
  to->all.push_back(s);
}

Statement& Statement::bind(int i, std::int64_t value) {
  sqlite3_bind_int64(raw_.get(), i, value);
  return *this;
}

Statement& Statement::bind(int i, std::string_view text) {
  sqlite3_bind_text64(raw_.get(), i, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int i, std::string_view bytes) {
  sqlite3_bind_blob64(raw_.get(), i, bytes.data(), bytes.size(), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(raw_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* db = sqlite3_db_handle(raw_.get());
  const char* path = sqlite3_db_filename(db, "main");
  return failed(db, path ? path : "");
}

Result<bool> Statement::run() {
  Result<bool> row = step();
  reset();
  return row;
}

void Statement::reset() { sqlite3_reset(raw_.get()); }

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(raw_.get(), column); }

std::string_view Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(raw_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column));
  return bytes ? std::string_view(static_cast<const char*>(bytes), size) : std::string_view();
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const std::string& name, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nullptr);
  std::unique_ptr<Database> db(new Database(path, raw));
  if (!raw) return fail(ErrorKind::kIo, fmt::format("'{}': no memory to open it", path));
  if (code != SQLITE_OK) return failed(raw, path);
  sqlite3_busy_timeout(raw, 2000);
  return db;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  return open(path, uri_of(path), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

Result<std::unique_ptr<Database>> Database::open_to_read(const std::string& path) {
  auto db = open(path, uri_of(path), SQLITE_OPEN_READONLY);
  if (db) {
    const Result<void> readable = (*db)->run("SELECT count(*) FROM sqlite_master");
    if (readable || std::filesystem::exists(path + "-wal"))
      return readable ? std::move(db) : tl::unexpected(readable.error());
  }
  // SQLite wants to make its -shm file, and may not in a directory that only others may write to. Nobody has the
  // database open for writing, or there would be a -shm file.
  return open(path, uri_of(path) + "?immutable=1", SQLITE_OPEN_READONLY);
}

Database::~Database() {
  idle_->open = false;
  for (sqlite3_stmt* const one : idle_->all) sqlite3_finalize(one);
  sqlite3_close_v2(raw_);
}

Result<Statement> Database::prepare(std::string_view sql) {
  const auto known =
      std::find_if(idle_->all.begin(), idle_->all.end(), [&](sqlite3_stmt* one) { return sql == sqlite3_sql(one); });
  sqlite3_stmt* raw = nullptr;
  if (known != idle_->all.end()) {
    raw = *known;
    idle_->all.erase(known);
  } else if (sqlite3_prepare_v3(raw_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw,
                                nullptr) != SQLITE_OK) {
    return failed(raw_, path_);
  }
  return Statement(raw, idle_);
}

Result<void> Database::run(const std::string& sql) {
  if (sqlite3_exec(raw_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failed(raw_, path_);
  return {};
}

}  // namespace tailgate
