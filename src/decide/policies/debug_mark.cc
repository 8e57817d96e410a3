// SPDX-License-Identifier: Apache-2.0
// _debug: keeps a trace in which a span came with Jaeger's DEBUG flag or Zipkin's `debug`. It is not written in the
// configuration: the daemon adds it if one of its receivers can mark spans.
#include "decide/registry.h"

namespace tailgate {
namespace {

class Marked final : public SpanPredicate {
 public:
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override { return span.keep_mark; }
};

}  // namespace

PolicyPtr make_debug(PolicyBuild& build) {
  return policy_of_predicate(build, std::make_unique<Marked>(), "flags", false,
                             {"with its sender's mark for debugging", false});
}

}  // namespace tailgate
