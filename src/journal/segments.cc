// SPDX-License-Identifier: Apache-2.0
#include "journal/segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace tailgate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 13;
constexpr std::string_view kRequests = ".requests";
constexpr std::string_view kEnds = ".ends";

std::optional<std::uint64_t> number_of(std::string_view name) {
  if (name.size() <= kDigits) return std::nullopt;
  const std::string_view suffix = name.substr(kDigits);
  if (suffix != kRequests && suffix != kEnds) return std::nullopt;
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, out);
  if (error != std::errc() || end != name.data() + kDigits) return std::nullopt;
  return out;
}

}  // namespace

std::string requests_path(const std::string& directory, std::uint64_t segment) {
  return fmt::format("{}/{:0{}}{}", directory, segment, kDigits, kRequests);
}

std::string ends_path(const std::string& directory, std::uint64_t segment) {
  return fmt::format("{}/{:0{}}{}", directory, segment, kDigits, kEnds);
}

Result<std::vector<std::uint64_t>> segment_numbers(const std::string& directory) {
  std::vector<std::uint64_t> out;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (const auto number = number_of(at->path().filename().string())) out.push_back(*number);
  }
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot read the directory '{}': {}", directory, error.message()));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::uint64_t SegmentList::bytes() const {
  std::uint64_t out = 0;
  for (const Segment& s : segments_) out += s.bytes;
  return out + ends_bytes();
}

std::uint64_t SegmentList::ends_bytes() const {
  std::uint64_t out = 0;
  for (const Ends& e : ends_) out += e.bytes;
  return out;
}

void SegmentList::add(Segment segment) {
  if (!segments_.empty()) segment.end = std::max(segment.end, segments_.back().end);
  segments_.push_back(segment);
}

std::deque<Segment>::iterator SegmentList::find(std::uint64_t number) {
  const auto at = std::lower_bound(segments_.begin(), segments_.end(), number,
                                   [](const Segment& s, std::uint64_t wanted) { return s.number < wanted; });
  return at != segments_.end() && at->number == number ? at : segments_.end();
}

bool SegmentList::indexed(std::uint64_t number, std::uint64_t bytes) {
  const auto at = find(number);
  if (at == segments_.end()) return false;
  at->indexed = true;
  at->bytes += bytes;
  return true;
}

void SegmentList::drop(std::uint64_t number) {
  const auto at = find(number);
  if (at == segments_.end()) return;
  if (at->ends_bytes != 0) {
    const auto next = std::find_if(ends_.begin(), ends_.end(), [&](const Ends& e) { return e.number > number; });
    ends_.insert(next, {at->number, at->ends_bytes});
  }
  segments_.erase(at);
}

void SegmentList::ends_after(std::uint64_t number, TimePoint time) {
  for (auto at = find(number); at != segments_.end() && at->end < time; ++at) at->end = time;
}

std::uint64_t SegmentList::pin(TimePoint first) {
  const auto at = std::lower_bound(segments_.begin(), segments_.end() - 1, first,
                                   [](const Segment& s, TimePoint wanted) { return s.end < wanted; });
  ++at->pins;
  return at->number;
}

void SegmentList::unpin(std::uint64_t number) {
  const auto at = find(number);
  if (at != segments_.end()) --at->pins;
}

bool SegmentList::settle(TimePoint decided, std::uint64_t limit) {
  const std::uint64_t before = settled_;
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    const Segment& s = segments_[i];
    if (s.number < settled_) continue;
    if (s.number >= limit || s.end > decided || s.pins != 0) break;
    settled_ = s.number + 1;
  }
  return settled_ != before;
}

std::vector<std::uint64_t> SegmentList::left() const {
  std::vector<std::uint64_t> out;
  for (const Segment& s : segments_) {
    if (!s.readable && s.number < settled_) out.push_back(s.number);
  }
  return out;
}

const Segment* SegmentList::deletable() const {
  for (std::size_t i = 0; i + 1 < segments_.size() && segments_[i].number < settled_; ++i) {
    if (segments_[i].readable) return &segments_[i];
  }
  return nullptr;
}

}  // namespace tailgate
