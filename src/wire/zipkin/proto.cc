// SPDX-License-Identifier: Apache-2.0
// Field numbers follow zipkin-api's zipkin.proto:
//
//   ListOfSpans 1 spans        Endpoint 1 service_name, 2 ipv4 (4 bytes), 3 ipv6 (16 bytes), 4 port
//   Span 1 trace_id (8 or 16 bytes), 2 parent_id, 3 id (8), 4 kind (1 client, 2 server, 3 producer, 4 consumer), 5
//   name,
//        6 timestamp (us, fixed64), 7 duration (us), 8 local_endpoint, 9 remote_endpoint, 10 annotations, 11 tags,
//        12 debug, 13 shared
//   Annotation 1 timestamp (us, fixed64), 2 value       an entry of tags: 1 key, 2 value
#include <arpa/inet.h>
#include <fmt/format.h>

#include "wire/times.h"
#include "wire/zipkin/zipkin.h"

namespace tailgate {
namespace {

using pb::len;
using pb::var;

class SpanReader {
 public:
  explicit SpanReader(ByteSink& out) : out_(out) {}

  bool read(ByteView message) {
    span_.clear();
    ByteView bytes;
    std::uint64_t v = 0;
    return pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      switch (tag) {
        case len(1):
          if (!pb::read_len(p, end, span_.trace_id)) return false;
          if (span_.trace_id.size() == 8) {  // the low half
            span_.trace_id_bytes.fill('\0');
            std::memcpy(span_.trace_id_bytes.data() + 8, span_.trace_id.data(), 8);
            span_.trace_id = {span_.trace_id_bytes.data(), 16};
          }
          return true;
        case len(2):
          return pb::read_len(p, end, span_.parent);
        case len(3):
          return pb::read_len(p, end, span_.id);
        case var(4): {
          static constexpr std::array<std::uint32_t, 5> kKinds = {0, 3, 2, 4, 5};
          if (!pb::read_varint(p, end, v)) return false;
          span_.kind = v < kKinds.size() ? kKinds[v] : 0;
          return true;
        }
        case len(5):
          return pb::read_len(p, end, span_.name);
        case pb::tag_of(6, pb::kFixed64):
          return pb::read_fixed64(p, end, span_.timestamp_us);
        case var(7):
          return pb::read_varint(p, end, span_.duration_us);
        case len(8):
          return pb::read_len(p, end, bytes) && read_endpoint(bytes, span_.local, 0);
        case len(9):
          return pb::read_len(p, end, bytes) && read_endpoint(bytes, span_.remote, 2);
        case len(10):
          return pb::read_len(p, end, bytes) && read_annotation(bytes);
        case len(11):
          return pb::read_len(p, end, bytes) && read_tag_entry(bytes);
        case var(12):
          if (!pb::read_varint(p, end, v)) return false;
          span_.debug = v != 0;
          return true;
        default:
          return pb::skip_value(p, end, tag);
      }
    });
  }

  ZipkinSpan& span() { return span_; }

 private:
  // `text`: the first of two places for the addresses as text.
  bool read_endpoint(ByteView message, ZipkinEndpoint& out, std::size_t text) {
    ByteView bytes;
    std::uint64_t v = 0;
    return pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      switch (tag) {
        case len(1):
          return pb::read_len(p, end, out.service_name);
        case len(2):
          if (!pb::read_len(p, end, bytes)) return false;
          out.ipv4 = bytes.size() == 4 ? address(AF_INET, bytes, text) : ByteView();
          return true;
        case len(3):
          if (!pb::read_len(p, end, bytes)) return false;
          out.ipv6 = bytes.size() == 16 ? address(AF_INET6, bytes, text + 1) : ByteView();
          return true;
        case var(4):
          if (!pb::read_varint(p, end, v)) return false;
          out.port = static_cast<std::int32_t>(v);
          return true;
        default:
          return pb::skip_value(p, end, tag);
      }
    });
  }

  ByteView address(int family, ByteView bytes, std::size_t text) {
    return ::inet_ntop(family, bytes.data(), addresses_[text].data(), INET6_ADDRSTRLEN);
  }

  bool read_annotation(ByteView message) {
    ZipkinAnnotation annotation;
    std::uint64_t us = 0;
    const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag == pb::tag_of(1, pb::kFixed64)) return pb::read_fixed64(p, end, us);
      return tag == len(2) ? pb::read_len(p, end, annotation.value) : pb::skip_value(p, end, tag);
    });
    annotation.time_ns = us_to_ns(us);
    return ok && out_.push(span_.annotations, annotation);
  }

  bool read_tag_entry(ByteView message) {
    ForeignTag entry;
    entry.value.kind = AttributeValue::Kind::kString;
    const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag == len(1)) return pb::read_len(p, end, entry.key);
      return tag == len(2) ? pb::read_len(p, end, entry.value.bytes) : pb::skip_value(p, end, tag);
    });
    return ok && out_.push(span_.tags, entry);
  }

  ByteSink& out_;
  ZipkinSpan span_;
  std::array<std::array<char, INET6_ADDRSTRLEN>, 4> addresses_{};
};

}  // namespace

Result<void> zipkin_proto_to_otlp(ByteView request, const ZipkinOptions& options, ByteSink& out) {
  ZipkinToOtlp otlp(out, options, request.size());
  SpanReader reader(out);
  std::size_t index = 0;
  const char* at = request.data();
  const bool ok = pb::each_field(request, [&](const char*& p, const char* end, std::uint32_t tag) {
    at = p;
    if (tag != len(1)) return pb::skip_value(p, end, tag);
    ByteView span;
    if (!pb::read_len(p, end, span) || !reader.read(span)) return false;
    ++index;
    otlp.add(reader.span());
    return !out.failed();
  });
  if (ok) otlp.end();
  if (out.failed()) return fail(ErrorKind::kRefused, "no room to convert the request");
  if (ok) return {};
  return fail(ErrorKind::kBadInput, fmt::format("not a Zipkin ListOfSpans: spans[{}] is malformed, near byte {} of {}",
                                                index, at - request.data(), request.size()));
}

}  // namespace tailgate
