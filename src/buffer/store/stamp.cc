// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/stamp.h"

#include <map>

#include "codec/protobuf.h"
#include "model/threshold.h"
#include "wire/otlp/scan.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/tracestate.h"

namespace tailgate {
namespace {

constexpr std::string_view kPolicyKey = "tailgate.policy";
constexpr std::string_view kReasonKey = "tailgate.close_reason";
constexpr std::string_view kCompleteKey = "tailgate.complete";
constexpr std::string_view kTimeKey = "tailgate.decision_time_unix_nano";
// contrib's, behind its gate `recordpolicy`
constexpr std::string_view kContribPolicyKey = "tailsampling.policy";
constexpr std::string_view kContribCachedKey = "tailsampling.cached_decision";

// KeyValue{key, AnyValue} as field number `field`; `any` is the AnyValue's content.
void append_attribute(std::string& out, std::uint32_t field, std::string_view key, const std::string& any) {
  std::string key_value;
  pb::append_len(key_value, otlp::key_value::kKey, key);
  pb::append_len(key_value, otlp::key_value::kValue, any);
  pb::append_len(out, field, key_value);
}

std::string text_value(std::string_view text) {
  std::string any;
  pb::append_len(any, otlp::any_value::kString, text);
  return any;
}

std::string number_value(std::uint32_t field, std::uint64_t value) {
  std::string any;
  pb::append_varint(any, pb::tag_of(field, pb::kVarint));
  pb::append_varint(any, value);
  return any;
}
std::string bool_value(bool value) { return number_value(otlp::any_value::kBool, value); }
std::string int_value(std::uint64_t value) { return number_value(otlp::any_value::kInt, value); }

// The attributes of a verdict that have the same keys on spans and on scopes.
void append_verdict(const StampInput& in, std::uint32_t field, std::string& out) {
  append_attribute(out, field, kReasonKey, text_value(kCloseReasonNames[static_cast<std::size_t>(in.verdict.reason)]));
  append_attribute(out, field, kCompleteKey, bool_value(in.verdict.complete));
  append_attribute(out, field, kTimeKey, int_value(in.decided_unix_ns));
}

// Fields of an InstrumentationScope behind those of each.
void append_to_scopes(const std::string& fields, std::vector<FrameSpan>& spans, std::deque<std::string>& store) {
  std::map<std::pair<const char*, std::size_t>, ByteView> done;
  for (FrameSpan& span : spans) {
    const auto [it, fresh] = done.try_emplace({span.scope.data(), span.scope.size()});
    if (fresh) {
      std::string& scope = store.emplace_back(span.scope);
      pb::append_len(scope, otlp::scope_spans::kScope, fields);
      it->second = scope;
    }
    span.scope = it->second;
  }
}

}  // namespace

StampResult stamp_thresholds(const StampInput& in, const std::vector<ByteView>& trace_states,
                             std::vector<FrameSpan>& spans, std::deque<std::string>& store) {
  StampResult result;
  if (in.threshold == kCertain) return result;
  std::uint64_t random = randomness_of(in.id);
  for (const ByteView state : trace_states) {
    if (state.empty()) continue;
    if (const auto value = read_ot(state).random) {
      random = *value;
      break;
    }
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Amended amended = in.threshold == kUnknownChance ? erase_threshold(trace_states[i])
                                                           : raise_threshold(trace_states[i], in.threshold, random);
    result.unparsable += amended.what == Amended::What::kUnparsable;
    result.no_room += amended.what == Amended::What::kNoRoom;
    if (amended.what == Amended::What::kUnchanged || amended.what == Amended::What::kUnparsable) continue;
    std::string& tail = store.emplace_back(spans[i].tail);
    pb::append_len(tail, otlp::span::kTraceState, amended.value);
    spans[i].tail = tail;
  }
  return result;
}

void stamp_policy(const StampInput& in, RecordPolicy record, std::size_t root, std::vector<FrameSpan>& spans,
                  std::deque<std::string>& store) {
  if (record == RecordPolicy::kRoot) {
    FrameSpan& span = spans[root];
    // An attribute that is there already is not added again: a Tailgate in front of this one wrote it.
    static const ScanPlan plan = [] {
      ScanPlan p;
      p.attribute_slot(kPolicyKey, Attributes::kOfSpans);
      return p;
    }();
    SpanFields fields;
    ByteView there;
    scan_span(span.span, plan, fields, &there);
    if (there.data() != nullptr) return;
    std::string& tail = store.emplace_back(span.tail);
    append_attribute(tail, otlp::span::kAttributes, kPolicyKey, text_value(in.policy));
    append_verdict(in, otlp::span::kAttributes, tail);
    span.tail = tail;
  } else if (record == RecordPolicy::kScope) {
    std::string attributes;  // of an InstrumentationScope, which merges with the one that is there
    append_attribute(attributes, otlp::scope::kAttributes, kContribPolicyKey, text_value(in.policy));
    if (in.late) append_attribute(attributes, otlp::scope::kAttributes, kContribCachedKey, bool_value(true));
    append_verdict(in, otlp::scope::kAttributes, attributes);
    append_to_scopes(attributes, spans, store);
  }
}

void stamp_scopes(std::string_view key, std::string_view text, std::vector<FrameSpan>& spans,
                  std::deque<std::string>& store) {
  std::string attributes;
  append_attribute(attributes, otlp::scope::kAttributes, key, text_value(text));
  append_to_scopes(attributes, spans, store);
}

std::string with_scope_text(ByteView otlp, std::string_view key, std::string_view text) {
  static const ScanPlan no_plan;
  std::string out;
  SpanBatch batch;
  const auto take = [&](const SpanBatch& slice) {
    std::vector<FrameSpan> spans;
    for (const BatchSpan& span : slice.spans)
      spans.push_back({slice.groups[span.group].resource, slice.groups[span.group].scope, {span.data, span.size}});
    std::deque<std::string> written;
    stamp_scopes(key, text, spans, written);
    frame_trace(spans, out);
    return true;
  };
  if (!scan_request(otlp, no_plan, batch, take).ok) return std::string(otlp);
  take(batch);
  return out;
}

}  // namespace tailgate
