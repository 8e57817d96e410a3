// SPDX-License-Identifier: Apache-2.0
#include "store/postings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::string_view kPostingsMagic = "tgposts\2";
constexpr std::size_t kHeader = 20;          // magic, bits, least trace number, CRC32C of all
constexpr std::size_t kBucketPostings = 64;  // about
constexpr unsigned kFileBitsMax = 12;
constexpr std::uint32_t kBucketBytesMax = 64 << 20;
constexpr unsigned kKeyBits = 24;

// What a bucket knows of a hash: the 24 bits after those that name the bucket. With 12 bits of the bucket's number that
// is one wrong candidate in some 30,000 lookups in a file, and who asks looks at the candidates.
std::uint32_t key_of(TermHash term, unsigned bits) {
  return static_cast<std::uint32_t>((term << bits) >> (64 - kKeyBits));
}
std::size_t bucket_of(TermHash term, unsigned bits) { return bits == 0 ? 0 : term >> (64 - bits); }

void append_number(std::string& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<char>(n | 0x80));
  out.push_back(static_cast<char>(n));
}

bool take_number(std::string_view& rest, std::uint64_t& n) {
  n = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    if (rest.empty()) return false;
    const auto c = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    n |= std::uint64_t{c & 0x7fU} << shift;
    if (c < 0x80) return true;
  }
  return false;
}

// The checksum covers the bucket's number, so that a damaged directory does not lead to another whole bucket.
std::uint32_t bucket_crc(std::uint64_t number, std::string_view body) {
  std::string front;
  append_le(front, number);
  return crc32c(body, crc32c(front));
}

// CRC32C, then for each key: 3 bytes, and the traces. A single trace is twice its number and 1; several are twice their
// count, then the numbers as differences. `postings`: key and, in the lower half, trace.
void append_bucket(std::string& out, std::uint64_t number, std::vector<std::uint64_t>& postings) {
  std::sort(postings.begin(), postings.end());
  postings.erase(std::unique(postings.begin(), postings.end()), postings.end());
  std::string body;
  const auto trace_of = [](std::uint64_t p) { return static_cast<TraceNumber>(p); };
  for (auto p = postings.begin(); p != postings.end();) {
    const std::uint64_t key = *p >> 32;
    const auto end = std::find_if(p, postings.end(), [&](std::uint64_t q) { return q >> 32 != key; });
    for (unsigned shift = 0; shift != kKeyBits; shift += 8) body.push_back(static_cast<char>(key >> shift));
    if (end - p == 1) {
      append_number(body, 2 * std::uint64_t{trace_of(*p++)} + 1);
      continue;
    }
    append_number(body, 2 * static_cast<std::uint64_t>(end - p));
    for (TraceNumber last = 0; p != end; last = trace_of(*p++)) append_number(body, trace_of(*p) - last);
  }
  append_le(out, bucket_crc(number, body));
  out += body;
}

