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

// Of `left`, where `full` is what a member may have of the `whole` at most. What is larger than its share goes when
// that is untouched.
bool fits(double cost, double left, double full, double whole) {
  return cost <= left || (full < whole && left >= full && cost <= whole);
}

// What a count of `rate` a second has when another second begins, `seconds` after the last one that was asked. What is
// left over is not saved up; what was taken on credit is paid back.
double begun_anew(double left, double rate, double seconds) {
  return std::min(rate, std::min(left, 0.0) + seconds * rate);
}

}  // namespace

Limiter::Limiter(LimitRule rule)
    : rule_(std::move(rule)), asked_(rule_.lanes.size()), tokens_(rule_.lanes.size()), candidates_(rule_.lanes.size()) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].burst;
}

void Limiter::set_rule(LimitRule rule) {
  const MutexLock lock(mutex_);
  rule_ = std::move(rule);
  const std::size_t before = tokens_.size();
  asked_.resize(rule_.lanes.size());
  tokens_.resize(rule_.lanes.size());
  for (std::size_t i = before; i < tokens_.size(); ++i) tokens_[i] = mine(i).burst;
  candidates_.resize(rule_.lanes.size());
}

double Limiter::share(std::size_t lane) const { return lane < shares_.lanes.size() ? shares_.lanes[lane] : 1; }

LimitRule::Lane Limiter::mine(std::size_t lane) const {
  return {rule_.lanes[lane].rate * share(lane), rule_.lanes[lane].burst * share(lane)};
}

void Limiter::fill(std::size_t lane, TimePoint now) {
  const LimitRule::Lane rule = mine(lane);
  if (now > filled_) tokens_[lane] += std::chrono::duration<double>(now - filled_).count() * rule.rate;
  tokens_[lane] = std::min(rule.burst, tokens_[lane]);
}

// What was saved up by the old shares stays, up to what the new ones may save.
void Limiter::set_shares(LimitShares shares, TimePoint now) {
  const MutexLock lock(mutex_);
  const bool steady = !rule_.per_second && filled_once_;
  for (std::size_t i = 0; steady && i < tokens_.size(); ++i) fill(i, now);
  if (steady) filled_ = std::max(filled_, now);
  shares_ = std::move(shares);
  for (std::size_t i = 0; !rule_.per_second && i < tokens_.size(); ++i)
    tokens_[i] = std::min(tokens_[i], mine(i).burst);
}

LimitAsked Limiter::take_asked() {
  const MutexLock lock(mutex_);
  LimitAsked out;
  out.asked = std::exchange(asked_, std::vector<double>(rule_.lanes.size()));
  for (const LimitRule::Lane& lane : rule_.lanes) out.rates.push_back(lane.rate);
  out.total_rate = rule_.total;
  return out;
}

bool Limiter::has_room(std::size_t lane, double cost) const {
  const double full = rule_.per_second ? mine(lane).rate : mine(lane).burst;
  const double whole = rule_.per_second ? rule_.lanes[lane].rate : rule_.lanes[lane].burst;
  return fits(cost, tokens_[lane], full, whole) &&
         (rule_.total == 0 || fits(cost, total_left_, rule_.total * shares_.total, rule_.total));
}

bool Limiter::take(std::size_t lane, double cost, TimePoint now) {
  const MutexLock lock(mutex_);
  if (lane >= rule_.lanes.size()) return false;
  asked_[lane] += cost;
  if (rule_.per_second) {
    // A count per second of the clock, as contrib's composite keeps it; here one for the total as well.
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    if (!filled_once_ || second > filled_) {
      const double seconds = filled_once_ ? std::chrono::duration<double>(second - filled_).count() : 1;
      filled_once_ = true;
      filled_ = second;
      for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = begun_anew(tokens_[i], mine(i).rate, seconds);
      total_left_ = begun_anew(total_left_, rule_.total * shares_.total, seconds);
    }
    if (!has_room(lane, cost)) return false;
    tokens_[lane] -= cost;
    total_left_ -= cost;
    return true;
  }
  // golang.org/x/time/rate, which contrib uses: allowed when the tokens are there but for less than a nanosecond of
  // refill; nothing changes otherwise.
  const LimitRule::Lane rule = mine(lane);
  double tokens = tokens_[lane];
  if (!filled_once_) filled_ = now;
  filled_once_ = true;
  if (now > filled_)
    tokens = std::min(rule.burst, tokens + std::chrono::duration<double>(now - filled_).count() * rule.rate);
  const double whole = rule_.lanes[lane].burst;
  if (cost > whole) return false;
  const bool on_credit = fits(cost, tokens, rule.burst, whole);
  tokens -= cost;
  if (tokens < 0 && !on_credit && std::trunc(-tokens / rule.rate * 1e9) > 0) return false;
  tokens_[lane] = tokens;
  filled_ = std::max(filled_, now);
  return true;
}

