// SPDX-License-Identifier: Apache-2.0
// Conditions over anything: a line of condition, then bytes for a Span, its resource and its scope. Whatever parses is
// asked of them, as a condition on spans, on events and on traces; nothing may crash, hang or grow, and the same
// question has the same answer twice.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "codec/field_reader.h"
#include "decide/condition/condition.h"
#include "wire/otlp/scan.h"

using namespace tailgate;
using namespace tailgate::condition;

namespace {

void same_twice(const Condition& condition, const ConditionContext& context) {
  const Truth first = condition.evaluate(context);
  if (condition.evaluate(context) == first) return;
  std::fprintf(stderr, "two answers to one question\n");
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view text = input.substr(0, input.find('\n'));
  const ByteView bytes = input.substr(std::min(text.size() + 1, input.size()));
  for (const ConditionKind kind : {ConditionKind::kSpan, ConditionKind::kSpanEvent, ConditionKind::kTrace}) {
    ScanPlan plan;
    const Result<Condition> condition = parse_condition(text, kind, plan);
    if (!condition) continue;
    std::vector<ByteView> attributes(plan.attribute_keys().size() + 1), resource(plan.attribute_keys().size() + 1);
    SpanFields fields;
    if (!scan_span(bytes, plan, fields, attributes.data())) fields.attributes = attributes.data();
    // The same bytes serve as resource and scope: what is a Span is a message to them too.
    SpanContext around{bytes, bytes, resource.data(), 1'700'000'000'000'000'000};
    fields.context = &around;
    ConditionContext context{fields};
    if (kind == ConditionKind::kTrace) {
      const TraceId id{};
      TraceFacts facts;
      facts.spans = 1;
      facts.root_seen = size % 2 == 0;
      const std::vector<std::uint64_t> words(plan.words() + 1);
      const JudgedTrace trace{id, facts, words.data(), words.data() + plan.bit_words()};
      context.trace = &trace;
      same_twice(*condition, context);
    } else if (kind == ConditionKind::kSpan) {
      same_twice(*condition, context);
    } else {
      for (FieldReader events(bytes); events.next();) {
        if (events.number != 11) continue;
        context.event = events.bytes;
        same_twice(*condition, context);
      }
    }
  }
  return 0;
}
