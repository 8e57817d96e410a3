// SPDX-License-Identifier: Apache-2.0
// HeadSampling: answers the SDKs that ask what to sample. docs/head-sampling.md, docs/design/0022-head-sampling.md.
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/enum_names.h"
#include "base/mutex.h"
#include "base/result.h"
#include "head/config.h"

namespace tailgate {

// Where an answer came from.
enum class PollResult : std::uint8_t {
  kFile,     // the strategies file names the service
  kDefault,  // nobody names it
  kRefused,  // the request could not be read
};
inline constexpr std::array<std::string_view, 3> kPollResultNames = {"file", "default", "refused"};
static_assert(names_end_with(kPollResultNames, PollResult::kRefused, "refused"));

class HeadSampling {
 public:
  explicit HeadSampling(RemoteSamplingConfig config) : strategies_(std::move(config.strategies)) {}

  // The answer to a GET for `service`, and to a gRPC call; errors of it: kBadInput.
  std::string json(std::string_view service);
  Result<std::string> grpc(ByteView request);
  // A GET that named no service, or several.
  void count_refused_get() { count(polls_http_, PollResult::kRefused); }

  StrategiesPtr strategies() const;
  // True: they differ from those before.
  bool set_strategies(StrategiesPtr strategies);

  // Polls answered, by PollResult.
  using Polls = std::array<std::uint64_t, kPollResultNames.size()>;
  Polls polls_http() const { return read(polls_http_); }
  Polls polls_grpc() const { return read(polls_grpc_); }

 private:
  using Counts = std::array<std::atomic<std::uint64_t>, kPollResultNames.size()>;
  static void count(Counts& counts, PollResult result) {
    counts[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed);
  }
  static Polls read(const Counts& counts);
  Strategy strategy(std::string_view service, Counts& counts);

  mutable Mutex mutex_;
  StrategiesPtr strategies_ TAILGATE_GUARDED_BY(mutex_);
  Counts polls_http_{}, polls_grpc_{};
};

}  // namespace tailgate
