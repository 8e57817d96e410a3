// SPDX-License-Identifier: Apache-2.0
// Converters about types: IsString, IsInt, ..., Int, Double, String, Bool, Len, and those that search lists and maps.
#include "decide/condition/convert/converters.h"

namespace tailgate::condition {
namespace {

template <ValueKind kind>
bool is_kind(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_bool(a[0].is(kind));
  return true;
}

bool same(Evaluation&, const Arguments& a, Value& out) {
  out = a[0];
  return true;
}

bool is_root_span(Evaluation& e, const Arguments&, Value& out) {
  out = Value::of_bool(!e.in.span.has_parent());
  return true;
}

bool is_empty(Evaluation&, const Arguments& a, Value& out) {
  const Value& v = a[0];
  bool empty = false;
  switch (v.kind) {
    case ValueKind::kNil:
      empty = true;
      break;
    case ValueKind::kBool:
    case ValueKind::kInt:
    case ValueKind::kDuration:
      empty = v.integer == 0;
      break;
    case ValueKind::kDouble:
      empty = v.number == 0;
      break;
    case ValueKind::kString:
    case ValueKind::kBytes:
      empty = v.text.empty();
      break;
    case ValueKind::kTraceId:
    case ValueKind::kSpanId:
      empty = v.text.find_first_not_of('\0') == std::string_view::npos;
      break;
    case ValueKind::kTime:
      break;
    case ValueKind::kMap:
    case ValueKind::kList:
      empty = size_of(v) == 0;
      break;
  }
  out = Value::of_bool(empty);
  return true;
}

bool length(Evaluation& e, const Arguments& a, Value& out) {
  const Value& v = a[0];
  if (v.is(ValueKind::kString) || v.is(ValueKind::kBytes)) {
    out = Value::of_int(static_cast<std::int64_t>(v.text.size()));
  } else if (v.is(ValueKind::kList) || v.is(ValueKind::kMap)) {
    out = Value::of_int(static_cast<std::int64_t>(size_of(v)));
  } else {
    return e.fail("expected a string, a list or a map to take the length of");
  }
  return true;
}

bool contains_value(Evaluation&, const Arguments& a, Value& out) {
  bool found = false;
  Value item;
  for (ListReader reader(a[0]); !found && reader.next(item);) found = compare(item, a[1], CompareOp::kEqual);
  out = Value::of_bool(found);
  return true;
}

bool index_of(Evaluation& e, const Arguments& a, Value& out) {
  std::int64_t at = 0;
  if (a[0].is(ValueKind::kString)) {
    if (!a[1].is(ValueKind::kString)) return e.fail("expected a string to look for in a string");
    const std::size_t found = a[0].text.find(a[1].text);
    out = Value::of_int(found == std::string_view::npos ? -1 : static_cast<std::int64_t>(found));
    return true;
  }
  if (!a[0].is(ValueKind::kList) || a[0].opaque) return e.fail("expected a string or a list to look in");
  Value item;
  for (ListReader reader(a[0]); reader.next(item); ++at) {
    if (compare(item, a[1], CompareOp::kEqual)) {
      out = Value::of_int(at);
      return true;
    }
  }
  out = Value::of_int(-1);
  return true;
}

template <bool keys>
bool parts_of_map(Evaluation& e, const Arguments& a, Value& out) {
  const std::size_t n = size_of(a[0]);
  Value* const items = e.arena.values(n);
  if (items == nullptr) return e.fail("the list takes more than 16 MiB");
  std::string_view key;
  Value value;
  MapReader reader(a[0]);
  for (std::size_t i = 0; i < n && reader.next(key, value); ++i) items[i] = keys ? Value::of_text(key) : value;
  out = Value::of_list(items, n);
  return true;
}

bool coalesce(Evaluation&, const Arguments& a, Value& out) {
  for (ListReader reader(a[0]); reader.next(out);) {
    if (!out.is(ValueKind::kNil)) return true;
  }
  out = Value();
  return true;
}

constexpr std::array kTypeConverters = {
    Converter{"IsString", {{{"target", Want::kAny}}}, is_kind<ValueKind::kString>},
    Converter{"IsInt", {{{"target", Want::kAny}}}, is_kind<ValueKind::kInt>},
    Converter{"IsDouble", {{{"target", Want::kAny}}}, is_kind<ValueKind::kDouble>},
    Converter{"IsBool", {{{"target", Want::kAny}}}, is_kind<ValueKind::kBool>},
    Converter{"IsMap", {{{"target", Want::kAny}}}, is_kind<ValueKind::kMap>},
    Converter{"IsList", {{{"target", Want::kAny}}}, is_kind<ValueKind::kList>},
    Converter{"IsEmpty", {{{"target", Want::kAny}}}, is_empty},
    Converter{"IsRootSpan", {}, is_root_span, nullptr, false, true},
    Converter{"Int", {{{"target", Want::kIntLike}}}, same},
    Converter{"Double", {{{"target", Want::kDoubleLike}}}, same},
    Converter{"Bool", {{{"target", Want::kBoolLike}}}, same},
    Converter{"String", {{{"target", Want::kStringLike}}}, same},
    Converter{"Len", {{{"target", Want::kAny}}}, length},
    Converter{"ContainsValue", {{{"target", Want::kList}, {"item", Want::kAny}}}, contains_value},
    Converter{"Index", {{{"target", Want::kAny}, {"value", Want::kAny}}}, index_of},
    Converter{"Keys", {{{"target", Want::kMap}}}, parts_of_map<true>},
    Converter{"Values", {{{"target", Want::kMap}}}, parts_of_map<false>},
    Converter{"Coalesce", {{{"values", Want::kList}}}, coalesce},
};

}  // namespace

std::span<const Converter> type_converters() { return kTypeConverters; }

}  // namespace tailgate::condition
