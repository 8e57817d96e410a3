// SPDX-License-Identifier: Apache-2.0
// Journal: what an opened one finds in its directory. Reads the heads of the files, and of the ends no more than it
// takes to find up to where all is settled.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "journal/journal.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

// The last that the file says; below 0 when it says nothing.
JournalSettled settled_in(const std::string& path) {
  JournalSettled out;
  const auto reader = BlockReader::open(path);
  if (!reader) return out;
  (void)(*reader)->scan(0, [&](const Block& block) {
    for (const Record& record : block.records) {
      auto settled = read_settled(record);
      if (settled && settled->below >= out.below) out = std::move(*settled);
    }
    return true;
  });
  return out;
}

}  // namespace

Result<Journal::Extent> Journal::extent_of(const std::string& directory) {
  const auto numbers = segment_numbers(directory);
  if (!numbers) return tl::unexpected(numbers.error());
  Extent out;
  for (const std::uint64_t number : *numbers) {
    const std::uint64_t size = size_of(requests_path(directory, number));
    if (size == 0) continue;
    out.segments.push_back(number);
    out.last_end = size;
  }
  return out;
}

std::uint64_t Journal::made_at(const std::string& directory, std::uint64_t segment) {
  const auto reader = BlockReader::open(requests_path(directory, segment));
  return reader ? (*reader)->created_ns() : 0;
}

// A segment was written to until the next one was made.
std::uint64_t Journal::segment_at(const std::string& directory, const Extent& extent, std::uint64_t unix_ns) {
  std::uint64_t out = extent.segments.empty() ? 0 : extent.segments.front();
  for (const std::uint64_t number : extent.segments) {
    const auto reader = BlockReader::open(requests_path(directory, number));
    if (!reader) continue;
    if ((*reader)->created_ns() > unix_ns) break;
    out = number;
  }
  return out;
}

// What an index that was not finished has left, and those of segments that are gone.
void Journal::remove_leftovers() const {
  std::error_code error;
  for (fs::directory_iterator at(options_.directory, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    const bool unfinished = path.extension() == ".new" && path.stem().extension() == ".ids";
    std::error_code looked;
    if (unfinished ||
        (path.extension() == ".ids" && !fs::exists(fs::path(path).replace_extension(".requests"), looked) && !looked)) {
      ::unlink(path.c_str());
    }
  }
}

Result<void> Journal::look_at_files(TimePoint now, std::uint64_t now_unix_ns, std::vector<std::string>& notices) {
  remove_leftovers();
  const auto numbers = segment_numbers(options_.directory);
  if (!numbers) return tl::unexpected(numbers.error());
  const MutexLock lock(mutex_);
  std::uint64_t next_created = now_unix_ns;
  std::vector<Segment> found;
  std::vector<SegmentList::Ends> alone;
  std::error_code error;
  for (auto at = numbers->rbegin(); at != numbers->rend(); ++at) {
    const std::string path = requests_path(options_.directory, *at);
    const std::uint64_t ends = size_of(ends_path(options_.directory, *at));
    if (!fs::exists(path, error)) {
      alone.push_back({*at, ends});
      continue;
    }
    Segment s{.number = *at, .bytes = size_of(path) + ends, .ends_bytes = ends};
    const std::uint64_t ids = size_of(ids_path(options_.directory, *at));
    s.indexed = ids != 0;
    s.bytes += ids;
    // It was written to no later than the next one was made.
    s.end_unix_ns = std::min(next_created, now_unix_ns);
    s.end = now - Duration(static_cast<Duration::rep>(now_unix_ns - s.end_unix_ns));
    const auto size = fs::file_size(path, error);
    const bool begun = error || size >= kBlockFileHeaderBytes;
    const auto reader = begun ? BlockReader::open(path) : tl::unexpected(Error{ErrorKind::kBadInput, ""});
    if (reader) {
      next_created = (*reader)->created_ns();
    } else if (begun && reader.error().kind == ErrorKind::kIo) {
      notices.push_back(fmt::format("{}; it is tried again", reader.error().text));
    } else if (begun) {
      s.readable = false;
      notices.push_back(fmt::format("{}; its requests are not replayed, and the file stays", reader.error().text));
    }
    found.push_back(s);
  }
  for (auto at = found.rbegin(); at != found.rend(); ++at) segments_.add(*at);
  for (auto at = alone.rbegin(); at != alone.rend(); ++at) segments_.add_ends(at->number, at->bytes);
  if (numbers->empty()) return {};
  has_past_ = true;
  first_order_ = (numbers->back() + 1) << kOrdersOfSegment;
  orders_ = first_order_;
  replay_from_ = numbers->back() + 1;
  JournalSettled settled;
  for (auto at = numbers->rbegin(); at != numbers->rend() && settled.below == 0; ++at)
    settled = settled_in(ends_path(options_.directory, *at));
  const auto is_settled = [&](std::uint64_t number) {
    return number < settled.below && std::find(settled.left.begin(), settled.left.end(), number) == settled.left.end();
  };
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    if (is_settled(at->number) || !at->readable) continue;
    const auto size = fs::file_size(requests_path(options_.directory, at->number), error);
    if (!error && size <= kBlockFileHeaderBytes) continue;
    replay_from_ = at->number;
    break;
  }
  segments_.settle_below(replay_from_);
  replayed_below_ = replay_from_;
  return {};
}

}  // namespace tailgate
