// SPDX-License-Identifier: Apache-2.0
// Value: what an expression of a condition stands for. Small and copied freely; it owns nothing. Texts, lists and maps
// are views of the request, of the condition itself, or of the Arena of the evaluation that made them.
//
// Values on the wire may be malformed: one ends where it breaks, and nesting is followed kNestingMax deep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "decide/condition/ast.h"

namespace tailgate::condition {

enum class ValueKind : std::uint8_t {
  kNil,
  kBool,
  kInt,
  kDouble,
  kString,
  kBytes,
  kTraceId,
  kSpanId,
  kTime,
  kDuration,
  kMap,
  kList
};

std::string_view name_of(ValueKind kind);  // "a string"

struct MapEntry;

struct Value {
  ValueKind kind = ValueKind::kNil;
  // Maps and lists. On the wire: the repeated field `field` of the messages `outer` in `text` (of `text` itself when
  // outer is 0). Otherwise `count` items or entries.
  bool wire = false;
  bool opaque =
      false;  // a list of messages that are not values (events, links): it has a length, and its items cannot be read
  std::uint8_t outer = 0, field = 0;
  std::int32_t zone = 0;  // of a time: seconds east of UTC
  union {
    std::int64_t integer = 0;  // kInt; nanoseconds of a duration, or of a time since 1970; kBool: 0 or 1
    double number;
    const Value* items;
    const MapEntry* entries;
    std::size_t unused;
  };
  std::string_view text;
  std::size_t count = 0;

  bool is(ValueKind k) const { return kind == k; }
  bool boolean() const { return integer != 0; }

  static Value nil() { return {}; }
  static Value of_bool(bool b) { return with_integer(ValueKind::kBool, b); }
  static Value of_int(std::int64_t i) { return with_integer(ValueKind::kInt, i); }
  static Value of_duration(std::int64_t ns) { return with_integer(ValueKind::kDuration, ns); }
  static Value of_time(std::int64_t ns, std::int32_t zone = 0) {
    Value v = with_integer(ValueKind::kTime, ns);
    v.zone = zone;
    return v;
  }
  static Value of_double(double d) {
    Value v;
    v.kind = ValueKind::kDouble;
    v.number = d;
    return v;
  }
  static Value of_text(std::string_view text, ValueKind kind = ValueKind::kString) {
    Value v;
    v.kind = kind;
    v.text = text;
    return v;
  }
  static Value on_wire(ValueKind kind, ByteView message, std::uint8_t field, std::uint8_t outer = 0) {
    Value v = of_text(message, kind);
    v.wire = true;
    v.field = field;
    v.outer = outer;
    return v;
  }
  static Value of_list(const Value* items, std::size_t count) {
    Value v;
    v.kind = ValueKind::kList;
    v.items = items;
    v.count = count;
    return v;
  }
  static Value of_map(const MapEntry* entries, std::size_t count) {
    Value v;
    v.kind = ValueKind::kMap;
    v.entries = entries;
    v.count = count;
    return v;
  }

 private:
  static Value with_integer(ValueKind kind, std::int64_t i) {
    Value v;
    v.kind = kind;
    v.integer = i;
    return v;
  }
};

struct MapEntry {
  std::string_view key;
  Value value;
};

inline constexpr int kNestingMax = 100;  // libprotobuf's own limit

// Memory of one evaluation, given back as a whole. The first bytes come from the object itself, so that small values
// cost no allocation. Null when kBytesMax is passed: attributes may be megabytes, and a condition may multiply them.
class Arena {
 public:
  static constexpr std::size_t kBytesMax = 16 << 20;

  Arena() {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  char* chars(std::size_t n) { return static_cast<char*>(bytes(n, 1)); }
  Value* values(std::size_t n) { return make<Value>(n); }
  MapEntry* entries(std::size_t n) { return make<MapEntry>(n); }
  std::optional<std::string_view> copy(std::string_view text);

 private:
  template <class T>
  T* make(std::size_t n) {
    void* const p = n <= kBytesMax / sizeof(T) ? bytes(n * sizeof(T), alignof(T)) : nullptr;
    if (p != nullptr) std::uninitialized_default_construct_n(static_cast<T*>(p), n);
    return static_cast<T*>(p);
  }
  void* bytes(std::size_t n, std::size_t align) {
    if (n > kBytesMax - used_) return nullptr;
    used_ += n;
    if (!resource_) resource_.emplace(first_, sizeof first_);
    return resource_->allocate(n, align);
  }

  alignas(16) char first_[512];
  std::optional<std::pmr::monotonic_buffer_resource> resource_;  // made when first used: most conditions need none
  std::size_t used_ = 0;
};

// --- wire (wire_value.cc)
Value decode_any_value(ByteView any_value);   // an AnyValue; none of its fields: nil
Value decode_key_value(ByteView key_value);   // the value of a KeyValue
std::string_view key_of(ByteView key_value);  // its key

// Walks the items of a list or the entries of a map, wherever they are.
class ListReader {
 public:
  explicit ListReader(const Value& list);
  bool next(Value& item);

 private:
  friend class MapReader;
  bool next_message(ByteView& message);

  const Value& list_;
  std::size_t at_ = 0;          // owned
  ByteView rest_, outer_rest_;  // wire
};

class MapReader {
 public:
  explicit MapReader(const Value& map) : reader_(map) {}
  bool next(std::string_view& key, Value& value);

 private:
  ListReader reader_;
};

std::size_t size_of(const Value& container);
bool find_key(const Value& map, std::string_view key, Value& value);  // the first of that name
bool find_index(const Value& list, std::int64_t index, Value& value);

// --- rules
template <class T>
bool ordered(const T& a, const T& b, CompareOp op) {
  switch (op) {
    case CompareOp::kEqual:
      return a == b;
    case CompareOp::kNotEqual:
      return a != b;
    case CompareOp::kLess:
      return a < b;
    case CompareOp::kLessEqual:
      return a <= b;
    case CompareOp::kGreater:
      return a > b;
    case CompareOp::kGreaterEqual:
      return a >= b;
  }
  return false;
}

// As contrib's compare.go: numbers with numbers, otherwise like with like; of unlike values only != is true.
bool compare(const Value& a, const Value& b, CompareOp op);
bool deep_equal(const Value& a, const Value& b, int depth = 0);

// The text of a value as OTTL's StringLike arguments have it: JSON for maps and lists, hex for bytes and ids. False:
// none (NaN, nested too deep). Callers check for nil first, which has no text.
bool append_text(const Value& value, std::string& out);
bool append_json(const Value& value, std::string& out, int depth = 0);
void append_double(double d, std::string& out);  // as Go's encoding/json

std::optional<std::int64_t> parse_int(std::string_view text, int base = 10);  // as Go's strconv.ParseInt for this base
std::optional<double> parse_double(std::string_view text);                    // as Go's strconv.ParseFloat
std::int64_t truncate(double d);                                              // as Go's int64(d) on amd64

}  // namespace tailgate::condition
