// SPDX-License-Identifier: Apache-2.0
// What Zipkin's v2 formats (JSON and protobuf) have in common, and the one place that turns it into OTLP. The mapping
// is the one of the Collector's Zipkin receiver, except where that loses something (docs/receivers.md).
//
// Everything is views into the request, or into memory of the reader that lives until add() returns. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "wire/foreign_tag.h"
#include "wire/otlp/builder.h"

namespace tailgate {

struct ZipkinOptions {
  bool parse_string_tags = false;   // tags that read as a number or a bool become one
  bool old_attribute_names = true;  // attributes that have been renamed get their old names besides the new ones
};

struct ZipkinEndpoint {
  ByteView service_name, ipv4, ipv6;  // addresses as text
  std::int64_t port = 0;              // 0: none
};

struct ZipkinAnnotation {
  std::uint64_t time_ns = 0;
  ByteView value;
};

struct ZipkinSpan {
  std::array<char, 16> trace_id_bytes{};  // what the ids show when they are not views into the request
  std::array<char, 8> id_bytes{}, parent_bytes{};
  ByteView trace_id, id, parent;
  ByteView name;
  std::uint32_t kind = 0;  // OTLP's
  std::uint64_t timestamp_us = 0, duration_us = 0;
  bool debug = false;
  ZipkinEndpoint local, remote;
  std::vector<ForeignTag> tags;
  std::vector<ZipkinAnnotation> annotations;

  void clear() {
    trace_id = id = parent = name = {};
    kind = 0;
    timestamp_us = duration_us = 0;
    debug = false;
    local = remote = {};
    tags.clear();
    annotations.clear();
  }
};

class ZipkinToOtlp {
 public:
  ZipkinToOtlp(ByteSink& out, ZipkinOptions options, std::size_t request_bytes)
      : build_(out), options_(options), width_(pb::varint_size(request_bytes)) {}

  // Spans in a row with one service name share a resource. Tags are changed on the way.
  void add(ZipkinSpan& span);
  void end();  // after the last span

 private:
  void open_resource(ByteView service_name);
  void open_scope(ScopeOf scope);
  void close_scope();
  struct Special;
  void attributes(const ZipkinSpan& span, const Special& special);

  OtlpBuilder build_;
  const ZipkinOptions options_;
  const std::size_t width_;
  OtlpBuilder::Open resource_, scope_;
  bool in_resource_ = false, in_scope_ = false;
  std::string service_name_, scope_name_, scope_version_;  // copies: a reader's memory may be gone by the next span
  std::vector<std::uint32_t> order_;
};

}  // namespace tailgate
