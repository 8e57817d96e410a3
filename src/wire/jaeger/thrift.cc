// SPDX-License-Identifier: Apache-2.0
// Field ids follow jaeger-idl's jaeger.thrift:
//
//   Batch 1 process, 2 spans, 3 seqNo, 4 stats      ClientStats 1 fullQueue, 2 tooLarge, 3 failedToEmit (dropped spans)
//   Process 1 serviceName, 2 tags                   Log 1 timestamp (us), 2 fields
//   Span 1 traceIdLow, 2 traceIdHigh, 3 spanId, 4 parentSpanId, 5 operationName, 6 references, 7 flags,
//        8 startTime (us), 9 duration (us), 10 tags, 11 logs
//   SpanRef 1 refType (0 CHILD_OF, 1 FOLLOWS_FROM), 2 traceIdLow, 3 traceIdHigh, 4 spanId
//   Tag 1 key, 2 vType (0 string, 1 double, 2 bool, 3 i64, 4 binary), 3 vStr, 4 vDouble, 5 vBool, 6 vLong, 7 vBinary
//
// A field of another type than its own is passed over, as generated code does. Missing fields are zero: ids of zero are
// counted by the scanner.
#include "wire/jaeger/thrift.h"

#include <fmt/format.h>

#include "wire/jaeger/model.h"
#include "wire/jaeger/thrift_reader.h"
#include "wire/times.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;
using Type = ThriftType;

template <std::size_t N>
void store_be(std::int64_t value, std::array<char, N>& out, std::size_t at) {
  for (std::size_t i = 0; i < 8; ++i)
    out[at + i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (56 - 8 * i));
}

// A message says in its first bytes of which protocol it is. Clients are often given the port of the other.
std::string_view other_protocol(ByteView message, bool is_binary) {
  if (is_binary) return message.starts_with('\x82') ? "; it looks like the compact one, for thrift_compact" : "";
  return message.starts_with("\x80\x01") ? "; it looks like the binary one, for thrift_binary" : "";
}

template <class Reader>
class BatchReader {
 public:
  BatchReader(ByteView bytes, ByteSink& out) : bytes_(bytes), in_(bytes), out_(out), otlp_(out, bytes.size()) {}

  Result<JaegerClient> batch() { return result(read_batch()); }

  // emitBatch(1: Batch), a call or a oneway.
  Result<JaegerClient> message() {
    ThriftMessage head;
    if (!in_.message(head)) {
      return fail(ErrorKind::kBadInput, fmt::format("no Thrift message of this protocol{}",
                                                    other_protocol(bytes_, std::is_same_v<Reader, ThriftBinary>)));
    }
    if (head.name != "emitBatch" || (head.type != 1 && head.type != 4)) {
      return fail(ErrorKind::kBadInput, fmt::format("expected the message emitBatch, got '{}' of type {}",
                                                    to_utf8(head.name.substr(0, 64)), head.type));
    }
    bool found = false;
    return result(each_field([&](const ThriftField& f) {
                    if (f.id != 1 || f.type != Type::kStruct) return skip(f);
                    return !std::exchange(found, true) ? read_batch() : bad("a second batch");
                  }) &&
                  (found || bad("no batch")));
  }

 private:
  Result<JaegerClient> result(bool ok) {
    if (ok) otlp_.end();
    if (out_.failed()) return fail(ErrorKind::kRefused, "no room to convert the request");
    if (ok) return client_;
    return fail(ErrorKind::kBadInput,
                fmt::format("spans[{}]: {}, near byte {} of {}", span_index_,
                            problem_ != nullptr ? problem_ : "malformed", in_.offset(), bytes_.size()));
  }

  bool bad(const char* what) {
    if (problem_ == nullptr) problem_ = what;
    return false;
  }

  template <class Take>
  bool each_field(Take take) {
    typename Reader::Struct state;
    for (ThriftField f;;) {
      if (!in_.field(state, f)) return bad("malformed field");
      if (f.type == Type::kStop) return true;
      if (!take(f)) return false;
    }
  }
  bool skip(const ThriftField& f) { return thrift_skip(in_, f.type) || bad("malformed or too deep a field"); }

