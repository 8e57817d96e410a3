// SPDX-License-Identifier: Apache-2.0
// trace_state: keeps a trace in which a span's W3C tracestate has a key with one of the listed values.
//     - {name: tenant, type: trace_state, trace_state: {key: vendor, values: [gold, silver]}}
// A tracestate that is not well formed as a whole matches nothing. "" and values that are too long to be in a
// tracestate with that key (256 characters for both) are left out, as in contrib's tail_sampling.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "decide/registry.h"
#include "decide/words.h"
#include "wire/otlp/tracestate.h"

namespace tailgate {
namespace {

class HasEntry final : public SpanPredicate {
 public:
  HasEntry(std::string key, std::vector<std::string> values) : key_(std::move(key)), values_(std::move(values)) {
    std::sort(values_.begin(), values_.end());
  }
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override {
    if (span.trace_state.size() <= key_.size()) return false;
    const std::optional<ByteView> value = tracestate_value(span.trace_state, key_);
    return value && std::binary_search(values_.begin(), values_.end(), *value, std::less<>());
  }

 private:
  std::string key_;
  std::vector<std::string> values_;  // sorted
};

}  // namespace

PolicyPtr make_trace_state(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("trace_state");
  const std::string key = node.text("key");
  if (key.empty()) node.error("key", "expected a key of the tracestate");
  if (node.child("values").items().empty()) node.error("values", "expected at least one value");
  std::vector<std::string> values = node.texts("values");
  node.finish();
  std::erase_if(values, [&](const std::string& value) { return value.empty() || key.size() + value.size() >= 256; });
  std::string words = any_of_words(values);
  return policy_of_predicate(build, std::make_unique<HasEntry>(key, std::move(values)), "trace_state." + key, false,
                             {fmt::format("with {} {} in its tracestate", key, words), false});
}

}  // namespace tailgate
