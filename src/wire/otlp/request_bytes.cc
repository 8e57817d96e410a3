// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/request_bytes.h"

#include "codec/protobuf.h"

namespace tailgate {

// As contrib counts: the spans that one request has of a trace, in a TracesData of their own under copies of their
// resources and scopes.
void fill_request_bytes(const ScanPlan& plan, SpanBatch& batch) {
  if (!plan.request_bytes()) return;
  const std::size_t word = plan.bit_words() + *plan.request_bytes();
  const auto field = [](std::size_t content) { return 1 + pb::varint_size(content) + content; };
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    std::size_t bytes = 0;
    std::size_t resource = 0, scope = 0;  // content of the messages being filled
    const ScopeGroup* last = nullptr;
    std::uint32_t last_number = kNoIndex;
    for (std::uint32_t s = batch.traces[t].first; s != kNoIndex; s = batch.spans[s].next) {
      const BatchSpan& span = batch.spans[s];
      if (span.group != last_number) {
        const ScopeGroup& group = batch.groups[span.group];
        if (last != nullptr) resource += field(scope);
        if (last == nullptr || group.resource_index != last->resource_index) {
          if (last != nullptr) bytes += field(resource);
          resource = group.resource.size();
        }
        scope = group.scope.size();
        last = &group;
        last_number = span.group;
      }
      scope += field(span.size);
    }
    if (last != nullptr) bytes += field(resource + field(scope));
    batch.words_of(t)[word] = bytes;
  }
}

}  // namespace tailgate