  template <class Each>
  bool each_struct(Each each) {
    ThriftList list;
    if (!in_.list(list)) return bad("a list longer than its bytes");
    if (list.count != 0 && list.type != Type::kStruct) return bad("a list of other things than structs");
    for (std::uint32_t i = 0; i < list.count; ++i) {
      if (!each()) return false;
    }
    return true;
  }

  // The field's number into `out` if it is of this type; passed over otherwise.
  bool i64(const ThriftField& f, std::int64_t& out) { return f.type == Type::kI64 ? in_.i64(out) : skip(f); }
  bool i32(const ThriftField& f, std::int32_t& out) { return f.type == Type::kI32 ? in_.i32(out) : skip(f); }
  bool bytes(const ThriftField& f, ByteView& out) { return f.type == Type::kString ? in_.bytes(out) : skip(f); }

  bool read_batch() {
    bool have_process = false, have_spans = false;
    std::optional<Reader> spans_before;  // the spans, where they came before their process
    const bool ok = each_field([&](const ThriftField& f) {
      switch (f.id) {
        case 1:
          if (f.type != Type::kStruct) return skip(f);
          return !std::exchange(have_process, true) ? read_process() : bad("a second process");
        case 2:
          if (f.type != Type::kList) return skip(f);
          if (std::exchange(have_spans, true)) return bad("a second list of spans");
          if (have_process) return read_spans();
          spans_before = in_;
          return skip(f);
        case 3: {
          if (f.type != Type::kI64) return skip(f);
          return in_.i64(client_.seq_no.emplace());
        }
        case 4:
          return f.type == Type::kStruct ? read_stats() : skip(f);
        default:
          return skip(f);
      }
    });
    if (!ok || !spans_before) return ok;
    const Reader after = std::exchange(in_, *spans_before);
    if (!read_spans()) return false;
    in_ = after;
    return true;
  }

  bool read_stats() {
    JaegerClientLost& lost = client_.lost.emplace();
    return each_field([&](const ThriftField& f) {
      if (f.id == 1) return i64(f, lost.full_queue);
      if (f.id == 2) return i64(f, lost.too_large);
      return f.id == 3 ? i64(f, lost.failed_to_emit) : skip(f);
    });
  }

  bool read_process() {
    const bool ok = each_field([&](const ThriftField& f) {
      if (f.id == 1) return bytes(f, process_.service_name);
      return f.id == 2 ? read_tags(f, process_.tags) : skip(f);
    });
    client_.service_name = process_.service_name;
    for (const JaegerTag& tag : process_.tags) {
      if (tag.key == "client-uuid" && tag.value.kind == Kind::kString) client_.uuid = tag.value.bytes;
    }
    return ok;
  }

  bool read_spans() {
    bool begun = false;
    return each_struct([&] {
      if (!std::exchange(begun, true)) otlp_.begin(process_);
      if (!read_span()) return false;
      ++span_index_;
      otlp_.add(span_);
      return !out_.failed();
    });
  }

  bool read_tags(const ThriftField& f, std::vector<JaegerTag>& tags) {
    if (f.type != Type::kList) return skip(f);
    return each_struct([&] { return read_tag(tags); });
  }

  bool read_tag(std::vector<JaegerTag>& tags) {
    JaegerTag tag;
    std::int32_t type = 0;
    std::int64_t v_long = 0;
    std::uint64_t v_double = 0;
    bool v_bool = false;
    ByteView v_str, v_binary;
    const bool ok = each_field([&](const ThriftField& f) {
      switch (f.id) {
        case 1:
          return bytes(f, tag.key);
        case 2:
          return i32(f, type);
        case 3:
          return bytes(f, v_str);
        case 4:
          return f.type == Type::kDouble ? in_.real(v_double) : skip(f);
        case 5:
          return f.type == Type::kBool ? in_.boolean(v_bool) : skip(f);
        case 6:
          return i64(f, v_long);
        case 7:
          return bytes(f, v_binary);
        default:
          return skip(f);
      }
    });
    if (!ok) return bad("malformed tag");
    switch (type) {
      case 0:
        tag.value = {Kind::kString, 0, v_str};
        break;
      case 1:
        tag.value = {Kind::kDouble, v_double, {}};
        break;
      case 2:
        tag.value = {Kind::kBool, v_bool ? 1U : 0U, {}};
        break;
      case 3:
        tag.value = {Kind::kInt, static_cast<std::uint64_t>(v_long), {}};
        break;
      case 4:
        tag.value = {Kind::kBytes, 0, v_binary};
        break;
      default:
        break;  // a type of the future: the key alone
    }
    return out_.push(tags, tag);
  }

