// SPDX-License-Identifier: Apache-2.0
#include "store/catalogue_sum.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/replace_file.h"
#include "blocks/format.h"
#include "store/partition.h"
#include "store/sqlite.h"

namespace tailgate {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

// The line that the file should hold.
Result<std::string> sum_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string piece(kReadBytes, '\0');
  std::uint32_t crc = 0;
  std::uint64_t bytes = 0;
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto n = static_cast<std::size_t>(in.gcount());
    crc = crc32c(std::string_view(piece).substr(0, n), crc);
    bytes += n;
  }
  if (!in.eof() || in.bad())
    return fail(ErrorKind::kIo, fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return fmt::format("crc32c {:08x} of {} bytes\n", crc, bytes);
}

// Puts the log of changes into the file and makes it go without one. SQLite says in a row, not as an error, that
// somebody reads.
Result<void> make_plain(const std::string& path) {
  auto db = Database::open(path);
  if (!db) return tl::unexpected(db.error());
  auto checkpoint = (*db)->prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!checkpoint) return tl::unexpected(checkpoint.error());
  Result<bool> row = checkpoint->step();
  if (!row) return tl::unexpected(row.error());
  const bool busy = *row && checkpoint->number(0) != 0;
  checkpoint->reset();
  auto mode = (*db)->prepare("PRAGMA journal_mode=DELETE");
  if (!mode) return tl::unexpected(mode.error());
  row = mode->step();
  if (!row) return tl::unexpected(row.error());
  if (busy || !*row || mode->text(0) != "delete") {
    return fail(ErrorKind::kUnavailable, fmt::format("'{}' is being read", path));
  }
  return {};
}

}  // namespace

std::string sum_path(const std::string& folder) { return folder + "/catalogue.sum"; }

Result<void> seal_catalogue(const std::string& folder) {
  const std::string path = catalogue_path(folder);
  if (auto done = make_plain(path); !done) return done;
  const Result<std::string> sum = sum_of(path);
  return sum ? replace_file(sum_path(folder), *sum) : tl::unexpected(sum.error());
}

Result<CatalogueState> check_catalogue(const std::string& folder) {
  std::ifstream in(sum_path(folder), std::ios::binary);
  if (!in) return CatalogueState::kUnsealed;
  const std::string noted{std::istreambuf_iterator<char>(in), {}};
  const Result<std::string> sum = sum_of(catalogue_path(folder));
  if (!sum) return tl::unexpected(sum.error());
  return *sum == noted ? CatalogueState::kWhole : CatalogueState::kDamaged;
}

}  // namespace tailgate
