// SPDX-License-Identifier: Apache-2.0
// Conditions asked of a span that has everything: of every type an attribute, events, links, a resource and a scope.
#pragma once

#include <catch2/catch.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "codec/field_reader.h"
#include "decide/condition/condition.h"
#include "otlp_twin.pb.h"
#include "support/otlp_builder.h"
#include "wire/otlp/scan.h"

namespace tailgate::test {

using namespace condition;

inline constexpr std::uint64_t kSpanStart = 1'700'000'000'123'456'789ULL;  // 2023-11-14T22:13:20.123456789Z
inline constexpr std::uint64_t kNow = 1'700'000'100'000'000'000ULL;

inline twin::AnyValue* add_attribute(google::protobuf::RepeatedPtrField<twin::KeyValue>* to, const std::string& key) {
  auto* attribute = to->Add();
  attribute->set_key(key);
  return attribute->mutable_value();
}

inline twin::TracesData rich_trace() {
  twin::TracesData data;
  auto* resource_spans = data.add_resource_spans();
  resource_spans->set_schema_url("https://schema/resource");
  auto* resource = resource_spans->mutable_resource();
  resource->set_dropped_attributes_count(3);
  add_attribute(resource->mutable_attributes(), "service.name")->set_string_value("web");
  add_attribute(resource->mutable_attributes(), "replicas")->set_int_value(4);
  add_attribute(resource->mutable_attributes(), "str")->set_string_value("of the resource");
  auto* scope_spans = resource_spans->add_scope_spans();
  scope_spans->set_schema_url("https://schema/scope");
  scope_spans->mutable_scope()->set_name("lib");
  scope_spans->mutable_scope()->set_version("1.2");
  scope_spans->mutable_scope()->set_dropped_attributes_count(2);
  add_attribute(scope_spans->mutable_scope()->mutable_attributes(), "scoped")->set_bool_value(true);

  auto* span = scope_spans->add_spans();
  span->set_trace_id(std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", 16));
  span->set_span_id(std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8));
  span->set_trace_state("vendor=gold,other=x");
  span->set_name("GET /users/42");
  span->set_kind(2);
  span->set_start_time_unix_nano(kSpanStart);
  span->set_end_time_unix_nano(kSpanStart + 1'500'000'000);
  span->set_dropped_attributes_count(5);
  span->set_dropped_events_count(6);
  span->set_dropped_links_count(7);
  span->mutable_status()->set_code(2);
  span->mutable_status()->set_message("it broke");
  auto* attributes = span->mutable_attributes();
  add_attribute(attributes, "str")->set_string_value("hello");
  add_attribute(attributes, "num.text")->set_string_value("42");
  add_attribute(attributes, "int")->set_int_value(42);
  add_attribute(attributes, "negative")->set_int_value(-7);
  add_attribute(attributes, "double")->set_double_value(2.5);
  add_attribute(attributes, "whole")->set_double_value(42.0);
  add_attribute(attributes, "yes")->set_bool_value(true);
  add_attribute(attributes, "no")->set_bool_value(false);
  add_attribute(attributes, "bytes")->set_bytes_value(std::string("\x01\xff", 2));
  add_attribute(attributes, "unset");
  add_attribute(attributes, "void")->set_string_value("");
  add_attribute(attributes, "ip")->set_string_value("10.1.2.3");
  add_attribute(attributes, "url")->set_string_value("https://me:secret@shop.example:8443/cart/item.html?id=7&x=y#top");
  add_attribute(attributes, "json")->set_string_value(R"({"a":{"b":[1,"two",null]},"n":1.5,"t":true})");
  add_attribute(attributes, "when")->set_string_value("2023-11-14 22:13:20");
  auto* list = add_attribute(attributes, "list")->mutable_array_value();
  list->add_values()->set_string_value("one");
  list->add_values()->set_int_value(2);
  list->add_values()->set_double_value(3.0);
  auto* map = add_attribute(attributes, "map")->mutable_kvlist_value();
  add_attribute(map->mutable_values(), "k")->set_string_value("v");
  auto* inner = add_attribute(map->mutable_values(), "inner")->mutable_array_value();
  inner->add_values()->set_int_value(7);
  add_attribute(attributes, "str")->set_string_value("second of that name");

  auto* event = span->add_events();
  event->set_name("start");
  event->set_time_unix_nano(kSpanStart + 10);
  event = span->add_events();
  event->set_name("exception");
  event->set_time_unix_nano(kSpanStart + 20);
  event->set_dropped_attributes_count(9);
  add_attribute(event->mutable_attributes(), "exception.type")->set_string_value("Timeout");
  add_attribute(event->mutable_attributes(), "str")->set_string_value("of the event");
  span->add_links()->set_trace_state("x");
  return data;
}

// What a condition says: "true", "false", "error: why", or the message of what is wrong with it. On events: of any of
// them, the first that is not false.
inline std::string ask(const std::string& condition, ConditionKind kind = ConditionKind::kSpan,
                       const twin::TracesData& data = rich_trace()) {
  class Asker final : public SpanPredicate {
   public:
    Asker(Condition c, ConditionKind k, std::string& a) : condition_(std::move(c)), kind_(k), answer_(a) {}
    bool on_resource(const ByteView*) const override { return false; }
    bool on_span(const SpanFields& span) const override {
      ConditionContext context{span};
      if (kind_ == ConditionKind::kSpan) return note(context);
      for (FieldReader fields(span.bytes); fields.next();) {
        if (fields.number != 11) continue;
        context.event = fields.bytes;
        if (note(context)) return true;
        ++context.event_index;
      }
      return false;
    }

   private:
    bool note(const ConditionContext& context) const {
      const char* why = "";
      const Truth truth = condition_.evaluate(context, &why);
      answer_ = truth == Truth::kTrue ? "true" : truth == Truth::kFalse ? "false" : std::string("error: ") + why;
      return truth != Truth::kFalse;
    }
    Condition condition_;
    ConditionKind kind_;
    std::string& answer_;
  };
  ScanPlan plan;
  Result<Condition> parsed = parse_condition(condition, kind, plan);
  if (!parsed) return parsed.error().text;
  std::string answer;
  plan.add(std::make_unique<Asker>(std::move(*parsed), kind, answer));
  SpanBatch batch;
  batch.now_unix_ns = kNow;
  const std::string bytes = data.SerializeAsString();
  scan_request(bytes, plan, batch, [](SpanBatch&) { return true; });
  return answer;
}

struct ConditionRow {
  const char* condition;
  const char* answer;  // "error" stands for any error at the span
};

// Asks each condition of rich_trace() and checks its answer.
inline void check(std::initializer_list<ConditionRow> rows, ConditionKind kind = ConditionKind::kSpan) {
  for (const ConditionRow& row : rows) {
    INFO(row.condition);
    const std::string answer = ask(row.condition, kind);
    if (std::string_view(row.answer) == "error") {
      INFO(answer);
      CHECK(answer.starts_with("error: "));
    } else {
      CHECK(answer == row.answer);
    }
  }
}

}  // namespace tailgate::test
