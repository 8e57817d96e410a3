// SPDX-License-Identifier: Apache-2.0
// status_code: keeps a trace in which a span has one of the listed status codes.
//     - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
#include "decide/registry.h"

namespace tailgate {
namespace {

class HasStatus final : public SpanPredicate {
 public:
  explicit HasStatus(unsigned codes) : codes_(codes) {}
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override {
    return static_cast<std::uint32_t>(span.status_code) < 3 && (codes_ >> span.status_code & 1) != 0;
  }

 private:
  unsigned codes_;  // bit n: StatusCode n
};

}  // namespace

PolicyPtr make_status_code(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("status_code");
  unsigned codes = 0;
  std::string words;
  for (const ConfigNode& item : node.child("status_codes").items()) {
    const std::string code = item.scalar();
    if (code == "UNSET") {
      codes |= 1u << static_cast<int>(StatusCode::kUnset);
    } else if (code == "OK") {
      codes |= 1u << static_cast<int>(StatusCode::kOk);
    } else if (code == "ERROR") {
      codes |= 1u << static_cast<int>(StatusCode::kError);
    } else {
      item.error("expected OK, ERROR or UNSET");
    }
    words += (words.empty() ? "with status " : " or ") + code;
  }
  if (!node.child("status_codes").is_scalar() && node.child("status_codes").items().empty())
    node.error("status_codes", "expected at least one of OK, ERROR, UNSET");
  node.finish();
  return policy_of_predicate(build, std::make_unique<HasStatus>(codes), "status.code", false,
                             {std::move(words), false});
}

}  // namespace tailgate
