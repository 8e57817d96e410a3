// SPDX-License-Identifier: Apache-2.0
#include "head/head_sampling.h"

namespace tailgate {

Strategy HeadSampling::strategy(std::string_view service, Counts& counts) {
  const StrategiesPtr of_file = strategies();
  count(counts, of_file->names(service) ? PollResult::kFile : PollResult::kDefault);
  return of_file->of(service);
}

std::string HeadSampling::json(std::string_view service) { return strategy_json(strategy(service, polls_http_)); }

Result<std::string> HeadSampling::grpc(ByteView request) {
  const Result<std::string> service = read_strategy_request(request);
  if (!service) {
    count(polls_grpc_, PollResult::kRefused);
    return tl::unexpected(service.error());
  }
  return strategy_proto(strategy(*service, polls_grpc_));
}

StrategiesPtr HeadSampling::strategies() const {
  const MutexLock lock(mutex_);
  return strategies_;
}

bool HeadSampling::set_strategies(StrategiesPtr strategies) {
  const MutexLock lock(mutex_);
  const bool differ = *strategies != *strategies_;
  strategies_ = std::move(strategies);
  return differ;
}

HeadSampling::Polls HeadSampling::read(const Counts& counts) {
  Polls out{};
  for (std::size_t i = 0; i < counts.size(); ++i) out[i] = counts[i].load(std::memory_order_relaxed);
  return out;
}

}  // namespace tailgate
