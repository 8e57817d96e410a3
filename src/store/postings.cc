// SPDX-License-Identifier: Apache-2.0
#include "store/postings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::string_view kMagic = "tgposts\1";
constexpr std::size_t kHeader = 16;          // magic, bits, CRC32C of both
constexpr std::size_t kBucketPostings = 64;  // about
constexpr std::uint32_t kBucketBytesMax = 64 << 20;
constexpr std::size_t kKeyBytes = 5;

// What a bucket knows of a hash: the 40 bits after those that name the bucket. In the order of the hashes.
std::uint64_t key_of(TermHash term, unsigned bits) { return (term << bits) >> (64 - 8 * kKeyBytes); }

void append_number(std::string& out, std::uint32_t n) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<char>(n | 0x80));
  out.push_back(static_cast<char>(n));
}

bool take_number(std::string_view& rest, std::uint32_t& n) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    if (rest.empty()) return false;
    const auto c = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= std::uint64_t{c & 0x7fU} << shift;
    if (c < 0x80) {
      n = static_cast<std::uint32_t>(value);
      return value <= UINT32_MAX;
    }
  }
  return false;
}

// The checksum covers the bucket's number, so that a damaged directory does not lead to another whole bucket.
std::uint32_t bucket_crc(std::uint64_t number, std::string_view body) {
  std::string front;
  append_le(front, number);
  return crc32c(body, crc32c(front));
}

// CRC32C, then for each term its key, how many traces, and their numbers as differences.
void append_bucket(std::string& out, std::uint64_t number, unsigned bits, std::vector<Posting>& postings) {
  std::sort(postings.begin(), postings.end());
  postings.erase(std::unique(postings.begin(), postings.end()), postings.end());
  std::string body;
  for (auto p = postings.begin(); p != postings.end();) {
    const auto end = std::find_if(p, postings.end(), [&](const Posting& q) { return q.term != p->term; });
    const std::uint64_t key = key_of(p->term, bits);
    for (std::size_t i = 0; i != kKeyBytes; ++i) body.push_back(static_cast<char>(key >> (8 * i)));
    append_number(body, static_cast<std::uint32_t>(end - p));
    for (std::uint32_t last = 0; p != end; last = p++->trace) append_number(body, p->trace - last);
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
  while (bits < kBits && (postings_ >> bits) > kBucketPostings) ++bits;
  std::string out(kMagic);
  append_le(out, std::uint32_t{bits});
  append_le(out, crc32c(out));
  const std::size_t buckets = std::size_t{1} << bits, directory = out.size();
  out.resize(directory + 4 * (buckets + 1));
  std::vector<Posting> postings;
  const auto mark = [&](std::size_t i) {
    std::string at;
    append_le(at, static_cast<std::uint32_t>(out.size()));
    out.replace(directory + 4 * i, 4, at);
  };
  for (std::size_t i = 0; i != buckets; ++i) {
    mark(i);
    postings.clear();
    const std::size_t step = buckets_.size() / buckets;
    for (std::size_t k = i * step; k != (i + 1) * step; ++k) {
      postings.insert(postings.end(), buckets_[k].begin(), buckets_[k].end());
    }
    append_bucket(out, i, bits, postings);
  }
  mark(buckets);
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
  if (!read_exactly(fd, 0, kHeader, header) || !header.starts_with(kMagic) ||
      crc32c(std::string_view(header).substr(0, 12)) != load_le<std::uint32_t>(header.data() + 12) ||
      load_le<std::uint32_t>(header.data() + 8) > 32) {
    return fail(ErrorKind::kBadInput, fmt::format("the index '{}' is damaged or of a newer version", path));
  }
  file->bits_ = load_le<std::uint32_t>(header.data() + 8);
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
  const Result<std::string> bytes = bucket(bits_ == 0 ? 0 : term >> (64 - bits_));
  if (!bytes) return tl::unexpected(bytes.error());
  std::string_view rest = *bytes;
  const std::uint64_t wanted = key_of(term, bits_);
  while (rest.size() >= kKeyBytes) {
    std::uint64_t found = 0;
    for (std::size_t i = 0; i != kKeyBytes; ++i) found |= std::uint64_t{static_cast<std::uint8_t>(rest[i])} << (8 * i);
    rest.remove_prefix(kKeyBytes);
    std::uint32_t count = 0, step = 0, trace = 0;
    bool good = take_number(rest, count);
    for (; good && count != 0; --count) {
      good = take_number(rest, step);
      trace += step;
      if (found == wanted) out.push_back(trace);
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
