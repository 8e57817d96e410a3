// SPDX-License-Identifier: Apache-2.0
// boolean_attribute: keeps a trace in which a boolean attribute of a resource or a span has the given value.
//     - {name: vip, type: boolean_attribute, boolean_attribute: {key: customer.vip, value: true, invert_match: false}}
// An attribute of another type reads as false, as in contrib's tail_sampling. invert_match keeps the traces in which
// nothing matches.
#include "decide/registry.h"

namespace tailgate {
namespace {

class Is final : public SpanPredicate {
 public:
  Is(std::size_t slot, bool wanted) : slot_(slot), wanted_(wanted) {}
  bool on_resource(const ByteView* attributes) const override { return matches(attributes[slot_]); }
  bool on_span(const SpanFields& span) const override { return matches(span.attributes[slot_]); }

 private:
  bool matches(ByteView key_value) const {
    if (key_value.data() == nullptr) return false;
    const AttributeValue value = attribute_value(key_value);
    return (value.kind == AttributeValue::Kind::kBool && value.bits != 0) == wanted_;
  }

  std::size_t slot_;
  bool wanted_;
};

}  // namespace

PolicyPtr make_boolean_attribute(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("boolean_attribute");
  const std::string key = node.text("key");
  if (key.empty()) node.error("key", "expected the name of an attribute");
  const bool value = node.boolean("value", false);
  const bool invert = node.boolean("invert_match", false);
  node.finish();
  return policy_of_predicate(build, std::make_unique<Is>(build.plan.attribute_slot(key), value), key, invert,
                             {value ? "true" : "false"});
}

}  // namespace tailgate
