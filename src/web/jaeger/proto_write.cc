// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "codec/byte_sink.h"
#include "model/trace_needs.h"
#include "web/jaeger/proto.h"
#include "wire/otlp/builder.h"
#include "wire/otlp/split.h"

namespace tailgate {
namespace {

constexpr std::size_t kNameKept = 1'000;  // bytes of the name of a span that is cut

// A message whose field 1 is a list. add() calls `entry` to write one; false, and no entry, when the list is full.
class List {
 public:
  template <class Entry>
  bool add(Entry entry) {
    const std::size_t before = sink_.size();
    const OtlpBuilder::Open open = build_.open(1, 1);
    entry(build_);
    build_.close(open);
    if (sink_.size() <= kJaegerMessageMax) return true;
    sink_.truncate(before);
    return false;
  }
  std::string message() const { return std::string(sink_.view()); }

 private:
  ByteSink sink_;
  OtlpBuilder build_{sink_};
};

void write_timestamp(OtlpBuilder& build, std::uint32_t field, std::uint64_t unix_ns) {
  const OtlpBuilder::Open timestamp = build.open(field, 1);
  build.varint(1, unix_ns / 1'000'000'000);
  build.varint(2, unix_ns % 1'000'000'000);
  build.close(timestamp);
}

// A TracesData with the only span of `piece`, without what makes it large.
std::string cut_span(ByteView piece) {
  ByteSink sink;
  OtlpBuilder build(sink);
  (void)each_span(piece, [&](const ResourceView& resource, const ScopeView&, const SpanView& span) {
    const auto resource_spans = build.open(otlp::request::kResourceSpans, 2);
    const auto prefix = build.open(otlp::resource_spans::kResource, 2);
    const AttributeValue* const service = find_attribute(resource.attributes, "service.name");
    if (service != nullptr && service->kind == AttributeValue::Kind::kString)
      build.attribute(otlp::resource::kAttributes, "service.name", service->bytes.substr(0, kNameKept));
    build.close(prefix);
    const auto scope_spans = build.open(otlp::resource_spans::kScopeSpans, 2);
    const auto out = build.open(otlp::scope_spans::kSpans, 2);
    build.span_head({span.trace_id,
                     span.span_id,
                     {},
                     span.parent_span_id,
                     span.name.substr(0, kNameKept),
                     span.kind,
                     span.start_ns,
                     span.end_ns});
    build.attribute(otlp::span::kAttributes, kJaegerCutKey,
                    fmt::format("this span is too large for a gRPC message ({} bytes), so its attributes, events and "
                                "links are left out here; Tailgate's page has them",
                                piece.size()));
    build.status(static_cast<StatusCode>(span.status_code), span.status_message.substr(0, kNameKept));
    build.close(out);
    build.close(scope_spans);
    build.close(resource_spans);
  });
  return std::string(sink.view());
}

}  // namespace

std::string_view jaeger_kind(std::uint32_t kind) {
  const std::string_view text = kind_text(kind);
  return text == "unspecified" ? std::string_view() : text;
}

std::string jaeger_services(const std::vector<std::string>& services) {
  ByteSink sink;
  OtlpBuilder build(sink);
  for (const std::string& service : services) {
    if (sink.size() + service.size() + 10 > kJaegerMessageMax) break;
    build.text(1, service);
  }
  return std::string(sink.view());
}

std::string jaeger_operations(const std::vector<StoredOperation>& operations) {
  List list;
  for (const StoredOperation& operation : operations) {
    const bool added = list.add([&](OtlpBuilder& entry) {
      entry.text(1, operation.name);
      entry.text(2, jaeger_kind(operation.kind));
    });
    if (!added) break;
  }
  return list.message();
}

std::string jaeger_dependencies(const std::vector<StoredDependency>& dependencies) {
  List list;
  for (const StoredDependency& dependency : dependencies) {
    const bool added = list.add([&](OtlpBuilder& entry) {
      entry.text(1, dependency.parent);
      entry.text(2, dependency.child);
      entry.varint(3, dependency.calls);
    });
    if (!added) break;
  }
  return list.message();
}

std::string jaeger_capabilities() {
  List list;
  list.add([](OtlpBuilder& search) {
    search.varint(1, 1);  // without_service_name
    search.varint(2, 1);  // same_span_conjunction
  });
  return list.message();
}

std::string jaeger_summary(const TraceId& id, const TraceView& trace) {
  List list;
  list.add([&](OtlpBuilder& summary) {
    summary.bytes(1, id.view());
    summary.text(2, trace.root_service());
    summary.text(3, trace.root_name());
    summary.fixed64(4, trace.start_ns());
    summary.fixed64(5, trace.end_ns());
    summary.varint(6, trace.spans().size());
    summary.varint(7, trace.errors());
    summary.varint(8, trace.orphans());
    for (const TraceView::Service& service : trace.services()) {
      if (summary.sink().size() + service.name.size() > kJaegerMessageMax - 100) break;
      const OtlpBuilder::Open entry = summary.open(9, 1);
      summary.text(1, service.name);
      summary.varint(2, service.spans);
      summary.varint(3, service.errors);
      summary.close(entry);
    }
  });
  return list.message();
}

std::string jaeger_found_ids(const std::vector<JaegerFoundId>& found) {
  List list;
  for (const JaegerFoundId& one : found) {
    const bool added = list.add([&](OtlpBuilder& entry) {
      entry.bytes(1, one.id.view());
      write_timestamp(entry, 2, one.start_ns);
      write_timestamp(entry, 3, one.end_ns);
    });
    if (!added) break;
  }
  return list.message();
}

bool each_jaeger_message(ByteView otlp, std::size_t bytes_max, const std::function<bool(ByteView)>& take) {
  if (otlp.empty()) return true;  // an empty message would be a trace without an id
  if (otlp.size() <= bytes_max) return take(otlp);
  std::vector<OtlpPiece> pieces;
  split_otlp(otlp, bytes_max, pieces);
  for (const OtlpPiece& piece : pieces) {
    if (piece.otlp.size() <= bytes_max) {
      if (!take(piece.otlp)) return false;
    } else if (const std::string cut = cut_span(piece.otlp); !cut.empty() && !take(cut)) {
      return false;
    }
  }
  return true;
}

}  // namespace tailgate
