// SPDX-License-Identifier: Apache-2.0
// HalfEdges: sides of requests that wait for their other side: the client's span for the server's, or the other way
// about. Both give the same key. There is room for a fixed number; it is made at the start.
//
//   pool      the sides, in a list from the oldest to the newest
//   heads[]   by key: the first side of a chain
//
// Belongs to the holder of one lock. Time is an argument, in milliseconds of any clock. A key is a seeded hash of 64
// bits: of 100,000 sides that wait, one meets a wrong one with a chance of 1 in 10^14.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

namespace tailgate {

enum class EdgeType : std::uint8_t { kPlain, kMessaging, kDatabase, kVirtual };

struct HalfEdge {
  std::uint64_t key = 0;
  std::uint64_t duration_ns = 0;
  std::uint32_t service = 0;  // by its number
  std::uint32_t peer = 0;     // of a client: what its attributes say it calls; 0: nothing
  bool client = false;        // or server
  bool failed = false;
  EdgeType type = EdgeType::kPlain;
};

class HalfEdges {
 public:
  explicit HalfEdges(std::size_t max);
  static std::size_t bytes_max(std::size_t max);

  enum class Added {
    kWaits,
    kPaired,    // `other` is the other side, which waits no longer; good until the next call
    kReplaced,  // the same side was there already, and is the new one now
    kFull,      // there is no room
  };
  Added add(const HalfEdge& half, std::uint32_t now_ms, const HalfEdge*& other);

  // Takes the oldest out if it came at or before `until_ms`. Milliseconds may wrap around.
  std::optional<HalfEdge> take_old(std::uint32_t until_ms);

  template <class Visit>
  void each(Visit visit) const {  // from the oldest on
    for (std::uint32_t i = oldest_; i != kNone; i = pool_[i].newer) visit(pool_[i].half);
  }

  std::size_t size() const { return size_; }
  // For speed only; any thread.
  void prefetch(std::uint64_t key) const { __builtin_prefetch(&heads_[key & mask_]); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct alignas(64) Item {  // a line of the processor's cache
    HalfEdge half;
    std::uint32_t at_ms = 0;
    std::uint32_t chain = kNone;                 // the next with this end of the key; of a free one, the next free one
    std::uint32_t older = kNone, newer = kNone;  // neighbours in time
  };

  void remove(std::uint32_t item, std::uint32_t* link);

  const std::size_t max_, mask_;  // mask_: number of heads minus 1
  const std::unique_ptr<Item[]> pool_;
  const std::unique_ptr<std::uint32_t[]> heads_;
  std::uint32_t free_ = kNone, oldest_ = kNone, newest_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace tailgate