bool read_exactly(int fd, std::uint64_t position, std::size_t size, std::string& out) {
  out.resize(size);
  std::size_t have = 0;
  while (have != size) {
    const ssize_t n = ::pread(fd, out.data() + have, size - have, static_cast<off_t>(position + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

void RecentPostings::add(const std::vector<TermHash>& terms, TraceNumber trace) {
  const MutexLock lock(mutex_);
  for (const TermHash t : terms) buckets_[t >> (64 - kBits)].push_back({t, trace});
  ++parts_;
  postings_ += terms.size();
}

void RecentPostings::find(TermHash term, std::vector<TraceNumber>& out) const {
  const MutexLock lock(mutex_);
  for (const Posting& p : buckets_[term >> (64 - kBits)]) {
    if (p.term == term) out.push_back(p.trace);
  }
}

bool RecentPostings::full(std::uint64_t parts_max) const {
  const MutexLock lock(mutex_);
  return parts_ >= parts_max || postings_ >= kPostingsMax;
}

std::uint64_t RecentPostings::parts() const {
  const MutexLock lock(mutex_);
  return parts_;
}

std::string RecentPostings::file() const {
  const MutexLock lock(mutex_);
  unsigned bits = 0;
  while (bits < kFileBitsMax && (postings_ >> bits) > kBucketPostings) ++bits;
  TraceNumber base = std::numeric_limits<TraceNumber>::max();
  for (const std::vector<Posting>& b : buckets_) {
    for (const Posting& p : b) base = std::min(base, p.trace);
  }
  std::string out(kPostingsMagic);
  append_le(out, std::uint32_t{bits});
  append_le(out, base);
  append_le(out, crc32c(out));
  const std::size_t buckets = std::size_t{1} << bits, directory = out.size();
  out.resize(directory + 4 * (buckets + 1));
  std::size_t number = 0;
  const auto mark = [&] {
    std::string at;
    append_le(at, static_cast<std::uint32_t>(out.size()));
    out.replace(directory + 4 * number, 4, at);
  };
  // Several buckets of the memory are one of the file, or one is several.
  const std::size_t step = std::max<std::size_t>(1, buckets_.size() >> bits);
  std::vector<std::vector<std::uint64_t>> parts(std::max<std::size_t>(1, buckets / buckets_.size()));
  for (std::size_t i = 0; i != buckets_.size(); i += step) {
    for (std::size_t k = i; k != i + step; ++k) {
      for (const Posting& p : buckets_[k]) {
        parts[bucket_of(p.term, bits) - number].push_back(std::uint64_t{key_of(p.term, bits)} << 32 | (p.trace - base));
      }
    }
    for (std::vector<std::uint64_t>& part : parts) {
      mark();
      append_bucket(out, number++, part);
      part.clear();
    }
  }
  mark();
  return out;
}

void RecentPostings::clear() {
  const MutexLock lock(mutex_);
  for (std::vector<Posting>& b : buckets_) b.clear();
  parts_ = postings_ = 0;
}

Result<std::unique_ptr<PostingFile>> PostingFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(ErrorKind::kIo, fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
  std::unique_ptr<PostingFile> file(new PostingFile(path, fd));
  std::string header;
  if (!read_exactly(fd, 0, kHeader, header) || !header.starts_with(kPostingsMagic) ||
      crc32c(std::string_view(header).substr(0, 16)) != load_le<std::uint32_t>(header.data() + 16) ||
      load_le<std::uint32_t>(header.data() + 8) > 32) {
    return fail(ErrorKind::kBadInput, fmt::format("the index '{}' is damaged or of a newer version", path));
  }
  file->bits_ = load_le<std::uint32_t>(header.data() + 8);
  file->base_ = load_le<TraceNumber>(header.data() + 12);
  return file;
}

PostingFile::~PostingFile() { ::close(fd_); }

Result<std::string> PostingFile::bucket(std::uint64_t number) const {
  std::string bytes;
  const auto damaged = [&] {
    return fail(ErrorKind::kBadInput, fmt::format("bucket {} of the index '{}' is damaged", number, path_));
  };
  if (!read_exactly(fd_, kHeader + 4 * number, 8, bytes)) return damaged();
  const auto begin = load_le<std::uint32_t>(bytes.data()), end = load_le<std::uint32_t>(bytes.data() + 4);
  if (end < begin + std::uint64_t{4} || end - begin > kBucketBytesMax) return damaged();
  if (!read_exactly(fd_, begin, end - begin, bytes)) return damaged();
  const auto crc = load_le<std::uint32_t>(bytes.data());
  bytes.erase(0, 4);
  if (bucket_crc(number, bytes) != crc) return damaged();
  return bytes;
}

Result<void> PostingFile::find(TermHash term, std::vector<TraceNumber>& out) const {
  const Result<std::string> bytes = bucket(bucket_of(term, bits_));
  if (!bytes) return tl::unexpected(bytes.error());
  std::string_view rest = *bytes;
  const std::uint32_t wanted = key_of(term, bits_);
  while (rest.size() >= kKeyBits / 8) {
    std::uint32_t found = 0;
    for (unsigned i = 0; i != kKeyBits / 8; ++i) found |= std::uint32_t{static_cast<std::uint8_t>(rest[i])} << (8 * i);
    rest.remove_prefix(kKeyBits / 8);
    std::uint64_t first = 0;
    bool good = take_number(rest, first);
    const auto take = [&](std::uint64_t trace) {
      if (found == wanted) out.push_back(static_cast<TraceNumber>(base_ + trace));
    };
    if ((first & 1) != 0) {
      take(first / 2);
    } else {
      std::uint64_t step = 0, trace = 0;
      for (std::uint64_t count = first / 2; good && count != 0; --count) {
        good = take_number(rest, step);
        if (good) take(trace += step);
      }
    }
    if (!good) return fail(ErrorKind::kBadInput, fmt::format("the index '{}' is damaged", path_));
    if (found > wanted) break;
  }
  return {};
}

Result<void> PostingFile::check() const {
  for (std::uint64_t i = 0; i != std::uint64_t{1} << bits_; ++i) {
    if (auto good = bucket(i); !good) return tl::unexpected(good.error());
  }
  return {};
}

}  // namespace tailgate
