// SPDX-License-Identifier: Apache-2.0
// span_count: keeps a trace by the number of its spans, both bounds inclusive.
//     - {name: big, type: span_count, span_count: {min_spans: 100, max_spans: 1000}}
// Counts the spans received, duplicates included. Without max_spans there is no upper bound; a written 0 means 0.
#include <fmt/format.h>

#include <limits>

#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class SpanCount final : public Policy {
 public:
  SpanCount(std::int64_t min, std::int64_t max) : min_(min), max_(max) {}

  Ballot evaluate(const JudgedTrace& trace) const override {
    const bool keep = trace.facts.spans >= min_ && trace.facts.spans <= max_;
    return ballot(keep);
  }
  std::string why(const AskedVote& asked) const override {
    return fmt::format("{}, wanted {}", count_words(asked.trace.facts.spans, "span"), range_words(min_, max_));
  }

 private:
  std::int64_t min_;
  std::int64_t max_;
};

}  // namespace

PolicyPtr make_span_count(const ConfigNode& entry, PolicyBuild&) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  const ConfigNode node = entry.child("span_count");
  const std::int64_t min = node.integer("min_spans", 0, {.min = 0, .max = kMax});
  const std::int64_t max = node.integer("max_spans", std::numeric_limits<std::int64_t>::max(), {.min = 0, .max = kMax});
  if (node.child("max_spans").scalar() == "0")
    node.child("max_spans").notice("0 is a bound here; contrib reads it as none");
  if (max < min) node.error("max_spans", "expected min_spans or more");
  node.finish();
  return std::make_unique<SpanCount>(min, max);
}

}  // namespace tailgate
