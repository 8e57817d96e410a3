// SPDX-License-Identifier: Apache-2.0
// trace_flags: keeps a trace in which a span says in its W3C trace flags that it was sampled (bit 0 of Span.flags).
//     - {name: head-sampled, type: trace_flags}
// SDKs that do not fill the field (it came with OTLP 1.1) never match.
#include "decide/registry.h"

namespace tailgate {
namespace {

class Sampled final : public SpanPredicate {
 public:
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override { return (span.flags & 1) != 0; }
};

}  // namespace

PolicyPtr make_trace_flags(const ConfigNode& entry, PolicyBuild& build) {
  entry.child("trace_flags").finish();
  return policy_of_predicate(build, std::make_unique<Sampled>(), "flags", false, {"with the flag `sampled`", false});
}

}  // namespace tailgate
