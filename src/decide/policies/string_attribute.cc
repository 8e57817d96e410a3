// SPDX-License-Identifier: Apache-2.0
// string_attribute: keeps a trace in which a resource or span attribute has one of the listed values.
//     - {name: checkout, type: string_attribute,
//        string_attribute: {key: http.route, values: [/checkout, /pay/.*], enabled_regex_matching: true, invert_match:
//        false}}
// Exact values form a set without "". With enabled_regex_matching the values are RE2 patterns, found anywhere in the
// value (not anchored). An attribute that is not a string reads as "". A span's "" never matches; a resource's matches
// a pattern that matches "". invert_match keeps the traces in which nothing matches. All as contrib's tail_sampling
// v0.164 does.
#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <vector>

#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class OneOf final : public SpanPredicate {
 public:
  OneOf(std::size_t slot, std::vector<std::string> values) : slot_(slot), values_(std::move(values)) {
    std::sort(values_.begin(), values_.end());
    for (const std::string& value : values_) lengths_ |= 1ULL << (value.size() & 63);
  }
  bool on_resource(const ByteView* attributes) const override { return matches(attributes[slot_]); }
  bool on_span(const SpanFields& span) const override { return matches(span.attributes[slot_]); }

 private:
  bool matches(ByteView key_value) const {
    if (key_value.data() == nullptr) return false;
    const std::optional<ByteView> value = string_value(key_value);
    return value && (lengths_ >> (value->size() & 63) & 1) != 0 &&
           std::binary_search(values_.begin(), values_.end(), *value, std::less<>());
  }

  std::size_t slot_;
  std::vector<std::string> values_;  // sorted
  std::uint64_t lengths_ = 0;        // bit n: some value has a length of n modulo 64
};

class AnyPattern final : public SpanPredicate {
 public:
  AnyPattern(std::size_t slot, std::unique_ptr<RE2::Set> patterns) : slot_(slot), patterns_(std::move(patterns)) {}
  bool on_resource(const ByteView* attributes) const override {
    if (attributes[slot_].data() == nullptr) return false;
    return matches(string_value(attributes[slot_]).value_or(ByteView()));
  }
  bool on_span(const SpanFields& span) const override {
    if (span.attributes[slot_].data() == nullptr) return false;
    const std::optional<ByteView> value = string_value(span.attributes[slot_]);
    return value && !value->empty() && matches(*value);
  }

 private:
  bool matches(ByteView value) const { return patterns_->Match(re2::StringPiece(value.data(), value.size()), nullptr); }

  std::size_t slot_;
  std::unique_ptr<RE2::Set> patterns_;
};

}  // namespace

PolicyPtr make_string_attribute(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("string_attribute");
  const std::string key = node.text("key");
  if (key.empty()) node.error("key", "expected the name of an attribute");
  const bool regex = node.boolean("enabled_regex_matching", false);
  const bool invert = node.boolean("invert_match", false);
  node.without_effect({"cache_max_size"});
  if (node.child("values").items().empty()) node.error("values", "expected at least one value");

  const std::size_t slot = build.plan.attribute_slot(key);
  std::unique_ptr<SpanPredicate> predicate;
  std::string words = (regex ? "matching " : "") + any_of_words(node.texts("values"));
  if (regex) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto patterns = std::make_unique<RE2::Set>(options, RE2::UNANCHORED);
    for (const ConfigNode& item : node.child("values").items()) {
      std::string why;
      if (patterns->Add(item.scalar(), &why) < 0)
        item.error("expected a regular expression as RE2 reads it (" + why + ")");
    }
    if (!patterns->Compile()) node.error("values", "expected patterns that compile within 1 MiB");
    predicate = std::make_unique<AnyPattern>(slot, std::move(patterns));
  } else {
    std::vector<std::string> values = node.texts("values");
    std::erase(values, "");
    predicate = std::make_unique<OneOf>(slot, std::move(values));
  }
  node.finish();
  return policy_of_predicate(build, std::move(predicate), key, invert, {std::move(words)});
}

}  // namespace tailgate