  bool read_span() {
    span_.clear();
    std::int64_t low = 0, high = 0, id = 0, parent = 0, start = 0, duration = 0;
    std::int32_t flags = 0;
    const bool ok = each_field([&](const ThriftField& f) {
      switch (f.id) {
        case 1:
          return i64(f, low);
        case 2:
          return i64(f, high);
        case 3:
          return i64(f, id);
        case 4:
          return i64(f, parent);
        case 5:
          return bytes(f, span_.name);
        case 6:
          return f.type == Type::kList ? each_struct([&] { return read_ref(); }) : skip(f);
        case 7:
          return i32(f, flags);
        case 8:
          return i64(f, start);
        case 9:
          return i64(f, duration);
        case 10:
          return read_tags(f, span_.tags);
        case 11:
          return f.type == Type::kList ? each_struct([&] { return read_log(); }) : skip(f);
        default:
          return skip(f);
      }
    });
    if (!ok) return bad("malformed span");
    store_be(high, span_.trace_id_bytes, 0);
    store_be(low, span_.trace_id_bytes, 8);
    store_be(id, span_.span_id_bytes, 0);
    span_.trace_id = {span_.trace_id_bytes.data(), 16};
    span_.span_id = {span_.span_id_bytes.data(), 8};
    if (parent != 0) {
      store_be(parent, span_.parent_bytes, 0);
      span_.parent = {span_.parent_bytes.data(), 8};
    }
    span_.flags = static_cast<std::uint32_t>(flags);
    span_.start_ns = us_to_ns(start);
    span_.end_ns = add_ns(span_.start_ns, us_to_ns(duration));
    return true;
  }

  bool read_ref() {
    std::int32_t type = 0;
    std::int64_t low = 0, high = 0, id = 0;
    const bool ok = each_field([&](const ThriftField& f) {
      if (f.id == 1) return i32(f, type);
      if (f.id == 2) return i64(f, low);
      if (f.id == 3) return i64(f, high);
      return f.id == 4 ? i64(f, id) : skip(f);
    });
    JaegerRef ref;
    store_be(high, ref.trace_id, 0);
    store_be(low, ref.trace_id, 8);
    store_be(id, ref.span_id, 0);
    ref.follows_from = type != 0;
    return ok && out_.push(span_.refs, ref);
  }

  bool read_log() {
    JaegerLog log;
    std::int64_t time = 0;
    log.first = span_.log_fields.size();
    const bool ok = each_field([&](const ThriftField& f) {
      if (f.id == 1) return i64(f, time);
      return f.id == 2 ? read_tags(f, span_.log_fields) : skip(f);
    });
    log.time_ns = us_to_ns(time);
    log.count = span_.log_fields.size() - log.first;
    return ok && out_.push(span_.logs, log);
  }

  const ByteView bytes_;
  Reader in_;
  ByteSink& out_;
  JaegerToOtlp otlp_;
  JaegerClient client_;
  JaegerProcess process_;
  JaegerSpan span_;
  std::size_t span_index_ = 0;
  const char* problem_ = nullptr;
};

}  // namespace

Result<JaegerClient> jaeger_batch_to_otlp(ByteView batch, ThriftProtocol protocol, ByteSink& out) {
  if (protocol == ThriftProtocol::kBinary) return BatchReader<ThriftBinary>(batch, out).batch();
  return BatchReader<ThriftCompact>(batch, out).batch();
}

Result<JaegerClient> jaeger_message_to_otlp(ByteView datagram, ThriftProtocol protocol, ByteSink& out) {
  if (protocol == ThriftProtocol::kBinary) return BatchReader<ThriftBinary>(datagram, out).message();
  return BatchReader<ThriftCompact>(datagram, out).message();
}

}  // namespace tailgate
