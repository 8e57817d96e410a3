// SPDX-License-Identifier: Apache-2.0
#include "journal/cursor.h"

#include <algorithm>
#include <filesystem>

namespace tailgate {
namespace {

bool is_gone(const std::string& path) {
  std::error_code error;
  return !std::filesystem::exists(path, error) && !error;
}

}  // namespace

Result<bool> JournalCursor::next(const Take& take) {
  for (;;) {
    const Journal::Extent extent = extent_();
    const bool last = segment_ >= extent.segments.back();
    if (reader_ == nullptr) {
      const std::string path = requests_path(directory_, segment_);
      auto opened = BlockReader::open(path);
      if (opened) {
        reader_ = std::move(*opened);
        at_ = kBlockFileHeaderBytes;
      } else if (opened.error().kind == ErrorKind::kIo && !is_gone(path)) {
        return tl::unexpected(opened.error());
      }
    }
    if (last && at_ >= extent.last_end) return false;
    bool taken = false;
    if (reader_ != nullptr) {
      const std::uint64_t before = at_;
      const auto found = reader_->scan(at_, [&](const Block& block) {
        std::uint64_t i = 0;
        for (const Record& record : block.records) {
          const std::uint64_t position = journal_position(segment_, block.number, i++);
          const auto request = of_any_ ? read_any_request(record) : read_request(record);
          if (request && !seen_before_.contains(request->number) && seen_.insert(request->number).second)
            take(*request, position);
        }
        taken = true;
        return false;
      });
      if (!found) return tl::unexpected(found.error());
      damaged_ += found->damaged;
      at_ = found->end;
      bytes_ += at_ - before;
    }
    if (taken) return true;
    // What is left of this one is a torn tail; or, of the last, nothing that is committed.
    if (last || !go_on(extent)) return false;
  }
}

bool JournalCursor::go_on(const Journal::Extent& extent) {
  const auto next = std::upper_bound(extent.segments.begin(), extent.segments.end(), segment_);
  if (next == extent.segments.end()) return false;
  segment_ = *next;
  reader_.reset();
  at_ = 0;
  seen_before_.swap(seen_);
  seen_.clear();
  return true;
}

}  // namespace tailgate
