// SPDX-License-Identifier: Apache-2.0
#include "decide/route_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>

#include "decide/glob.h"

namespace tailgate {
namespace {

// An attribute has one of some values: texts by pattern; numbers and booleans as they are written.
class HasValue final : public SpanPredicate {
 public:
  HasValue(std::size_t slot, const std::vector<std::string>& values, bool on_spans) : slot_(slot), on_spans_(on_spans) {
    for (const std::string& value : values) values_.emplace_back(value);
  }
  bool on_resource(const ByteView* attributes) const override { return matches(attributes[slot_]); }
  bool on_span(const SpanFields& span) const override { return on_spans_ && matches(span.attributes[slot_]); }

 private:
  bool matches(ByteView key_value) const {
    if (key_value.data() == nullptr) return false;
    const AttributeValue value = attribute_value(key_value);
    switch (value.kind) {
      case AttributeValue::Kind::kString:
        return any(value.bytes);
      case AttributeValue::Kind::kBool:
        return any(value.bits != 0 ? "true" : "false");
      case AttributeValue::Kind::kInt: {
        const fmt::format_int text(static_cast<std::int64_t>(value.bits));
        return any({text.data(), text.size()});
      }
      case AttributeValue::Kind::kDouble: {
        fmt::memory_buffer text;
        fmt::format_to(std::back_inserter(text), "{}", std::bit_cast<double>(value.bits));
        return any({text.data(), text.size()});
      }
      default:
        return false;
    }
  }
  bool any(ByteView text) const {
    return std::any_of(values_.begin(), values_.end(), [&](const Glob& glob) { return glob.matches(text); });
  }

  std::size_t slot_;
  std::vector<Glob> values_;
  bool on_spans_;
};

}  // namespace

std::string bad_pattern(const RouteRule& rule) {
  for (const std::string& service : rule.services) {
    if (!Glob(service).good()) return service;
  }
  for (const auto& [key, values] : rule.attributes) {
    for (const std::string& value : values) {
      if (!Glob(value).good()) return value;
    }
  }
  return "";
}

std::vector<std::size_t> add_route_filter(const RouteRule& rule, ScanPlan& plan) {
  std::vector<std::size_t> bits;
  if (!rule.services.empty()) {
    const std::size_t slot = plan.attribute_slot("service.name", Attributes::kOfResources);
    bits.push_back(plan.add(std::make_unique<HasValue>(slot, rule.services, false), "service.name"));
  }
  for (const auto& [key, values] : rule.attributes) {
    bits.push_back(plan.add(std::make_unique<HasValue>(plan.attribute_slot(key), values, true), key));
  }
  return bits;
}

}  // namespace tailgate
