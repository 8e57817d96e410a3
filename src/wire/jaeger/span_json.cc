// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/span_json.h"

#include <fmt/format.h>

#include <iterator>

#include "codec/json_text.h"
#include "model/trace_needs.h"
#include "wire/foreign_tag.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

constexpr std::int64_t kJavaScriptMax = (std::int64_t{1} << 53) - 1;  // the largest whole number that it does not round

// Jaeger v2 keeps these two as fields of their own, for its statistics, and not among the tags: values as JSON.
struct TagFields {
  std::string error, span_kind;

  std::string* of(ByteView key) { return key == "error" ? &error : key == "span.kind" ? &span_kind : nullptr; }
  void append_to(std::string& out) const {
    if (error.empty() && span_kind.empty()) return;
    out += R"(,"tag":{)";
    if (!error.empty()) out += R"("error":)" + error;
    if (!span_kind.empty()) out += (error.empty() ? R"("span@kind":)" : R"(,"span@kind":)") + span_kind;
    out += '}';
  }
};

// A list of tags. Tags that are among `fields` go there instead; the last one of a name wins.
class Tags {
 public:
  explicit Tags(std::string& out, JaegerJson form, TagFields* fields = nullptr)
      : out_(out), form_(form), fields_(form == JaegerJson::kDocument ? fields : nullptr) {
    out_ += '[';
  }
  void close() { out_ += ']'; }

  void text(ByteView key, ByteView value) {
    put(key, "string", [&](std::string& out) { append_json_string(out, value); });
  }
  void truth(ByteView key) {
    put(key, "bool", [](std::string& out) { out += "true"; });
  }
  void attribute(const AttributeView& a) {
    const auto as_json = [&](std::string& out) { append_attribute_json(out, a.value); };
    switch (a.value.kind) {
      case Kind::kString:
        return text(a.key, a.value.bytes);
      case Kind::kBool:
        return put(a.key, "bool", as_json);
      case Kind::kInt: {
        const auto value = static_cast<std::int64_t>(a.value.bits);
        if (form_ == JaegerJson::kDocument || (value <= kJavaScriptMax && value >= -kJavaScriptMax))
          return put(a.key, "int64", as_json);
        return put(a.key, "int64", [&](std::string& out) { append_quoted(out, value); });
      }
      case Kind::kDouble:
        // What JSON has no number for is a text, which Jaeger reads back by its type.
        return put(a.key, "float64", as_json);
      case Kind::kBytes:
        return put(a.key, "binary", [&](std::string& out) {
          if (form_ == JaegerJson::kDocument) return append_quoted_hex(out, a.value.bytes);
          append_quoted_base64(out, a.value.bytes);
        });
      default: {
        std::string text_value;
        append_attribute_text(text_value, a.value);
        return text(a.key, text_value);
      }
    }
  }

 private:
  // `append` writes the value to where it belongs: it may be large.
  template <class Append>
  void put(ByteView key, std::string_view type, Append append) {
    if (std::string* const field = fields_ != nullptr && type != "binary" ? fields_->of(key) : nullptr) {
      field->clear();
      return append(*field);
    }
    if (!first_) out_ += ',';
    first_ = false;
    out_ += R"({"key":)";
    append_json_string(out_, key);
    out_ += R"(,"type":")";
    out_ += type;
    out_ += R"(","value":)";
    append(out_);
    out_ += '}';
  }

  std::string& out_;
  const JaegerJson form_;
  TagFields* const fields_;
  bool first_ = true;
};

}  // namespace

void append_jaeger_trace_id(std::string& out, ByteView trace_id, JaegerJson form) {
  constexpr std::size_t kHalf = 8;
  const bool half =
      form == JaegerJson::kAnswer && trace_id.size() == 2 * kHalf && trace_id.find_first_not_of('\0') >= kHalf;
  append_quoted_hex(out, half ? trace_id.substr(kHalf) : trace_id);
}

