// SPDX-License-Identifier: Apache-2.0
// Writes Jaeger batches in Thrift, from the protobuf twin's messages: a third opinion on the bytes, independent of the
// readers. One class per protocol with the same calls.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

#include "jaeger_twin.pb.h"

namespace tailgate::test {

inline std::uint64_t read_be(const std::string& bytes, std::size_t at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v = v << 8 | static_cast<std::uint8_t>(bytes.at(at + i));
  return v;
}

class BinaryWriter {
 public:
  enum Type { kBool = 2, kDouble = 4, kI32 = 8, kI64 = 10, kString = 11, kStruct = 12, kList = 15 };
  struct Saved {};

  std::string out;

  void message(const std::string& name, int type, bool strict = true) {
    if (strict) {
      big(0x80010000U | static_cast<std::uint32_t>(type), 4);
      text(name);
    } else {
      text(name);
      out.push_back(static_cast<char>(type));
    }
    big(7, 4);
  }
  Saved begin() { return {}; }
  void end(Saved) { out.push_back('\0'); }
  void field(Type type, int id) {
    out.push_back(static_cast<char>(type));
    big(static_cast<std::uint64_t>(id), 2);
  }
  void boolean(int id, bool v) {
    field(kBool, id);
    out.push_back(v ? '\1' : '\0');
  }
  void i32(int id, std::int32_t v) {
    field(kI32, id);
    big(static_cast<std::uint32_t>(v), 4);
  }
  void i64(int id, std::int64_t v) {
    field(kI64, id);
    big(static_cast<std::uint64_t>(v), 8);
  }
  void real(int id, double v) {
    field(kDouble, id);
    big(std::bit_cast<std::uint64_t>(v), 8);
  }
  void bytes(int id, const std::string& v) {
    field(kString, id);
    text(v);
  }
  void list(int id, std::size_t count) {
    field(kList, id);
    out.push_back(kStruct);
    big(count, 4);
  }

 private:
  void text(const std::string& v) {
    big(v.size(), 4);
    out += v;
  }
  void big(std::uint64_t v, int n) {
    for (int i = n - 1; i >= 0; --i) out.push_back(static_cast<char>(v >> (8 * i)));
  }
};

class CompactWriter {
 public:
  enum Type { kTrue = 1, kFalse = 2, kI32 = 5, kI64 = 6, kDouble = 7, kString = 8, kList = 9, kStruct = 12 };
  using Saved = int;

  std::string out;

  void message(const std::string& name, int type, bool = true) {
    out.push_back('\x82');
    out.push_back(static_cast<char>(type << 5 | 1));
    varint(300);
    varint(name.size());
    out += name;
  }
  Saved begin() { return std::exchange(last_, 0); }
  void end(Saved saved) {
    out.push_back('\0');
    last_ = saved;
  }
  void field(Type type, int id) {
    if (id > last_ && id - last_ <= 15 && !long_ids) {
      out.push_back(static_cast<char>((id - last_) << 4 | type));
    } else {
      out.push_back(static_cast<char>(type));
      varint(zigzag(id));
    }
    last_ = id;
  }
  void boolean(int id, bool v) { field(v ? kTrue : kFalse, id); }
  void i32(int id, std::int32_t v) {
    field(kI32, id);
    varint(zigzag(v));
  }
  void i64(int id, std::int64_t v) {
    field(kI64, id);
    varint(zigzag(v));
  }
  void real(int id, double v) {
    field(kDouble, id);
    for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(std::bit_cast<std::uint64_t>(v) >> (8 * i)));
  }
  void bytes(int id, const std::string& v) {
    field(kString, id);
    varint(v.size());
    out += v;
  }
  void list(int id, std::size_t count) {
    field(kList, id);
    if (count < 15) {
      out.push_back(static_cast<char>(count << 4 | kStruct));
    } else {
      out.push_back(static_cast<char>(0xF0 | kStruct));
      varint(count);
    }
  }

  bool long_ids = false;  // write every id in its long form

 private:
  static std::uint64_t zigzag(std::int64_t v) {
    return static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63);
  }
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
    out.push_back(static_cast<char>(v));
  }
  int last_ = 0;
};