void Limiter::offer(std::size_t lane, std::uint32_t interval, std::uint64_t random, std::uint64_t cost) {
  const MutexLock lock(mutex_);
  if (lane >= candidates_.size()) return;
  asked_[lane] += static_cast<double>(cost);
  if (!cuts_.empty() && interval <= cuts_.back().interval) return;  // too late for its cut
  if (interval > open_) {
    if (open_ != 0) cut();
    open_ = interval;
  }
  if (candidates_[lane].size() < kCandidatesMax) candidates_[lane].push_back({random, cost});
}

void Limiter::refill(std::uint32_t interval) {
  if (interval <= refilled_) return;
  const double seconds = refilled_ != 0 ? interval - refilled_ : 1;
  for (std::size_t lane = 0; lane < rule_.lanes.size(); ++lane) {
    const LimitRule::Lane rule = mine(lane);
    if (rule_.per_second) {
      tokens_[lane] = begun_anew(tokens_[lane], rule.rate, seconds);
    } else if (refilled_ != 0) {
      tokens_[lane] = std::min(rule.burst, tokens_[lane] + (interval - refilled_) * rule.rate);
    }
  }
  total_left_ = rule_.total > 0 ? begun_anew(total_left_, rule_.total * shares_.total, seconds) : HUGE_VAL;
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
      if (used + cost > room && (used != 0 || !has_room(lane, cost))) {
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
  if (interval == 0) asked_[lane] += static_cast<double>(cost);  // a candidate was counted when it was offered
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
  if (!has_room(lane, wanted)) return {false, kUnknownChance};
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

void KeyedLimiter::set_share(double share, TimePoint now) {
  const MutexLock lock(mutex_);
  if (share == share_) return;
  share_ = share;
  for (auto& [key, entry] : keys_) entry.limiter->set_shares({{share}, 1}, now);
  rest_->set_shares({{share}, 1}, now);
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
    if (share_ != 1) found->second.limiter->set_shares({{share_}, 1}, now);
  }
  found->second.used = std::max(found->second.used, now);
  return found->second.limiter;
}

// A new limiter starts full, so one whose room is whole again can go.
void KeyedLimiter::forget_idle(TimePoint now) {
  if (now < next_look_) return;
  next_look_ = now + kIdleLook;
  const LimitRule::Lane& lane = rule_.lanes[0];
  const double rate = lane.rate * share_;  // what is to be paid back is, too
  const double full = rate > 0 ? lane.burst / rate : 0;
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
  if (limiter == nullptr) {
    known = limiter = std::make_shared<KeyedLimiter>(rule, keys_max);
    limiter->set_share(share_of_keyed_, TimePoint::min());
  }
  return limiter;
}

void Limiters::set_share_of_keyed(double share, TimePoint now) {
  const MutexLock lock(mutex_);
  share_of_keyed_ = share;
  for (const auto& [name, known] : keyed_) {
    if (const std::shared_ptr<KeyedLimiter> limiter = known.lock()) limiter->set_share(share, now);
  }
}

std::vector<std::pair<std::string, LimitAsked>> Limiters::take_asked() const {
  const MutexLock lock(mutex_);
  std::vector<std::pair<std::string, LimitAsked>> out;
  for (const auto& [name, limiter] : all_) out.emplace_back(name, limiter->take_asked());
  return out;
}

void Limiters::set_shares(const std::string& name, LimitShares shares, TimePoint now) const {
  const MutexLock lock(mutex_);
  const auto found = all_.find(name);
  if (found != all_.end()) found->second->set_shares(std::move(shares), now);
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