void append_jaeger_tags(std::string& out, const ScopeView& scope, const SpanView& span, JaegerJson form) {
  TagFields fields;
  Tags tags(out, form, &fields);
  if (!scope.name.empty()) tags.text("otel.scope.name", scope.name);
  if (!scope.version.empty()) tags.text("otel.scope.version", scope.version);
  for (const AttributeView& a : span.attributes) {
    // Jaeger's query looks for the old name.
    const bool renamed = form == JaegerJson::kAnswer && a.key == "http.response.status_code";
    tags.attribute(renamed ? AttributeView{"http.status_code", a.value} : a);
  }
  if (const std::string_view kind = kind_text(span.kind); kind != kind_text(0)) tags.text("span.kind", kind);
  if (span.status_code == 1) tags.text("otel.status_code", "OK");
  if (span.status_code == 2 && form == JaegerJson::kAnswer) tags.text("otel.status_code", "ERROR");
  if (span.status_code == 2) tags.truth("error");
  if (!span.status_message.empty()) tags.text("otel.status_description", span.status_message);
  if (!span.trace_state.empty()) tags.text("w3c.tracestate", span.trace_state);
  tags.close();
  fields.append_to(out);
}

// The parent first, as Jaeger looks for it there; a link to the parent says only of which type the reference is.
void append_jaeger_references(std::string& out, const SpanView& span, JaegerJson form) {
  bool first = true;
  const auto reference = [&](ByteView trace_id, ByteView span_id, bool child_of) {
    out += first ? "" : ",";
    first = false;
    out += child_of ? R"({"refType":"CHILD_OF","traceID":)" : R"({"refType":"FOLLOWS_FROM","traceID":)";
    append_jaeger_trace_id(out, trace_id, form);
    out += R"(,"spanID":)";
    append_quoted_hex(out, span_id);
    out += '}';
  };
  const auto child_of = [](const LinkView& link) {
    const AttributeValue* const type = find_attribute(link.attributes, "opentracing.ref_type");
    return type != nullptr && type->kind == Kind::kString && type->bytes == "child_of";
  };
  const bool has_parent = span.parent_span_id.find_first_not_of('\0') != ByteView::npos;
  const auto to_parent = [&](const LinkView& link) {
    return has_parent && link.trace_id == span.trace_id && link.span_id == span.parent_span_id;
  };
  out += '[';
  if (has_parent) {
    bool parent_is_child_of = true;
    for (const LinkView& link : span.links) {
      if (to_parent(link)) parent_is_child_of = child_of(link);
    }
    reference(span.trace_id, span.parent_span_id, parent_is_child_of);
  }
  for (const LinkView& link : span.links) {
    if (!to_parent(link)) reference(link.trace_id, link.span_id, child_of(link));
  }
  out += ']';
}

void append_jaeger_logs(std::string& out, const SpanView& span, JaegerJson form) {
  out += '[';
  for (const EventView& event : span.events) {
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"timestamp":{},"fields":)", event.time_ns / 1000);
    Tags fields(out, form);
    if (!event.name.empty() && find_attribute(event.attributes, "event") == nullptr) fields.text("event", event.name);
    for (const AttributeView& a : event.attributes) fields.attribute(a);
    fields.close();
    out += '}';
  }
  out += ']';
}

std::string jaeger_process(const ResourceView& resource, std::string& service, JaegerJson form) {
  service.clear();
  if (resource.attributes.empty()) service = kNoServiceName;
  for (const AttributeView& a : resource.attributes) {
    if (a.key != "service.name") continue;
    service.clear();
    append_attribute_text(service, a.value);
  }
  std::string out = R"({"serviceName":)";
  append_json_string(out, service);
  out += R"(,"tags":)";
  TagFields fields;
  Tags tags(out, form, &fields);
  for (const AttributeView& a : resource.attributes) {
    if (a.key != "service.name") tags.attribute(a);
  }
  tags.close();
  fields.append_to(out);
  out += '}';
  return out;
}

}  // namespace tailgate
