// What Jaeger clients lose before it reaches us: each numbers its batches (seqNo) and reports the spans it has dropped
// itself (ClientStats). Losses are counted from the first batch this daemon has seen of a client.
//
// Clients are told apart by the client-uuid of their process, else by where they send from and their service. The last
// 4,096 of them are remembered, some 400 KiB at most. Threads: any; one lock, taken per batch that carries such
// numbers.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "wire/jaeger/thrift.h"

namespace tailgate {

class JaegerClients {
 public:
  // `sender`: the same for the same address.
  void saw(const JaegerClient& client, std::uint64_t sender);

  struct Lost {
    std::uint64_t batches = 0;             // gaps in seqNo
    std::array<std::uint64_t, 3> spans{};  // full queue, too large, failed to emit
  };
  Lost lost() const;

 private:
  static constexpr std::size_t kGeneration = 2048;
  static constexpr std::int64_t kGapMax = 100'000;  // a larger one is no loss but another client, or a lie

  struct Client {
    std::int64_t seq_no = -1;
    std::array<std::int64_t, 3> spans{};
    bool has_spans = false;
  };
  Client& find(std::uint64_t key);

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, Client> young_,
      old_;    // guarded by mutex_; the young become old when there are enough
  Lost lost_;  // guarded by mutex_
  const std::uint64_t seed_ = new_seed();
  static std::uint64_t new_seed();
};

}  // namespace tailgate
