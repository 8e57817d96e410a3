// SPDX-License-Identifier: Apache-2.0
// HeadSampling: answers the SDKs that ask what to sample: by the strategies file where it names the service, else by
// what came in so far (AdaptiveSampler), else by the file's default. docs/head-sampling.md,
// docs/design/0023-head-sampling.md.
//
// Threads: any; tick(), load() and save() by one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/enum_names.h"
#include "base/mutex.h"
#include "base/result.h"
#include "head/config.h"
#include "head/root_watch.h"
#include "model/kept_trace.h"

namespace tailgate {

// Where an answer came from.
enum class PollResult : std::uint8_t {
  kFile,      // the strategies file names the service
  kAdaptive,  // the probabilities follow the target
  kDefault,   // neither
  kRefused,   // the request could not be read
};
inline constexpr std::array<std::string_view, 4> kPollResultNames = {"file", "adaptive", "default", "refused"};
static_assert(names_end_with(kPollResultNames, PollResult::kRefused, "refused"));

class HeadSampling {
 public:
  // `parts`: threads that count at the same time.
  HeadSampling(const RemoteSamplingConfig& config, std::size_t parts, std::uint64_t seed, TimePoint now);

  // The answer to a GET for `service`, and to a gRPC call; errors of it: kBadInput.
  std::string json(std::string_view service, TimePoint now);
  Result<std::string> grpc(ByteView request, TimePoint now);
  // A GET that named no service, or several.
  void count_refused_get() { count(polls_http_, PollResult::kRefused); }
  // What is given to whom and why, as JSON; `service` "" is all.
  std::string explain(std::string_view service) const;

  StrategiesPtr strategies() const;
  // True: they differ from those before.
  bool set_strategies(StrategiesPtr strategies);

  // Polls answered, by PollResult.
  using Polls = std::array<std::uint64_t, kPollResultNames.size()>;
  Polls polls_http() const { return read(polls_http_); }
  Polls polls_grpc() const { return read(polls_grpc_); }

  // --- adaptive
  bool is_adaptive() const { return watch_ != nullptr; }
  // Sees the spans that receivers take; null when it is off.
  SpanWatch* watch() const { return watch_.get(); }
  bool wants_kept() const { return watch_ != nullptr && adaptive_->target == AdaptiveConfig::Target::kKept; }
  void kept(const KeptTrace& trace);
  // See AdaptiveSampler.
  void set_share(double share);
  // To be called about every second. Errors are those of save(), which it calls once a minute.
  Result<void> tick(TimePoint now);
  // What was saved before a restart. Errors: kIo (the directory cannot be used), kConfig (the file is damaged: nothing
  // was loaded).
  Result<void> load(TimePoint now);
  Result<void> save() const;
  AdaptiveSampler::Stats stats() const;

 private:
  using Counts = std::array<std::atomic<std::uint64_t>, kPollResultNames.size()>;
  static void count(Counts& counts, PollResult result) {
    counts[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed);
  }
  static Polls read(const Counts& counts);
  Strategy strategy(std::string_view service, TimePoint now, Counts& counts);

  const std::optional<AdaptiveConfig> adaptive_;
  mutable Mutex mutex_;
  StrategiesPtr strategies_ TAILGATE_GUARDED_BY(mutex_);
  std::optional<AdaptiveSampler> sampler_ TAILGATE_GUARDED_BY(mutex_);
  std::unique_ptr<RootWatch> watch_;  // null: off
  TimePoint ticked_, saved_;
  Counts polls_http_{}, polls_grpc_{};
};

}  // namespace tailgate
