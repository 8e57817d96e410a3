// SPDX-License-Identifier: Apache-2.0
#include "store/postings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "blocks/format.h"
#include "codec/protobuf.h"

namespace tailgate {
namespace {

constexpr std::string_view kPostingsMagic = "tgposts\2";
constexpr std::size_t kHeader = 20;          // magic, bits, least trace number, CRC32C of all
constexpr std::size_t kBucketPostings = 64;  // about
constexpr unsigned kFileBitsMax = 12;
constexpr std::uint32_t kBucketBytesMax = 64 << 20;
constexpr unsigned kKeyBits = 24;
constexpr std::size_t kPostingBytes = 6;  // in a file, seldom more

// What a bucket knows of a hash: the 24 bits after those that name the bucket. With 12 bits of the bucket's number that
// is one wrong candidate in some 30,000 lookups in a file, and who asks looks at the candidates.
std::uint32_t key_of(TermHash term, unsigned bits) {
  return static_cast<std::uint32_t>((term << bits) >> (64 - kKeyBits));
}
constexpr std::uint64_t kTermMask = ~std::uint64_t{0} << 32;
std::uint64_t in_memory(TermHash term, unsigned bits) { return (term << bits) & kTermMask; }
TraceNumber trace_of(std::uint64_t posting) { return static_cast<TraceNumber>(posting); }
std::size_t bucket_of(TermHash term, unsigned bits) { return bits == 0 ? 0 : term >> (64 - bits); }

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

// The postings of a bucket of the memory in order, each once, with the bits of `mask`. They come with the traces in
// order, but for late parts: so they are put in place by their first bits, which leaves one or two at each place, and
// those of a term that many traces have need no more than a look.
void sort_postings(const std::vector<std::uint64_t>& in, std::uint64_t mask, std::vector<std::uint64_t>& out) {
  constexpr unsigned kBitsMax = 12;
  std::array<std::uint32_t, (1 << kBitsMax) + 1> ends{};  // of each place, once all are there
  const unsigned bits = std::clamp(static_cast<unsigned>(std::bit_width(in.size())), 1U, kBitsMax), shift = 64 - bits;
  for (const std::uint64_t p : in) ++ends[(p >> shift) + 1];
  for (std::size_t i = 1; i != ends.size(); ++i) ends[i] += ends[i - 1];
  out.resize(in.size());
  for (const std::uint64_t p : in) out[ends[p >> shift]++] = p & mask;
  auto begin = out.begin();
  for (std::size_t i = 0; i != std::size_t{1} << bits; ++i) {
    const auto end = out.begin() + ends[i];
    if (!std::is_sorted(begin, end)) std::sort(begin, end);
    begin = end;
  }
  out.erase(std::unique(out.begin(), out.end()), out.end());
}

// Writes the directory of a file's buckets, and the buckets behind it.
class BucketWriter {
 public:
  BucketWriter(std::string& out, unsigned bits, TraceNumber base)
      : out_(out), bits_(bits), base_(base), directory_(out.size()) {
    out.resize(out.size() + 4 * ((std::size_t{1} << bits) + 1));
  }

  // Those of one bucket of the memory, in order. `first`: the term's bits that name it, so many. For each key: 3 bytes,
  // and the traces. A single trace is twice its number and 1; several are twice their count, then the numbers as
  // differences.
  void add(TermHash first, unsigned first_bits, const std::vector<std::uint64_t>& postings) {
    for (auto p = postings.begin(); p != postings.end();) {
      const std::uint64_t key = *p >> 32;
      const auto end = std::find_if(p, postings.end(), [&](std::uint64_t q) { return q >> 32 != key; });
      const TermHash term = first | key << (32 - first_bits);
      while (number_ != bucket_of(term, bits_)) next();
      // 3 bytes, and for their count and each of them at most 5.
      const std::size_t most = used_ + kKeyBits / 8 + 5 * static_cast<std::size_t>(end - p + 1);
      if (body_.size() < most) body_.resize(2 * most);
      char* to = body_.data() + used_;
      for (unsigned shift = 0; shift != kKeyBits; shift += 8) *to++ = static_cast<char>(key_of(term, bits_) >> shift);
      if (end - p == 1) {
        to = pb::write_varint(to, 2 * std::uint64_t{trace_of(*p++) - base_} + 1);
      } else {
        to = pb::write_varint(to, 2 * static_cast<std::uint64_t>(end - p));
        for (TraceNumber last = base_; p != end; last = trace_of(*p++)) to = pb::write_varint(to, trace_of(*p) - last);
      }
      used_ = static_cast<std::size_t>(to - body_.data());
    }
  }
  void end() {
    while (number_ != std::uint64_t{1} << bits_) next();
    mark();
  }

 private:
  void next() {
    mark();
    const std::string_view body(body_.data(), used_);
    append_le(out_, bucket_crc(number_++, body));
    out_ += body;
    used_ = 0;
  }
  void mark() {
    std::string at;
    append_le(at, static_cast<std::uint32_t>(out_.size()));
    out_.replace(directory_ + 4 * number_, 4, at);
  }

  std::string& out_;
  const unsigned bits_;
  const TraceNumber base_;
  const std::size_t directory_;
  std::uint64_t number_ = 0;  // of the bucket that is being written
  std::vector<char> body_;    // of it
  std::size_t used_ = 0;
};

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
  for (const TermHash t : terms) buckets_[t >> (64 - kBits)].push_back(in_memory(t, kBits) | trace);
  if (!terms.empty()) first_ = std::min(first_, trace);
  ++parts_;
  postings_ += terms.size();
}

void RecentPostings::find(TermHash term, std::vector<TraceNumber>& out) const {
  const MutexLock lock(mutex_);
  for (const std::uint64_t p : buckets_[term >> (64 - kBits)]) {
    if ((p & kTermMask) == in_memory(term, kBits)) out.push_back(trace_of(p));
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
  std::string out;
  out.reserve(kHeader + (std::size_t{4} << kFileBitsMax) +
              kPostingBytes * postings_);  // else twice as much for a while
  out += kPostingsMagic;
  append_le(out, std::uint32_t{bits});
  append_le(out, first_);
  append_le(out, crc32c(out));
  BucketWriter writer(out, bits, first_);
  // All of the trace, and of the term what a file knows of it.
  const std::uint64_t mask = ~std::uint64_t{0} << (64 - (kKeyBits + bits - kBits)) | 0xffff'ffff;
  std::vector<std::uint64_t> sorted;
  for (std::size_t i = 0; i != buckets_.size(); ++i) {
    sort_postings(buckets_[i], mask, sorted);
    writer.add(std::uint64_t{i} << (64 - kBits), kBits, sorted);
  }
  writer.end();
  return out;
}

void RecentPostings::clear() {
  const MutexLock lock(mutex_);
  for (std::vector<std::uint64_t>& b : buckets_) b.clear();
  parts_ = postings_ = 0;
  first_ = kNoTrace;
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
