// SPDX-License-Identifier: Apache-2.0
// Field numbers follow jaeger-idl's api_v2/model.proto:
//
//   PostSpansRequest 1 batch        Batch 1 spans, 2 process        Process 1 service_name, 2 tags
//   Span 1 trace_id, 2 span_id, 3 operation_name, 4 references, 5 flags, 6 start_time, 7 duration, 8 tags, 9 logs,
//        10 process (before the batch's), 11 process_id, 12 warnings
//   SpanRef 1 trace_id, 2 span_id, 3 ref_type (0 CHILD_OF, 1 FOLLOWS_FROM)      Log 1 timestamp, 2 fields
//   KeyValue 1 key, 2 v_type (0 string, 1 bool, 2 int64, 3 float64, 4 binary), 3 v_str, 4 v_bool, 5 v_int64,
//        6 v_float64, 7 v_binary       Timestamp and Duration 1 seconds, 2 nanos
//
// A field of another wire type than its own is an unknown field and is skipped, as protobuf has it.
#include "wire/jaeger/proto.h"

#include <fmt/format.h>

#include "wire/jaeger/model.h"
#include "wire/times.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

using pb::len;
using pb::var;

// Seconds and nanoseconds; several occurrences of the message merge, since the numbers are the caller's.
struct Seconds {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  std::uint64_t ns() const { return seconds_to_ns(seconds, nanos); }
};

bool read_seconds(const char*& at, const char* at_end, Seconds& out) {
  ByteView message;
  return pb::read_len(at, at_end, message) &&
         pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
           std::uint64_t v = 0;
           if (tag != var(1) && tag != var(2)) return pb::skip_value(p, end, tag);
           if (!pb::read_varint(p, end, v)) return false;
           if (tag == var(1)) out.seconds = static_cast<std::int64_t>(v);
           if (tag == var(2)) out.nanos = static_cast<std::int32_t>(v);
           return true;
         });
}

bool read_tag_message(ByteView message, JaegerTag& out) {
  std::uint64_t type = 0, v_bool = 0, v_int = 0, v_double = 0;
  ByteView v_str, v_binary;
  const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
    switch (tag) {
      case len(1):
        return pb::read_len(p, end, out.key);
      case var(2):
        return pb::read_varint(p, end, type);
      case len(3):
        return pb::read_len(p, end, v_str);
      case var(4):
        return pb::read_varint(p, end, v_bool);
      case var(5):
        return pb::read_varint(p, end, v_int);
      case pb::tag_of(6, pb::kFixed64):
        return pb::read_fixed64(p, end, v_double);
      case len(7):
        return pb::read_len(p, end, v_binary);
      default:
        return pb::skip_value(p, end, tag);
    }
  });
  switch (static_cast<std::uint32_t>(type)) {
    case 0:
      out.value = {Kind::kString, 0, v_str};
      break;
    case 1:
      out.value = {Kind::kBool, v_bool != 0 ? 1U : 0U, {}};
      break;
    case 2:
      out.value = {Kind::kInt, v_int, {}};
      break;
    case 3:
      out.value = {Kind::kDouble, v_double, {}};
      break;
    case 4:
      out.value = {Kind::kBytes, 0, v_binary};
      break;
    default:
      out.value = {};  // a type of the future: the key alone
  }
  return ok;
}

class Converter {
 public:
  Converter(ByteView request, ByteSink& out) : request_(request), out_(out), otlp_(out, request.size()) {}

  Result<void> run() {
    // The process stands behind the spans, so the batch is walked twice: once over its fields, then over its spans.
    const bool ok = each_batch([&](const char*& p, const char* end, std::uint32_t tag) {
                      ByteView bytes;
                      if (tag != len(2)) return pb::skip_value(p, end, tag) || bad("a field of the batch", p);
                      return (pb::read_len(p, end, bytes) && read_process(bytes, process_)) || bad("batch.process", p);
                    }) &&
                    spans(false) && (!own_processes_ || spans(true));
    if (out_.failed()) return fail(ErrorKind::kRefused, "no room to convert the request");
    if (!ok) return fail(ErrorKind::kBadInput, problem_);
    otlp_.end();
    if (out_.failed()) return fail(ErrorKind::kRefused, "no room to convert the request");
    return {};
  }

 private:
  template <class Take>
  bool each_batch(Take take) {
    return pb::each_field(request_,
                          [&](const char*& p, const char* end, std::uint32_t tag) {
                            ByteView batch;
                            if (tag != len(1)) return pb::skip_value(p, end, tag) || bad("a field of the request", p);
                            if (!pb::read_len(p, end, batch)) return bad("batch", p);
                            return pb::each_field(batch, take) || bad("a field of the batch", p);
                          }) ||
           bad("a field of the request", request_.data() + request_.size());
  }

