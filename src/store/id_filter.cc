// SPDX-License-Identifier: Apache-2.0
#include "store/id_filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::string_view kMagic = "tgidset\1";
constexpr unsigned kProbes = 6;

}  // namespace

void IdFilter::add(const TraceId& id) {
  std::uint64_t h = hash_bytes(id.view(), 0);
  const std::uint64_t step = hash_bytes(id.view(), 1) | 1;
  for (unsigned i = 0; i != kProbes; ++i, h += step) {
    words_[(h >> 6) % words_.size()] |= std::uint64_t{1} << (h & 63);
  }
}

bool IdFilter::may_have(const TraceId& id) const {
  std::uint64_t h = hash_bytes(id.view(), 0);
  const std::uint64_t step = hash_bytes(id.view(), 1) | 1;
  for (unsigned i = 0; i != kProbes; ++i, h += step) {
    if ((words_[(h >> 6) % words_.size()] >> (h & 63) & 1) == 0) return false;
  }
  return true;
}

Result<IdFilter> IdFilter::load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::string_view all = bytes;
  if (all.size() < kMagic.size() + 12 || !all.starts_with(kMagic) || (all.size() - kMagic.size() - 4) % 8 != 0 ||
      crc32c(all.substr(0, all.size() - 4)) != load_le<std::uint32_t>(all.data() + all.size() - 4)) {
    return fail(ErrorKind::kBadInput, fmt::format("'{}' is missing or damaged", path));
  }
  IdFilter filter;
  filter.words_.clear();
  for (std::size_t at = kMagic.size(); at + 8 < all.size(); at += 8) {
    filter.words_.push_back(load_le<std::uint64_t>(all.data() + at));
  }
  return filter;
}

Result<void> IdFilter::save(const std::string& path) const {
  std::string out(kMagic);
  for (const std::uint64_t w : words_) append_le(out, w);
  append_le(out, crc32c(out));
  return write_file(path, out);
}

Result<void> write_file(const std::string& path, std::string_view bytes) {
  const std::string fresh = path + ".new";
  const auto failed = [&](const char* what) {
    return fail(ErrorKind::kIo, fmt::format("cannot {} '{}': {}", what, fresh, std::strerror(errno)));
  };
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed("open");
  bool good = true;
  while (good && !bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fdatasync(fd) == 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  if (good && std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  const auto result = failed("write");
  ::unlink(fresh.c_str());
  return result;
}

}  // namespace tailgate
