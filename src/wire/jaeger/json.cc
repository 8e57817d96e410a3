// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/json.h"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <iterator>

#include "base/hash.h"
#include "codec/calendar.h"
#include "codec/json_text.h"
#include "model/span_times.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/span_view.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

constexpr std::string_view kNoServiceName = "OTLPResourceNoServiceName";

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
  explicit Tags(std::string& out, TagFields* fields = nullptr) : out_(out), fields_(fields) { out_ += '['; }
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
      case Kind::kInt:
        return put(a.key, "int64", as_json);
      case Kind::kDouble:
        // What JSON has no number for is a text, which Jaeger reads back by its type.
        return put(a.key, "float64", as_json);
      case Kind::kBytes:
        return put(a.key, "binary", [&](std::string& out) { append_quoted_hex(out, a.value.bytes); });
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
  TagFields* const fields_;
  bool first_ = true;
};

std::string_view kind_word(std::uint32_t kind) {
  constexpr std::string_view kWords[] = {"", "internal", "server", "client", "producer", "consumer"};
  return kind < std::size(kWords) ? kWords[kind] : "";
}

void append_tags(std::string& out, const ScopeView& scope, const SpanView& span) {
  TagFields fields;
  Tags tags(out, &fields);
  if (!scope.name.empty()) tags.text("otel.scope.name", scope.name);
  if (!scope.version.empty()) tags.text("otel.scope.version", scope.version);
  for (const AttributeView& a : span.attributes) tags.attribute(a);
  if (const std::string_view kind = kind_word(span.kind); !kind.empty()) tags.text("span.kind", kind);
  if (span.status_code == 1) tags.text("otel.status_code", "OK");
  if (span.status_code == 2) tags.truth("error");
  if (!span.status_message.empty()) tags.text("otel.status_description", span.status_message);
  if (!span.trace_state.empty()) tags.text("w3c.tracestate", span.trace_state);
  tags.close();
  fields.append_to(out);
}

// The parent first, as Jaeger looks for it there; a link to the parent says only of which type the reference is.
void append_references(std::string& out, const SpanView& span) {
  bool first = true;
  const auto reference = [&](ByteView trace_id, ByteView span_id, bool child_of) {
    out += first ? "" : ",";
    first = false;
    out += child_of ? R"({"refType":"CHILD_OF","traceID":)" : R"({"refType":"FOLLOWS_FROM","traceID":)";
    append_quoted_hex(out, trace_id);
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

void append_logs(std::string& out, const SpanView& span) {
  out += '[';
  for (const EventView& event : span.events) {
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"timestamp":{},"fields":)", event.time_ns / 1000);
    Tags fields(out);
    if (!event.name.empty() && find_attribute(event.attributes, "event") == nullptr) fields.text("event", event.name);
    for (const AttributeView& a : event.attributes) fields.attribute(a);
    fields.close();
    out += '}';
  }
  out += ']';
}

// Sets `service` too.
std::string process_of(const ResourceView& resource, std::string& service) {
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
  Tags tags(out, &fields);
  for (const AttributeView& a : resource.attributes) {
    if (a.key != "service.name") tags.attribute(a);
  }
  tags.close();
  fields.append_to(out);
  out += '}';
  return out;
}

}  // namespace

bool each_jaeger_document(ByteView otlp, const std::function<void(const JaegerDocument&)>& take, CutItems* cut,
                          SpanChoice* choice) {
  JaegerDocument doc;
  std::string process;
  std::uint64_t of = 0;  // the resource that `process` was made of
  const auto write = [&](const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (of != resource.number) process = process_of(resource, doc.service);
    of = resource.number;
    std::string& out = doc.body;
    out.clear();
    out += R"({"traceID":)";
    append_quoted_hex(out, span.trace_id);
    out += R"(,"spanID":)";
    append_quoted_hex(out, span.span_id);
    if (span.flags != 0) fmt::format_to(std::back_inserter(out), R"(,"flags":{})", span.flags & INT32_MAX);
    out += R"(,"operationName":)";
    append_json_string(out, span.name);
    out += R"(,"references":)";
    append_references(out, span);
    const std::uint64_t start_us = span.start_ns / 1000;
    const std::int64_t duration = std::max<std::int64_t>(duration_ns(span.start_ns, span.end_ns), 0);
    fmt::format_to(std::back_inserter(out), R"(,"startTime":{},"startTimeMillis":{},"duration":{},"tags":)", start_us,
                   start_us / 1000, duration / 1000);
    append_tags(out, scope, span);
    out += R"(,"logs":)";
    append_logs(out, span);
    out += R"(,"process":)";
    out += process;
    out += '}';
    doc.start_ns = span.start_ns;
    doc.operation = span.name;
    doc.id.clear();
    append_quoted_hex(doc.id, span.trace_id);
    append_quoted_hex(doc.id, span.span_id);
    std::erase(doc.id, '"');
    doc.id.insert(2 * span.trace_id.size(), 1, '_');
    fmt::format_to(std::back_inserter(doc.id), "_{:x}", fnv1a(out));
    take(doc);
  };
  return each_span(otlp, write, cut, choice);
}

std::string jaeger_service_document(const std::string& service, const std::string& operation) {
  std::string out = R"({"serviceName":)";
  append_json_string(out, service);
  out += R"(,"operationName":)";
  append_json_string(out, operation);
  out += '}';
  return out;
}

std::string jaeger_service_id(const std::string& service, const std::string& operation) {
  return fmt::format("{:x}", fnv1a(operation, fnv1a(service)));
}

std::string utc_date(std::uint64_t unix_ns) {
  const UtcTime t = utc_time(static_cast<std::int64_t>(unix_ns / 1'000'000'000));
  return fmt::format("{:04}-{:02}-{:02}", t.year, t.month, t.day);
}

}  // namespace tailgate
