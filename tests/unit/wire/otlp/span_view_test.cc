// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/span_view.h"

#include <bit>
#include <catch2/catch.hpp>

#include "support/backward_otlp.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

// The messages that a view is of, written by protobuf, so that both can be compared as bytes.
void fill(twin::AnyValue& out, const AttributeValue& value) {
  using Kind = AttributeValue::Kind;
  if (value.kind == Kind::kString) out.set_string_value(std::string(value.bytes));
  if (value.kind == Kind::kBool) out.set_bool_value(value.bits != 0);
  if (value.kind == Kind::kInt) out.set_int_value(static_cast<std::int64_t>(value.bits));
  if (value.kind == Kind::kDouble) out.set_double_value(std::bit_cast<double>(value.bits));
  if (value.kind == Kind::kArray) REQUIRE(out.mutable_array_value()->ParseFromString(std::string(value.bytes)));
  if (value.kind == Kind::kMap) REQUIRE(out.mutable_kvlist_value()->ParseFromString(std::string(value.bytes)));
  if (value.kind == Kind::kBytes) out.set_bytes_value(std::string(value.bytes));
}

template <class Message>
void fill_attributes(Message& out, const AttributeViews& views, std::uint32_t dropped) {
  for (const AttributeView& a : views) {
    auto* attribute = out.add_attributes();
    attribute->set_key(std::string(a.key));
    fill(*attribute->mutable_value(), a.value);
  }
  out.set_dropped_attributes_count(dropped);
}

std::string from_view(const SpanView& v) {
  twin::Span out;
  out.set_trace_id(std::string(v.trace_id));
  out.set_span_id(std::string(v.span_id));
  out.set_trace_state(std::string(v.trace_state));
  out.set_parent_span_id(std::string(v.parent_span_id));
  out.set_name(std::string(v.name));
  out.set_kind(static_cast<int>(v.kind));
  out.set_flags(v.flags);
  out.set_start_time_unix_nano(v.start_ns);
  out.set_end_time_unix_nano(v.end_ns);
  fill_attributes(out, v.attributes, v.dropped_attributes);
  for (const EventView& e : v.events) {
    auto* event = out.add_events();
    event->set_time_unix_nano(e.time_ns);
    event->set_name(std::string(e.name));
    fill_attributes(*event, e.attributes, e.dropped_attributes);
  }
  out.set_dropped_events_count(v.dropped_events);
  for (const LinkView& l : v.links) {
    auto* link = out.add_links();
    link->set_trace_id(std::string(l.trace_id));
    link->set_span_id(std::string(l.span_id));
    link->set_trace_state(std::string(l.trace_state));
    link->set_flags(l.flags);
    fill_attributes(*link, l.attributes, l.dropped_attributes);
  }
  out.set_dropped_links_count(v.dropped_links);
  out.mutable_status()->set_code(static_cast<int>(v.status_code));
  out.mutable_status()->set_message(std::string(v.status_message));
  return out.SerializeAsString();
}

// What a view cannot tell apart: a value that is absent and one that is empty, a status likewise.
void normalize(google::protobuf::RepeatedPtrField<twin::KeyValue>& attributes) {
  for (twin::KeyValue& a : attributes) a.mutable_value();
}
std::string from_twin(twin::Span span) {
  span.DiscardUnknownFields();
  normalize(*span.mutable_attributes());
  for (auto& event : *span.mutable_events()) normalize(*event.mutable_attributes());
  for (auto& link : *span.mutable_links()) normalize(*link.mutable_attributes());
  span.mutable_status();
  return span.SerializeAsString();
}

}  // namespace

TEST_CASE("spans are read as libprotobuf reads them", "[wire]") {
  std::size_t compared = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    INFO("seed " << seed);
    twin::TracesData data;
    const std::string request = RandomOtlp(seed).request();
    if (!data.ParseFromString(request)) continue;
    Random mixed(seed);
    for (std::string bytes : {request, backward_otlp(data), backward_otlp(data, &mixed)}) {
      if (mixed.one_in(2) && !bytes.empty()) bytes[mixed.below(bytes.size())] = static_cast<char>(mixed.next());
      if (!data.ParseFromString(bytes)) continue;
      std::vector<std::string> found, wanted;
      // Where libprotobuf reads all of it, so do we.
      REQUIRE(each_span(bytes, [&](const ResourceView&, const ScopeView&, const SpanView& span) {
        found.push_back(from_view(span));
      }));
      for (const auto& resource_spans : data.resource_spans()) {
        for (const auto& scope_spans : resource_spans.scope_spans()) {
          for (const auto& span : scope_spans.spans()) wanted.push_back(from_twin(span));
        }
      }
      REQUIRE(found == wanted);
      compared += found.size();
    }
  }
  CHECK(compared > 100'000);
}
