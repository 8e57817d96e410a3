// SPDX-License-Identifier: Apache-2.0
// Fast forms of the most common comparisons: an attribute or a field of the span with a constant, without a Value in
// between. They read the bytes that every SDK writes; for any other encoding they take the general way, so the answer
// is the same.
#include <cstring>

#include "codec/protobuf.h"
#include "decide/condition/expr.h"
#include "wire/otlp/schema.h"

namespace tailgate::condition {
namespace {

Truth truth(bool b) { return b ? Truth::kTrue : Truth::kFalse; }

constexpr char kKeyTag = otlp::kKeyTag;
constexpr char kValueTag = otlp::kValueTag;
constexpr char kStringTag = otlp::kStringTag;
constexpr char kIntTag = pb::tag_of(otlp::any_value::kInt, pb::kVarint);
constexpr char kDoubleTag = pb::tag_of(otlp::any_value::kDouble, pb::kFixed64);

// The AnyValue in a KeyValue of the common shape: key, then a value that fills the rest, both shorter than 128 bytes.
bool common_value(ByteView key_value, const char*& p, const char*& end) {
  p = key_value.data();
  end = p + key_value.size();
  if (end - p < 4 || p[0] != kKeyTag || p[1] < 0) return false;
  const int key = p[1];
  if (end - p < 4 + key || p[2 + key] != kValueTag || p[3 + key] < 0 || end - p != 4 + key + p[3 + key]) return false;
  p += 4 + key;
  return true;
}

const ByteView* slots_of(const SpanFields& span, bool resource) {
  return resource ? (span.context == nullptr ? nullptr : span.context->resource_attributes) : span.attributes;
}

// == and != with a text.
class AttributeIsText final : public Test {
 public:
  AttributeIsText(std::size_t slot, bool resource, bool equal, const Value& constant)
      : slot_(slot), resource_(resource), equal_(equal), constant_(constant) {}
  Truth test(Evaluation& e) const override {
    const ByteView* const slots = slots_of(e.in.span, resource_);
    if (slots == nullptr || slots[slot_].data() == nullptr) return truth(!equal_);
    const char *p, *end;
    if (common_value(slots[slot_], p, end) && end - p >= 2 && p[0] == kStringTag && p[1] >= 0 && end - p == 2 + p[1]) {
      const std::string_view& text = constant_.text;
      const bool same =
          static_cast<std::size_t>(p[1]) == text.size() && std::memcmp(p + 2, text.data(), text.size()) == 0;
      return truth(same == equal_);
    }
    return truth(compare(decode_key_value(slots[slot_]), constant_, equal_ ? CompareOp::kEqual : CompareOp::kNotEqual));
  }

 private:
  std::size_t slot_;
  bool resource_, equal_;
  Value constant_;
};

class AttributeIsNumber final : public Test {
 public:
  AttributeIsNumber(std::size_t slot, bool resource, CompareOp op, const Value& constant)
      : slot_(slot), resource_(resource), op_(op), constant_(constant) {}
  Truth test(Evaluation& e) const override {
    const ByteView* const slots = slots_of(e.in.span, resource_);
    if (slots == nullptr || slots[slot_].data() == nullptr) return truth(op_ == CompareOp::kNotEqual);
    const char *p, *end;
    if (common_value(slots[slot_], p, end) && p < end) {
      std::uint64_t n = 0;
      const char tag = *p++;
      if (tag == kIntTag && pb::read_varint(p, end, n) && p == end) {
        const auto integer = static_cast<std::int64_t>(n);
        if (constant_.is(ValueKind::kInt)) return truth(ordered(integer, constant_.integer, op_));
        return truth(ordered(static_cast<double>(integer), constant_.number, op_));
      }
      if (tag == kDoubleTag && end - p == 8) {
        const bool integer = constant_.is(ValueKind::kInt);
        const double wanted = integer ? static_cast<double>(constant_.integer) : constant_.number;
        return truth(ordered(std::bit_cast<double>(load_le<std::uint64_t>(p)), wanted, op_));
      }
      if (tag == kStringTag && p < end && *p >= 0 && end - p == 1 + *p)
        return truth(op_ == CompareOp::kNotEqual);  // a text
    }
    return truth(compare(decode_key_value(slots[slot_]), constant_, op_));
  }

 private:
  std::size_t slot_;
  bool resource_;
  CompareOp op_;
  Value constant_;
};

class NameIs final : public Test {
 public:
  NameIs(CompareOp op, std::string_view text) : op_(op), text_(text) {}
  Truth test(Evaluation& e) const override { return truth(ordered(e.in.span.name, text_, op_)); }

 private:
  CompareOp op_;
  std::string_view text_;
};

class NumberIs final : public Test {
 public:
  NumberIs(std::int32_t SpanFields::*field, CompareOp op, std::int64_t number)
      : field_(field), op_(op), number_(number) {}
  Truth test(Evaluation& e) const override { return truth(ordered<std::int64_t>(e.in.span.*field_, number_, op_)); }

 private:
  std::int32_t SpanFields::*field_;
  CompareOp op_;
  std::int64_t number_;
};

}  // namespace

TestPtr fast_compare(const Expr& left, CompareOp op, const Value& constant) {
  const ExprShape shape = left.shape();
  const bool text = constant.is(ValueKind::kString), integer = constant.is(ValueKind::kInt);
  switch (shape.kind) {
    case ExprShape::kSpanSlot:
    case ExprShape::kResourceSlot: {
      const bool resource = shape.kind == ExprShape::kResourceSlot;
      if (text && (op == CompareOp::kEqual || op == CompareOp::kNotEqual)) {
        return std::make_unique<AttributeIsText>(shape.slot, resource, op == CompareOp::kEqual, constant);
      }
      if (integer || constant.is(ValueKind::kDouble))
        return std::make_unique<AttributeIsNumber>(shape.slot, resource, op, constant);
      return nullptr;
    }
    case ExprShape::kName:
      return text ? std::make_unique<NameIs>(op, constant.text) : nullptr;
    case ExprShape::kKind:
      return integer ? std::make_unique<NumberIs>(&SpanFields::kind, op, constant.integer) : nullptr;
    case ExprShape::kStatusCode:
      return integer ? std::make_unique<NumberIs>(&SpanFields::status_code, op, constant.integer) : nullptr;
    case ExprShape::kOther:
      break;
  }
  return nullptr;
}

}  // namespace tailgate::condition
