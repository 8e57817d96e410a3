// SPDX-License-Identifier: Apache-2.0
// What the Jaeger formats (protobuf api_v2 and Thrift) have in common, and the one place that turns it into OTLP. The
// mapping is that of the Collector's Jaeger receiver, except where that loses something (docs/receivers.md).
//
// Everything is views into the request. One thread; lists are kept from span to span.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "wire/foreign_tag.h"
#include "wire/otlp/builder.h"

namespace tailgate {

using JaegerTag = ForeignTag;

struct JaegerProcess {
  ByteView service_name;
  std::vector<JaegerTag> tags;

  void clear() {
    service_name = {};
    tags.clear();
  }
};

struct JaegerRef {
  std::array<char, 16> trace_id{};
  std::array<char, 8> span_id{};
  bool follows_from = false;
};

struct JaegerLog {
  std::uint64_t time_ns = 0;
  std::size_t first = 0, count = 0;  // in JaegerSpan::log_fields
};

struct JaegerSpan {
  static constexpr std::uint32_t kSampled = 1, kDebug = 2;  // flags

  std::array<char, 16> trace_id_bytes{};  // what trace_id shows when it is not a view into the request
  std::array<char, 8> span_id_bytes{}, parent_bytes{};
  ByteView trace_id, span_id;
  ByteView parent;  // set by the formats that have a field for it; otherwise found among the references
  ByteView name;
  std::uint32_t flags = 0;
  std::uint64_t start_ns = 0, end_ns = 0;
  std::vector<JaegerTag> tags, log_fields;
  std::vector<JaegerRef> refs;
  std::vector<JaegerLog> logs;

  void clear() {
    trace_id = span_id = parent = name = {};
    flags = 0;
    start_ns = end_ns = 0;
    tags.clear();
    log_fields.clear();
    refs.clear();
    logs.clear();
  }
};

class JaegerToOtlp {
 public:
  // `request_bytes`: about how large the result will be, to leave lengths the right width.
  JaegerToOtlp(ByteSink& out, std::size_t request_bytes) : build_(out), width_(pb::varint_size(request_bytes)) {}

  // Spans from now on are those of this process.
  void begin(JaegerProcess& process);
  // Tags and references are changed on the way.
  void add(JaegerSpan& span);
  void end();  // after the last span

 private:
  void open_scope(ByteView name, ByteView version);
  void close_scope();

  OtlpBuilder build_;
  const std::size_t width_;
  OtlpBuilder::Open resource_, scope_;
  bool in_resource_ = false, in_scope_ = false;
  ByteView scope_name_, scope_version_;
  std::vector<std::uint32_t> order_;  // scratch of the search for repeated keys
};

}  // namespace tailgate
