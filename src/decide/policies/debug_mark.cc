// _debug: keeps a trace in which a span came with Jaeger's DEBUG flag or Zipkin's `debug`. Not of the configuration: it
// is there when a receiver is that can mark spans, and costs nothing otherwise.
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
  return policy_of_predicate(build, std::make_unique<Marked>(), "flags", false);
}

}  // namespace tailgate
