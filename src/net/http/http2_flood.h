// SPDX-License-Identifier: Apache-2.0
// FloodGuard: counts what the peer of one HTTP/2 connection sends without making progress: small frames, resets, header
// lists over the limit (RFC 9113 section 10.5). Belongs to the session's I/O thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/limits.h"

namespace tailgate {

inline constexpr std::size_t kFrameHeader = 9;  // bytes, RFC 9113 section 4.1
inline constexpr std::size_t kSmallFrame = 64;  // payload; a larger frame costs the peer enough bandwidth

// Counts small frames in the raw bytes, because nghttp2 does not report the frames that it ignores (unknown types,
// closed streams).
class FrameCounter {
 public:
  void feed(ByteView bytes) {
    for (;;) {
      const std::size_t skipped = std::min(skip_, bytes.size());
      skip_ -= skipped;
      bytes.remove_prefix(skipped);
      if (bytes.empty()) return;
      const std::size_t taken = std::min(kFrameHeader - have_, bytes.size());
      for (std::size_t i = 0; i < taken && have_ + i < 3; ++i)
        length_ = length_ << 8 | static_cast<unsigned char>(bytes[i]);
      have_ += taken;
      bytes.remove_prefix(taken);
      if (have_ < kFrameHeader) return;
      if (length_ < kSmallFrame) ++small;
      skip_ = length_;
      have_ = length_ = 0;
    }
  }
  std::uint64_t small = 0;

 private:
  std::size_t skip_ = 24;  // the preface
  std::size_t have_ = 0;
  std::size_t length_ = 0;
};

// A call that returns bool returns false when there was one too many.
class FloodGuard {
 public:
  FloodGuard(const ServerLimits& limits, TimePoint now) : limits_(limits), forgiven_(now), resets_since_(now) {}

  bool frame(std::size_t length) {
    if (length < kSmallFrame) ++small_reported_;
    return ++frames_ <= limits_.frames_without_progress;
  }
  // Takes all bytes of a read, after frame() was called for the frames that nghttp2 reported.
  bool read(ByteView bytes) {
    counter_.feed(bytes);
    frames_ += static_cast<std::uint32_t>(counter_.small - small_reported_);
    small_reported_ = counter_.small;
    return frames_ <= limits_.frames_without_progress;
  }
  void body(std::size_t bytes) {
    frames_ -= static_cast<std::uint32_t>(std::min<std::size_t>(frames_, 1 + bytes / kSmallFrame));
  }
  void request() { frames_ = 0; }
  bool reset(TimePoint now) {
    if (now - resets_since_ >= std::chrono::seconds(1)) {
      resets_since_ = now;
      resets_ = 0;
    }
    return ++resets_ <= limits_.resets_per_second;
  }
  bool large_headers() { return ++large_headers_ <= limits_.large_header_streams; }
  void tick(TimePoint now) {
    const auto forgiven = static_cast<std::uint32_t>((now - forgiven_) / std::chrono::milliseconds(100));
    if (forgiven == 0) return;
    frames_ -= std::min(frames_, forgiven);
    forgiven_ = now;
  }

 private:
  const ServerLimits& limits_;
  FrameCounter counter_;
  std::uint64_t small_reported_ = 0;  // small frames frame() was called for
  std::uint32_t frames_ = 0;          // without progress
  TimePoint forgiven_;
  std::uint32_t resets_ = 0;
  TimePoint resets_since_;
  std::uint32_t large_headers_ = 0;
};

}  // namespace tailgate
