// SPDX-License-Identifier: Apache-2.0
#include "decide/limiter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/threshold.h"

namespace tailgate {
namespace {

constexpr std::size_t kCutsKept = 4;
constexpr Duration kIdleLook = std::chrono::seconds(1);
constexpr double kIdleMin = 10, kIdleMax = 3600;  // seconds
constexpr std::size_t kCandidatesMax = 1 << 20;   // of a lane and interval; those beyond come after the cut

}  // namespace

Limiter::Limiter(LimitRule rule)
    : rule_(std::move(rule)), tokens_(rule_.lanes.size()), candidates_(rule_.lanes.size()) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].burst;
}

void Limiter::set_rule(LimitRule rule) {
  const MutexLock lock(mutex_);
  rule_ = std::move(rule);
  const std::size_t before = tokens_.size();
  tokens_.resize(rule_.lanes.size());
  for (std::size_t i = before; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].burst;
  candidates_.resize(rule_.lanes.size());
}

bool Limiter::take(std::size_t lane, double cost, TimePoint now) {
  const MutexLock lock(mutex_);
  if (lane >= rule_.lanes.size()) return false;
  if (rule_.per_second) {
    // A count per second of the clock, as contrib's composite keeps it; here one for the total as well.
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    if (!filled_once_ || second > filled_) {
      filled_once_ = true;
      filled_ = second;
      for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].rate;
      total_left_ = rule_.total;
    }
    if (cost > tokens_[lane] || cost > total_left_) return false;
    tokens_[lane] -= cost;
    total_left_ -= cost;
    return true;
  }
  // golang.org/x/time/rate, which contrib uses: allowed when the tokens are there but for less than a nanosecond of
  // refill; nothing changes otherwise.
  const LimitRule::Lane& rule = rule_.lanes[lane];
  double tokens = tokens_[lane];
  if (!filled_once_) filled_ = now;
  filled_once_ = true;
  if (now > filled_)
    tokens = std::min(rule.burst, tokens + std::chrono::duration<double>(now - filled_).count() * rule.rate);
  if (cost > rule.burst) return false;
  tokens -= cost;
  if (tokens < 0 && std::trunc(-tokens / rule.rate * 1e9) > 0) return false;
  tokens_[lane] = tokens;
  filled_ = std::max(filled_, now);
  return true;
}

void Limiter::offer(std::size_t lane, std::uint32_t interval, std::uint64_t random, std::uint64_t cost) {
  const MutexLock lock(mutex_);
  if (lane >= candidates_.size()) return;
  if (!cuts_.empty() && interval <= cuts_.back().interval) return;  // too late for its cut
  if (interval > open_) {
    if (open_ != 0) cut();
    open_ = interval;
  }
  if (candidates_[lane].size() < kCandidatesMax) candidates_[lane].push_back({random, cost});
}

void Limiter::refill(std::uint32_t interval) {
  if (interval <= refilled_) return;
  for (std::size_t lane = 0; lane < rule_.lanes.size(); ++lane) {
    const LimitRule::Lane& rule = rule_.lanes[lane];
    if (rule_.per_second) {
      tokens_[lane] = rule.rate;
    } else if (refilled_ != 0) {
      tokens_[lane] = std::min(rule.burst, tokens_[lane] + (interval - refilled_) * rule.rate);
    }
  }
  total_left_ = rule_.total > 0 ? rule_.total : HUGE_VAL;
  refilled_ = interval;
}

void Limiter::cut() {
  refill(open_);
  Cut result{open_, {}, {}};
  for (std::size_t lane = 0; lane < rule_.lanes.size(); ++lane) {
    std::vector<Candidate>& all = candidates_[lane];
    const double room = std::min(tokens_[lane], total_left_);
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.random > b.random; });
    std::uint64_t threshold = kCertain;
    double used = 0;
    for (const Candidate& candidate : all) {
      const auto cost = static_cast<double>(candidate.cost);
      if (used + cost > room) {
        threshold = ThresholdTable::round_up(std::min(kNever, candidate.random + 1));
        break;
      }
      used += cost;
    }
    if (threshold != kCertain) {  // ties with the first one rejected, and what the rounding cost, give their room back
      std::erase_if(all, [&](const Candidate& candidate) { return candidate.random < threshold; });
      used = 0;
      for (const Candidate& candidate : all) used += static_cast<double>(candidate.cost);
    }
    tokens_[lane] -= used;
    total_left_ -= used;
    result.thresholds.push_back(threshold);
    result.accepted.push_back(std::exchange(all, {}));
  }
  open_ = 0;
  cuts_.push_back(std::move(result));
  if (cuts_.size() > kCutsKept) cuts_.erase(cuts_.begin());
}

