// SPDX-License-Identifier: Apache-2.0
// JaegerClients: counts what Jaeger clients lose before it reaches us. A client numbers its batches (seqNo) and reports
// the spans that it dropped itself (ClientStats). Losses count from the first batch of a client that this daemon has
// seen.
//
// A client is known by the client-uuid of its process, else by its sender and service. The last 4,096 clients are
// remembered, in 400 KiB at most. Threads: any; one lock, taken per batch that carries such numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "receive/refusal_reason.h"
#include "wire/jaeger/thrift.h"

namespace tailgate {

class JaegerClients {
 public:
  // Records the numbers of one batch. `sender` is the same for the same address.
  void record(const JaegerClient& client, std::uint64_t sender);

  struct Lost {
    std::uint64_t batches = 0;                                   // gaps in seqNo
    std::array<std::uint64_t, kClientLossNames.size()> spans{};  // by ClientLoss
  };
  Lost lost() const;

 private:
  static constexpr std::size_t kGeneration = 2048;
  static constexpr std::int64_t kGapMax = 100'000;  // a larger one means another client, or a false number

  struct Client {
    std::int64_t seq_no = -1;
    std::array<std::int64_t, kClientLossNames.size()> spans{};
    bool has_spans = false;
  };
  Client& find(std::uint64_t key) TAILGATE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  // When there are enough young ones, they become the old ones.
  std::unordered_map<std::uint64_t, Client> young_ TAILGATE_GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, Client> old_ TAILGATE_GUARDED_BY(mutex_);
  Lost lost_ TAILGATE_GUARDED_BY(mutex_);
  const std::uint64_t seed_ = new_seed();
  static std::uint64_t new_seed();
};

}  // namespace tailgate