template <class Writer>
void write_tags(Writer& w, int id, const google::protobuf::RepeatedPtrField<twin::jaeger::KeyValue>& tags) {
  constexpr int kTypes[] = {0, 2, 3, 1, 4};  // protobuf's order to Thrift's
  w.list(id, static_cast<std::size_t>(tags.size()));
  for (const auto& tag : tags) {
    const auto saved = w.begin();
    w.bytes(1, tag.key());
    w.i32(2, kTypes[tag.v_type()]);
    if (tag.v_type() == 0) w.bytes(3, tag.v_str());
    if (tag.v_type() == 3) w.real(4, tag.v_float64());
    if (tag.v_type() == 1) w.boolean(5, tag.v_bool());
    if (tag.v_type() == 2) w.i64(6, tag.v_int64());
    if (tag.v_type() == 4) w.bytes(7, tag.v_binary());
    w.end(saved);
  }
}

inline std::int64_t micros(const twin::jaeger::Seconds& t) { return t.seconds() * 1'000'000 + t.nanos() / 1000; }

struct ThriftExtras {
  std::int64_t seq_no = 0;  // 0: none
  bool stats = false;       // 1, 2 and 3 spans lost
  bool spans_first = false;
};

// The fields of a Batch. A span's own process is ignored; `parents[i]` is parentSpanId of span i.
template <class Writer>
void write_batch(Writer& w, const twin::jaeger::Batch& batch, const std::vector<std::uint64_t>& parents,
                 const ThriftExtras& extras = {}) {
  const auto in_batch = w.begin();
  const auto process = [&] {
    w.field(Writer::kStruct, 1);
    const auto saved = w.begin();
    w.bytes(1, batch.process().service_name());
    if (batch.process().tags_size() != 0) write_tags(w, 2, batch.process().tags());
    w.end(saved);
  };
  if (!extras.spans_first) process();
  w.list(2, static_cast<std::size_t>(batch.spans_size()));
  for (int i = 0; i < batch.spans_size(); ++i) {
    const auto& span = batch.spans(i);
    const auto saved = w.begin();
    w.i64(1, static_cast<std::int64_t>(read_be(span.trace_id(), 8)));
    w.i64(2, static_cast<std::int64_t>(read_be(span.trace_id(), 0)));
    w.i64(3, static_cast<std::int64_t>(read_be(span.span_id(), 0)));
    w.i64(4, static_cast<std::int64_t>(
                 static_cast<std::size_t>(i) < parents.size() ? parents[static_cast<std::size_t>(i)] : 0));
    w.bytes(5, span.operation_name());
    if (span.references_size() != 0) {
      w.list(6, static_cast<std::size_t>(span.references_size()));
      for (const auto& ref : span.references()) {
        const auto in_ref = w.begin();
        w.i32(1, ref.ref_type());
        w.i64(2, static_cast<std::int64_t>(read_be(ref.trace_id(), 8)));
        w.i64(3, static_cast<std::int64_t>(read_be(ref.trace_id(), 0)));
        w.i64(4, static_cast<std::int64_t>(read_be(ref.span_id(), 0)));
        w.end(in_ref);
      }
    }
    w.i32(7, static_cast<std::int32_t>(span.flags()));
    w.i64(8, micros(span.start_time()));
    w.i64(9, micros(span.duration()));
    if (span.tags_size() != 0) write_tags(w, 10, span.tags());
    if (span.logs_size() != 0) {
      w.list(11, static_cast<std::size_t>(span.logs_size()));
      for (const auto& log : span.logs()) {
        const auto in_log = w.begin();
        w.i64(1, micros(log.timestamp()));
        write_tags(w, 2, log.fields());
        w.end(in_log);
      }
    }
    w.end(saved);
  }
  if (extras.spans_first) process();
  if (extras.seq_no != 0) w.i64(3, extras.seq_no);
  if (extras.stats) {
    w.field(Writer::kStruct, 4);
    const auto saved = w.begin();
    for (int i = 1; i <= 3; ++i) w.i64(i, i);
    w.end(saved);
  }
  w.end(in_batch);
}

// The bare Batch of the HTTP endpoint.
template <class Writer>
std::string thrift_batch(const twin::jaeger::Batch& batch, const std::vector<std::uint64_t>& parents = {},
                         const ThriftExtras& extras = {}) {
  Writer w;
  write_batch(w, batch, parents, extras);
  return w.out;
}

// emitBatch as a datagram.
template <class Writer>
std::string thrift_message(const twin::jaeger::Batch& batch, const std::vector<std::uint64_t>& parents = {},
                           const ThriftExtras& extras = {}, int type = 4, bool strict = true) {
  Writer w;
  w.message("emitBatch", type, strict);
  const auto saved = w.begin();
  w.field(Writer::kStruct, 1);
  write_batch(w, batch, parents, extras);
  w.end(saved);
  return w.out;
}

}  // namespace tailgate::test
