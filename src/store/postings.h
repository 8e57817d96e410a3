// SPDX-License-Identifier: Apache-2.0
// Postings: the inverted index of a partition, from a term to the traces that have it. RecentPostings holds that of the
// last parts in memory; write_postings() makes an immutable file of it, and PostingFile reads one. The layout is in
// docs/design/0018-blocks-and-store.md.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "store/terms.h"

namespace tailgate {

using TraceNumber = std::uint32_t;  // of a trace in its partition: the number of its first part

// Threads: any. add() costs a push for each term, find() a pass over one of 256 buckets: so few that the ends of all of
// them stay in the processor's cache.
class RecentPostings {
 public:
  void add(const std::vector<TermHash>& terms, TraceNumber trace);
  // Appends, in any order, and rarely one with another term: 40 bits of a term are kept, at least 4 more than in a
  // file.
  void find(TermHash term, std::vector<TraceNumber>& out) const;
  // As many parts as a file should have, or so many postings that they take 16 MiB.
  bool full(std::uint64_t parts_max) const;
  std::uint64_t parts() const;
  // All of it as the bytes of a file; it stays here until clear().
  std::string file() const;
  void clear();

 private:
  static constexpr std::uint64_t kPostingsMax = 2'000'000;
  static constexpr unsigned kBits = 8;
  static constexpr TraceNumber kNoTrace = std::numeric_limits<TraceNumber>::max();
  mutable Mutex mutex_;
  // By the term's first bits. The next 32, and the trace.
  std::array<std::vector<std::uint64_t>, 1 << kBits> buckets_ TAILGATE_GUARDED_BY(mutex_);
  std::uint64_t parts_ TAILGATE_GUARDED_BY(mutex_) = 0;
  std::uint64_t postings_ TAILGATE_GUARDED_BY(mutex_) = 0;
  TraceNumber first_ TAILGATE_GUARDED_BY(mutex_) = kNoTrace;  // the lowest trace number
};

// Threads: any.
class PostingFile {
 public:
  // kBadInput when it is damaged or of a newer version.
  static Result<std::unique_ptr<PostingFile>> open(const std::string& path);
  ~PostingFile();
  PostingFile(const PostingFile&) = delete;
  PostingFile& operator=(const PostingFile&) = delete;

  // Appends. Two reads. kBadInput when the bucket of the term is damaged.
  Result<void> find(TermHash term, std::vector<TraceNumber>& out) const;
  // Reads every bucket.
  Result<void> check() const;

 private:
  PostingFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Result<std::string> bucket(std::uint64_t number) const;

  std::string path_;
  int fd_;
  unsigned bits_ = 0;
  TraceNumber base_ = 0;  // to which the numbers of traces are added
};

}  // namespace tailgate
