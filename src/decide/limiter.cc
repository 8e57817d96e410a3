#include "decide/limiter.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/threshold.h"

namespace tailgate {
namespace {

constexpr std::size_t kCutsKept = 16;
constexpr std::size_t kCandidatesMax = 1 << 20;  // of a lane and interval; those beyond follow the cut of the others

}  // namespace

Limiter::Limiter(LimitRule rule)
    : rule_(std::move(rule)),
      tokens_(rule_.lanes.size()),
      candidates_(rule_.lanes.size()),
      offered_(rule_.lanes.size()) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].burst;
}

void Limiter::set_rule(LimitRule rule) {
  const std::lock_guard lock(mutex_);
  rule_ = std::move(rule);
  const std::size_t before = tokens_.size();
  tokens_.resize(rule_.lanes.size());
  for (std::size_t i = before; i < tokens_.size(); ++i) tokens_[i] = rule_.lanes[i].burst;
  candidates_.resize(rule_.lanes.size());
  offered_.resize(rule_.lanes.size());
}

bool Limiter::take(std::size_t lane, double cost, TimePoint now) {
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  if (lane >= candidates_.size()) return;
  if (!cuts_.empty() && interval <= cuts_.back().interval) return;  // too late: it follows the cut of the others
  if (interval > open_) {
    if (open_ != 0) cut();
    open_ = interval;
  }
  if (cuts_.empty()) offered_[lane] += cost;
  if (candidates_[lane].size() < kCandidatesMax) candidates_[lane].push_back({random, cost});
}

void Limiter::cut() {
  double left = rule_.total > 0 ? rule_.total : HUGE_VAL;
  // Whole intervals have gone by since the last cut, this one included.
  const double seconds = cuts_.empty() ? 1 : open_ - cuts_.back().interval;
  Cut result{open_, {}};
  for (std::size_t lane = 0; lane < rule_.lanes.size(); ++lane) {
    const LimitRule::Lane& rule = rule_.lanes[lane];
    std::vector<Candidate>& all = candidates_[lane];
    const bool first = cuts_.empty();
    double& tokens = tokens_[lane];
    tokens = rule_.per_second ? rule.rate : std::min(rule.burst, first ? rule.burst : tokens + seconds * rule.rate);
    double room = std::min(tokens, left);
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.random > b.random; });
    std::uint64_t threshold = kCertain;
    double used = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto cost = static_cast<double>(all[i].cost);
      if (used + cost > room) {
        threshold = ThresholdTable::round_up(std::min(kNever, all[i].random + 1));
        break;
      }
      used += cost;
    }
    if (threshold != kCertain) {  // ties with the first one rejected, and what the rounding cost, give their room back
      used = 0;
      for (const Candidate& candidate : all)
        used += candidate.random >= threshold ? static_cast<double>(candidate.cost) : 0;
    }
    tokens -= used;
    left -= used;
    result.thresholds.push_back(threshold);
    all.clear();
  }
  open_ = 0;
  cuts_.push_back(std::move(result));
  if (cuts_.size() > kCutsKept) cuts_.erase(cuts_.begin());
}

std::uint64_t Limiter::threshold(std::size_t lane, std::uint32_t interval) {
  const std::lock_guard lock(mutex_);
  if (open_ != 0 && interval >= open_) cut();  // an interval that is asked about is over
  if (cuts_.empty()) {
    if (lane >= rule_.lanes.size()) return kNever;
    const double room = rule_.per_second ? rule_.lanes[lane].rate : rule_.lanes[lane].burst;
    const std::uint64_t all = std::accumulate(offered_.begin(), offered_.end(), std::uint64_t{0});
    const bool total_left = rule_.total <= 0 || static_cast<double>(all) <= rule_.total;
    return static_cast<double>(offered_[lane]) <= room && total_left ? kCertain : kNever;
  }
  const auto it = std::find_if(cuts_.rbegin(), cuts_.rend(), [&](const Cut& c) { return c.interval <= interval; });
  const Cut& found = it != cuts_.rend() ? *it : cuts_.front();
  return lane < found.thresholds.size() ? found.thresholds[lane] : kNever;
}

std::shared_ptr<Limiter> Limiters::get(const std::string& name, const LimitRule& rule) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Limiter>& limiter = all_[name];
  if (limiter == nullptr) limiter = std::make_shared<Limiter>(rule);
  return limiter;
}

}  // namespace tailgate
