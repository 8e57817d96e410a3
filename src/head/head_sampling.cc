// SPDX-License-Identifier: Apache-2.0
#include "head/head_sampling.h"

#include "codec/json_text.h"
#include "head/memory_file.h"

namespace tailgate {
namespace {

constexpr Duration kSaveEvery = std::chrono::minutes(1);

}  // namespace

HeadSampling::HeadSampling(const RemoteSamplingConfig& config, std::size_t parts, std::uint64_t seed, TimePoint now)
    : adaptive_(config.adaptive), strategies_(config.strategies), ticked_(now), saved_(now) {
  if (!adaptive_) return;
  sampler_.emplace(*adaptive_);
  watch_ = std::make_unique<RootWatch>(*adaptive_, parts, seed);
}

Strategy HeadSampling::strategy(std::string_view service, TimePoint now, Counts& counts) {
  const MutexLock lock(mutex_);
  if (strategies_->names(service)) {
    count(counts, PollResult::kFile);
    return strategies_->of(service);
  }
  if (sampler_) {
    if (std::optional<Strategy> adapted = sampler_->poll(service, now)) {
      count(counts, PollResult::kAdaptive);
      return std::move(*adapted);
    }
  }
  count(counts, PollResult::kDefault);
  return strategies_->of(service);
}

std::string HeadSampling::json(std::string_view service, TimePoint now) {
  return strategy_json(strategy(service, now, polls_http_));
}

Result<std::string> HeadSampling::grpc(ByteView request, TimePoint now) {
  const Result<std::string> service = read_strategy_request(request);
  if (!service) {
    count(polls_grpc_, PollResult::kRefused);
    return tl::unexpected(service.error());
  }
  return strategy_proto(strategy(*service, now, polls_grpc_));
}

std::string HeadSampling::explain(std::string_view service) const {
  const MutexLock lock(mutex_);
  std::string out = R"({"by_file":[)";
  bool first = true;
  for (const auto& [name, strategy] : strategies_->by_service()) {
    if (!service.empty() && service != name) continue;
    if (!first) out += ',';
    first = false;
    append_json_string(out, name);
  }
  out += R"(],"adaptive":)";
  out += sampler_ ? sampler_->explain(service) : "null";
  out += "}\n";
  return out;
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

void HeadSampling::kept(const KeptTrace& trace) {
  if (trace.part != 0 || trace.late || trace.own || !trace.has_root) return;  // one count for a trace
  watch_->kept(trace.root_service, trace.root_name);
}

void HeadSampling::set_share(double share) {
  const MutexLock lock(mutex_);
  if (sampler_) sampler_->set_share(share);
}

Result<void> HeadSampling::tick(TimePoint now) {
  if (watch_ == nullptr || now - ticked_ < adaptive_->poll_interval / AdaptiveSampler::kTicksPerPoll) return {};
  const RootWatch::Counted counted = watch_->take();
  {
    const MutexLock lock(mutex_);
    sampler_->count_spans(counted.spans);
    for (const CountedRoots& one : counted.roots) sampler_->count(one.service, one.operation, one.counts, now);
    sampler_->tick(now - ticked_, now);
  }
  ticked_ = now;
  if (now - saved_ < kSaveEvery) return {};
  saved_ = now;
  return save();
}

Result<void> HeadSampling::load(TimePoint now) {
  if (!adaptive_ || adaptive_->directory.empty()) return {};
  const Result<std::vector<AdaptiveSampler::Memory>> memory = load_memory(adaptive_->directory);
  if (!memory) return tl::unexpected(memory.error());
  const MutexLock lock(mutex_);
  sampler_->recall(*memory, now);
  return {};
}

Result<void> HeadSampling::save() const {
  if (!adaptive_ || adaptive_->directory.empty()) return {};
  std::vector<AdaptiveSampler::Memory> memory;
  {
    const MutexLock lock(mutex_);
    memory = sampler_->remember();
  }
  return save_memory(adaptive_->directory, memory);
}

AdaptiveSampler::Stats HeadSampling::stats() const {
  AdaptiveSampler::Stats out;
  {
    const MutexLock lock(mutex_);
    if (!sampler_) return out;
    out = sampler_->stats();
  }
  out.overflow_roots += watch_->overflow_roots();
  return out;
}

}  // namespace tailgate
