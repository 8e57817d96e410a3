// SPDX-License-Identifier: Apache-2.0
// latency: keeps a trace that lasts longer than a threshold, and no longer than an upper one if that is given.
//     - {name: slow, type: latency, latency: {threshold_ms: 1000, upper_threshold_ms: 30000}}
// Duration is last end minus first start over the spans received, cut to whole milliseconds, so clock skew between
// hosts can stretch it. The threshold itself is not over it (contrib tail_sampling since v0.158). The upper threshold
// is asked of the whole trace, where contrib asks it of every prefix in arrival order (#43948); a written 0 means 0.
#include <fmt/format.h>

#include <optional>

#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class Latency final : public Policy {
 public:
  Latency(std::int64_t threshold_ms, std::optional<std::int64_t> upper_ms)
      : threshold_ms_(threshold_ms), upper_ms_(upper_ms) {}

  Ballot evaluate(const JudgedTrace& trace) const override {
    const std::int64_t ms = trace.facts.duration_ns() / 1'000'000;
    const bool keep = ms > threshold_ms_ && (!upper_ms_ || ms <= *upper_ms_);
    return ballot(keep);
  }
  std::string why(const AskedVote& asked) const override {
    const std::string upper = upper_ms_ ? fmt::format(" and <= {} ms", *upper_ms_) : "";
    return fmt::format("duration {}, wanted > {} ms{}", duration_words(asked.trace.facts.duration_ns()), threshold_ms_,
                       upper);
  }

 private:
  std::int64_t threshold_ms_;
  std::optional<std::int64_t> upper_ms_;
};

}  // namespace

PolicyPtr make_latency(const ConfigNode& entry, PolicyBuild&) {
  const ConfigNode node = entry.child("latency");
  const std::int64_t threshold = node.integer("threshold_ms", 0, {.min = 0});
  std::optional<std::int64_t> upper;
  if (!node.child("upper_threshold_ms").is_null()) {
    upper = node.integer("upper_threshold_ms", 0, {.min = 0});
    node.notice(
        "upper_threshold_ms is asked of the whole trace; contrib asks it of every part of it in order of arrival");
  }
  if (upper && *upper <= threshold) node.error("upper_threshold_ms", "expected more than threshold_ms");
  node.finish();
  return std::make_unique<Latency>(threshold, upper);
}

}  // namespace tailgate
