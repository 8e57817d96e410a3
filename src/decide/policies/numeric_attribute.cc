// SPDX-License-Identifier: Apache-2.0
// numeric_attribute: keeps a trace in which an integer attribute of a resource or a span lies between two bounds.
//     - {name: server-errors, type: numeric_attribute,
//        numeric_attribute: {key: http.response.status_code, min_value: 500, max_value: 599, invert_match: false}}
// Both bounds are inclusive. A bound that is not written does not limit, a written 0 means 0, and at least one bound is
// required (contrib's tail_sampling reads 0 as "none" and crashes at the first decision without any). An attribute that
// is not an integer, such as a double, reads as 0. invert_match keeps the traces in which nothing matches.
#include <limits>

#include "decide/registry.h"
#include "decide/words.h"

namespace tailgate {
namespace {

class Between final : public SpanPredicate {
 public:
  Between(std::size_t slot, std::int64_t min, std::int64_t max) : slot_(slot), min_(min), max_(max) {}
  bool on_resource(const ByteView* attributes) const override { return matches(attributes[slot_]); }
  bool on_span(const SpanFields& span) const override { return matches(span.attributes[slot_]); }

 private:
  bool matches(ByteView key_value) const {
    if (key_value.data() == nullptr) return false;
    const AttributeValue value = attribute_value(key_value);
    const auto number = value.kind == AttributeValue::Kind::kInt ? static_cast<std::int64_t>(value.bits) : 0;
    return number >= min_ && number <= max_;
  }

  std::size_t slot_;
  std::int64_t min_, max_;
};

}  // namespace

PolicyPtr make_numeric_attribute(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("numeric_attribute");
  const std::string key = node.text("key");
  if (key.empty()) node.error("key", "expected the name of an attribute");
  if (node.child("min_value").is_null() && node.child("max_value").is_null())
    node.error("min_value", "expected min_value, max_value or both");
  const std::int64_t min = node.integer("min_value", std::numeric_limits<std::int64_t>::min());
  const std::int64_t max = node.integer("max_value", std::numeric_limits<std::int64_t>::max());
  for (const char* bound : {"min_value", "max_value"}) {
    if (node.child(bound).scalar() == "0") node.child(bound).notice("0 is a bound here; contrib reads it as none");
  }
  if (max < min) node.error("max_value", "expected min_value or more");
  const bool invert = node.boolean("invert_match", false);
  node.finish();
  return policy_of_predicate(build, std::make_unique<Between>(build.plan.attribute_slot(key), min, max), key, invert,
                             {range_words(min, max)});
}

}  // namespace tailgate