  // Spans without a process of their own, then those with one: a batch's process is written once whatever their order.
  bool spans(bool own) {
    bool begun = false;
    JaegerProcess process;
    ByteView last_process;
    std::size_t index = 0;
    return each_batch([&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag != len(1)) return pb::skip_value(p, end, tag);
      ByteView bytes;
      if (!pb::read_len(p, end, bytes) || !read_span(bytes)) {
        if (problem_.empty()) {
          problem_ = fmt::format("batch.spans[{}] is malformed, before byte {}", index, p - request_.data());
        }
        return false;
      }
      ++index;
      if (out_.failed()) return false;
      if (has_process_ != own) {
        own_processes_ |= has_process_;
        return true;
      }
      if (!begun && !own) otlp_.begin(process_);
      if (own && (!begun || span_process_ != last_process)) {
        process.clear();
        if (!read_process(span_process_, process)) return bad("span.process", p);
        otlp_.begin(process);
        last_process = span_process_;
      }
      begun = true;
      otlp_.add(span_);
      return !out_.failed();
    });
  }

  bool read_process(ByteView message, JaegerProcess& out) {
    return pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag == len(1)) return pb::read_len(p, end, out.service_name);
      return tag == len(2) ? read_kv(p, end, out.tags) : pb::skip_value(p, end, tag);
    });
  }

  bool read_kv(const char*& p, const char* end, std::vector<JaegerTag>& tags) {
    ByteView bytes;
    JaegerTag tag;
    return pb::read_len(p, end, bytes) && read_tag_message(bytes, tag) && out_.push(tags, tag);
  }

  // An id of 8 bytes is the low half of one of 16. Others are left as they are, and the scanner does not take them for
  // ids.
  static ByteView trace_id(ByteView bytes, std::array<char, 16>& padded) {
    if (bytes.size() != 8) return bytes;
    padded.fill('\0');
    std::memcpy(padded.data() + 8, bytes.data(), 8);
    return {padded.data(), 16};
  }

  bool read_span(ByteView message) {
    span_.clear();
    has_process_ = false;
    Seconds start, duration;
    ByteView bytes;
    std::uint64_t v = 0;
    const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      switch (tag) {
        case len(1):
          if (!pb::read_len(p, end, bytes)) return false;
          span_.trace_id = trace_id(bytes, span_.trace_id_bytes);
          return true;
        case len(2):
          return pb::read_len(p, end, span_.span_id);
        case len(3):
          return pb::read_len(p, end, span_.name);
        case len(4):
          return pb::read_len(p, end, bytes) && read_ref(bytes);
        case var(5):
          if (!pb::read_varint(p, end, v)) return false;
          span_.flags = static_cast<std::uint32_t>(v);
          return true;
        case len(6):
          return read_seconds(p, end, start);
        case len(7):
          return read_seconds(p, end, duration);
        case len(8):
          return read_kv(p, end, span_.tags);
        case len(9):
          return pb::read_len(p, end, bytes) && read_log(bytes);
        case len(10):
          has_process_ = true;
          return pb::read_len(p, end, span_process_);
        default:
          return pb::skip_value(p, end, tag);
      }
    });
    span_.start_ns = start.ns();
    span_.end_ns = add_ns(span_.start_ns, duration.ns());
    return ok;
  }

  bool read_ref(ByteView message) {
    JaegerRef ref;
    ByteView trace, span;
    std::uint64_t type = 0;
    const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag == len(1)) return pb::read_len(p, end, trace);
      if (tag == len(2)) return pb::read_len(p, end, span);
      return tag == var(3) ? pb::read_varint(p, end, type) : pb::skip_value(p, end, tag);
    });
    const ByteView id = trace_id(trace, ref.trace_id);
    if (id.size() != 16 || span.size() != 8) return ok;  // it points nowhere
    if (trace.size() == 16) std::memcpy(ref.trace_id.data(), trace.data(), 16);
    std::memcpy(ref.span_id.data(), span.data(), 8);
    ref.follows_from = type != 0;
    return ok && out_.push(span_.refs, ref);
  }

  bool read_log(ByteView message) {
    JaegerLog log;
    log.first = span_.log_fields.size();
    Seconds time;
    const bool ok = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
      if (tag == len(1)) return read_seconds(p, end, time);
      return tag == len(2) ? read_kv(p, end, span_.log_fields) : pb::skip_value(p, end, tag);
    });
    log.time_ns = time.ns();
    log.count = span_.log_fields.size() - log.first;
    return ok && out_.push(span_.logs, log);
  }

  bool bad(const char* what, const char* p) {
    if (problem_.empty()) {
      problem_ = fmt::format("not a jaeger.api_v2 PostSpansRequest: {} is malformed, near byte {} of {}", what,
                             p - request_.data(), request_.size());
    }
    return false;
  }

  const ByteView request_;
  ByteSink& out_;
  JaegerToOtlp otlp_;
  JaegerProcess process_;
  JaegerSpan span_;
  ByteView span_process_;
  bool has_process_ = false;    // of span_
  bool own_processes_ = false;  // some span has one
  std::string problem_;
};

}  // namespace

Result<void> jaeger_proto_to_otlp(ByteView request, ByteSink& out) { return Converter(request, out).run(); }

}  // namespace tailgate