Limiter::Answer Limiter::answer(std::size_t lane, std::uint32_t interval, std::uint64_t random, std::uint64_t cost,
                                TimePoint now) {
  const MutexLock lock(mutex_);
  if (lane >= rule_.lanes.size()) return {false, kCertain};
  const std::uint32_t running = limit_interval(now);
  if (open_ != 0 && running > open_) cut();
  if (interval != 0 && interval < running) {
    const auto it = std::find_if(cuts_.begin(), cuts_.end(), [&](const Cut& c) { return c.interval == interval; });
    if (it != cuts_.end() && lane < it->thresholds.size()) {
      if (random < it->thresholds[lane]) return {false, kUnknownChance};
      const std::vector<Candidate>& accepted = it->accepted[lane];
      auto found = std::lower_bound(accepted.begin(), accepted.end(), random,
                                    [](const Candidate& c, std::uint64_t r) { return c.random > r; });
      for (; found != accepted.end() && found->random == random; ++found) {
        if (cost <= found->cost) return {true, it->thresholds[lane]};
      }
    }
  }
  refill(running);
  const auto wanted = static_cast<double>(cost);
  if (wanted > std::min(tokens_[lane], total_left_)) return {false, kUnknownChance};
  tokens_[lane] -= wanted;
  total_left_ -= wanted;
  return {true, kUnknownChance};
}

KeyedLimiter::KeyedLimiter(const LimitRule& rule, std::size_t keys_max)
    : rule_(rule), keys_max_(keys_max), rest_(std::make_shared<Limiter>(rule)) {}

void KeyedLimiter::set_rule(const LimitRule& rule, std::size_t keys_max) {
  const MutexLock lock(mutex_);
  rule_ = rule;
  keys_max_ = keys_max;
  for (auto& [key, entry] : keys_) entry.limiter->set_rule(rule);
  rest_->set_rule(rule);
}

std::shared_ptr<Limiter> KeyedLimiter::of(std::uint64_t key, TimePoint now) {
  const MutexLock lock(mutex_);
  auto found = keys_.find(key);
  if (found == keys_.end()) {
    if (keys_.size() >= keys_max_) forget_idle(now);
    if (keys_.size() >= keys_max_) {
      ++shared_;
      return rest_;
    }
    found = keys_.emplace(key, Entry{std::make_shared<Limiter>(rule_), now}).first;
  }
  found->second.used = std::max(found->second.used, now);
  return found->second.limiter;
}

// A new limiter starts full, so one whose room is whole again can go.
void KeyedLimiter::forget_idle(TimePoint now) {
  if (now < next_look_) return;
  next_look_ = now + kIdleLook;
  const LimitRule::Lane& lane = rule_.lanes[0];
  const double full = lane.rate > 0 ? lane.burst / lane.rate : 0;
  const auto idle = std::chrono::seconds(static_cast<std::int64_t>(std::clamp(std::ceil(full), kIdleMin, kIdleMax)));
  std::erase_if(keys_, [&](const auto& item) { return now - item.second.used > idle; });
}

KeyedLimiter::Counts KeyedLimiter::counts() const {
  const MutexLock lock(mutex_);
  return {keys_.size(), shared_};
}

std::shared_ptr<KeyedLimiter> Limiters::get_keyed(const std::string& name, const LimitRule& rule,
                                                  std::size_t keys_max) {
  const MutexLock lock(mutex_);
  std::erase_if(keyed_, [](const auto& item) { return item.second.expired(); });
  std::weak_ptr<KeyedLimiter>& known = keyed_[name];
  std::shared_ptr<KeyedLimiter> limiter = known.lock();
  if (limiter == nullptr) known = limiter = std::make_shared<KeyedLimiter>(rule, keys_max);
  return limiter;
}

std::vector<std::pair<std::string, KeyedLimiter::Counts>> Limiters::keyed() const {
  const MutexLock lock(mutex_);
  std::vector<std::pair<std::string, KeyedLimiter::Counts>> out;
  for (const auto& [name, known] : keyed_) {
    if (const std::shared_ptr<KeyedLimiter> limiter = known.lock()) out.emplace_back(name, limiter->counts());
  }
  return out;
}

std::shared_ptr<Limiter> Limiters::get(const std::string& name, const LimitRule& rule) {
  const MutexLock lock(mutex_);
  std::shared_ptr<Limiter>& limiter = all_[name];
  if (limiter == nullptr) limiter = std::make_shared<Limiter>(rule);
  return limiter;
}

}  // namespace tailgate
