// SPDX-License-Identifier: Apache-2.0
// JournalCursor: the requests of a journal in the order of its files, up to what is committed, while more is written.
//
// A request that is there twice, because a commit was repeated in another file, is handed out once. Threads: one.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "journal/journal.h"

namespace tailgate {

class JournalCursor {
 public:
  // Begins with segment `from`. `journal` outlives the cursor.
  JournalCursor(const Journal& journal, std::uint64_t from)
      : JournalCursor(
            journal.options().directory, [&journal] { return journal.extent(); }, from) {}
  // Of a directory that another process may write to.
  using ExtentOf = std::function<Journal::Extent()>;
  JournalCursor(std::string directory, ExtentOf extent, std::uint64_t from)
      : directory_(std::move(directory)), extent_(std::move(extent)), segment_(from) {}

  // Hands out requests too that are not this daemon's own; else they are passed over.
  void of_any() { of_any_ = true; }

  // The position is unique and grows.
  using Take = std::function<void(const JournalRequest& request, std::uint64_t position)>;
  // Hands over the requests of the next block. False: there is none yet. kIo: it cannot be read now (the disk fails,
  // the process has no descriptor left); the next call tries it again. A file that is none of ours, of a newer version
  // or gone is passed over.
  Result<bool> next(const Take& take);

  // Leaves what cannot be read of this segment. False: it is the last one.
  bool skip() {
    ++damaged_;
    return go_on(extent_());
  }

  std::uint64_t segment() const { return segment_; }
  std::uint64_t damaged() const { return damaged_; }  // places
  std::uint64_t bytes() const { return bytes_; }      // read, of files

 private:
  bool go_on(const Journal::Extent& extent);

  const std::string directory_;
  const ExtentOf extent_;
  bool of_any_ = false;
  std::uint64_t segment_;
  std::unique_ptr<BlockReader> reader_;  // of it
  std::uint64_t at_ = 0, bytes_ = 0;
  std::uint64_t damaged_ = 0;
  boost::unordered_flat_set<std::uint64_t> seen_,
      seen_before_;  // numbers of this segment's requests, and of the last's
};

}  // namespace tailgate
