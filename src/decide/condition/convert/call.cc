// SPDX-License-Identifier: Apache-2.0
// Compiles calls of converters: finds the converter, matches arguments to parameters, and converts them.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "config/config_node.h"
#include "decide/condition/convert/converters.h"

namespace tailgate::condition {
namespace {

const Converter* find_converter(std::string_view name) {
  for (const auto group : {type_converters(), text_converters(), regex_converters(), time_converters(),
                           hash_converters(), net_converters(), json_converters()}) {
    const auto it = std::find_if(group.begin(), group.end(), [&](const Converter& c) { return c.name == name; });
    if (it != group.end()) return &*it;
  }
  return nullptr;
}

std::vector<std::string> known_converters(ConditionKind kind) {
  std::vector<std::string> names;
  for (const auto group : {type_converters(), text_converters(), regex_converters(), time_converters(),
                           hash_converters(), net_converters(), json_converters()}) {
    for (const Converter& c : group) {
      if (!c.span_only || kind != ConditionKind::kSpanEvent) names.emplace_back(c.name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

const char* text_of(Want want) {
  switch (want) {
    case Want::kString:
      return "expected a string";
    case Want::kInt:
      return "expected an integer";
    case Want::kBool:
      return "expected a boolean";
    case Want::kTime:
      return "expected a time";
    case Want::kDuration:
      return "expected a duration";
    case Want::kMap:
      return "expected a map";
    case Want::kList:
      return "expected a list";
    case Want::kListOfStrings:
      return "expected a list of strings";
    case Want::kStringLike:
      return "expected a value that can be a text";
    case Want::kIntLike:
    case Want::kDoubleLike:
      return "expected a number, a boolean or a string that is a number";
    case Want::kBoolLike:
      return "expected a boolean, a number or a string that is a boolean";
    case Want::kBytesLike:
      return "expected a value that can be bytes";
    case Want::kNothing:
    case Want::kAny:
      break;
  }
  return "expected a value";
}

// Like arguments: `v` becomes what the function takes. Nil stays, and so does what has the right type.
bool make_text(Evaluation& e, Value& v) {
  if (v.is(ValueKind::kString) || v.is(ValueKind::kNil)) return true;
  std::string text;
  return append_text(v, text) ? e.own(text, v) : e.fail(text_of(Want::kStringLike));
}

bool make_int(Evaluation& e, Value& v) {
  if (v.is(ValueKind::kInt) || v.is(ValueKind::kNil)) return true;
  if (v.is(ValueKind::kBool)) {
    v = Value::of_int(v.integer);
  } else if (v.is(ValueKind::kDouble)) {
    v = Value::of_int(truncate(v.number));
  } else if (v.is(ValueKind::kString)) {
    const std::optional<std::int64_t> n = parse_int(v.text);
    v = n ? Value::of_int(*n) : Value();
  } else {
    return e.fail(text_of(Want::kIntLike));
  }
  return true;
}

bool make_double(Evaluation& e, Value& v) {
  if (v.is(ValueKind::kDouble) || v.is(ValueKind::kNil)) return true;
  if (v.is(ValueKind::kBool) || v.is(ValueKind::kInt)) {
    v = Value::of_double(static_cast<double>(v.integer));
    return true;
  }
  const std::optional<double> d = v.is(ValueKind::kString) ? parse_double(v.text) : std::nullopt;
  if (!d) return e.fail(text_of(Want::kDoubleLike));
  v = Value::of_double(*d);
  return true;
}

bool make_bool(Evaluation& e, Value& v) {
  constexpr std::string_view kTrue[] = {"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::string_view kFalse[] = {"0", "f", "F", "false", "FALSE", "False"};
  if (v.is(ValueKind::kBool) || v.is(ValueKind::kNil)) return true;
  if (v.is(ValueKind::kInt)) {
    v = Value::of_bool(v.integer != 0);
  } else if (v.is(ValueKind::kDouble)) {
    v = Value::of_bool(v.number != 0);
  } else if (v.is(ValueKind::kString) && std::find(std::begin(kTrue), std::end(kTrue), v.text) != std::end(kTrue)) {
    v = Value::of_bool(true);
  } else if (v.is(ValueKind::kString) && std::find(std::begin(kFalse), std::end(kFalse), v.text) != std::end(kFalse)) {
    v = Value::of_bool(false);
  } else {
    return e.fail(text_of(Want::kBoolLike));
  }
  return true;
}

bool make_bytes(Evaluation& e, Value& v) {
  if (v.is(ValueKind::kBytes) || v.is(ValueKind::kNil)) return true;
  if (v.is(ValueKind::kString) || v.is(ValueKind::kTraceId) || v.is(ValueKind::kSpanId)) {
    v.kind = ValueKind::kBytes;
    return true;
  }
  if (v.is(ValueKind::kBool)) return e.own(std::string_view(v.boolean() ? "\1" : "\0", 1), v, ValueKind::kBytes);
  if (!v.is(ValueKind::kInt) && !v.is(ValueKind::kDouble)) return e.fail(text_of(Want::kBytesLike));
  const std::uint64_t n =
      v.is(ValueKind::kInt) ? static_cast<std::uint64_t>(v.integer) : std::bit_cast<std::uint64_t>(v.number);
  char big_endian[8];
  for (int i = 0; i < 8; ++i) big_endian[i] = static_cast<char>(n >> (56 - 8 * i));
  return e.own(std::string_view(big_endian, 8), v, ValueKind::kBytes);
}

bool has_strings_only(const Value& list) {
  Value item;
  for (ListReader reader(list); reader.next(item);) {
    if (!item.is(ValueKind::kString)) return false;
  }
  return true;
}

bool convert(Evaluation& e, Want want, Value& v) {
  bool ok = true;
  switch (want) {
    case Want::kNothing:
    case Want::kAny:
      return true;
    case Want::kStringLike:
      return make_text(e, v);
    case Want::kIntLike:
      return make_int(e, v);
    case Want::kDoubleLike:
      return make_double(e, v);
    case Want::kBoolLike:
      return make_bool(e, v);
    case Want::kBytesLike:
      return make_bytes(e, v);
    case Want::kString:
      ok = v.is(ValueKind::kString);
      break;
    case Want::kInt:
      ok = v.is(ValueKind::kInt);
      break;
    case Want::kBool:
      ok = v.is(ValueKind::kBool);
      break;
    case Want::kTime:
      ok = v.is(ValueKind::kTime);
      break;
    case Want::kDuration:
      ok = v.is(ValueKind::kDuration);
      break;
    case Want::kMap:
      ok = v.is(ValueKind::kMap);
      break;
    case Want::kList:
      ok = v.is(ValueKind::kList) && !v.opaque;
      break;
    case Want::kListOfStrings:
      ok = v.is(ValueKind::kList) && !v.opaque && has_strings_only(v);
      break;
  }
  return ok || e.fail(text_of(want));
}

class Call final : public Expr {
 public:
  Call(const Converter& converter, std::array<ExprPtr, kParametersMax> arguments,
       std::unique_ptr<const Prepared> prepared)
      : converter_(converter), arguments_(std::move(arguments)), prepared_(std::move(prepared)) {
    for (std::size_t i = 0; i < kParametersMax; ++i) {
      if (arguments_[i] != nullptr) {
        given_ |= 1u << i;
        count_ = i + 1;
      }
    }
  }

  bool evaluate(Evaluation& e, Value& out) const override {
    Value values[kParametersMax];
    for (std::size_t i = 0; i < count_; ++i) {
      if (arguments_[i] == nullptr) continue;
      if (!arguments_[i]->evaluate(e, values[i]) || !convert(e, converter_.parameters[i].want, values[i])) return false;
    }
    return converter_.call(e, {values, given_, prepared_.get()}, out);
  }

 private:
  const Converter& converter_;
  std::array<ExprPtr, kParametersMax> arguments_;
  std::unique_ptr<const Prepared> prepared_;
  std::uint32_t given_ = 0;
  std::size_t count_ = 0;
};

std::string signature(const Converter& c) {
  std::string text(c.name);
  text += '(';
  for (std::size_t i = 0; i < kParametersMax && c.parameters[i].want != Want::kNothing; ++i) {
    text += fmt::format("{}{}{}", i == 0 ? "" : ", ", c.parameters[i].name, c.parameters[i].optional ? "?" : "");
  }
  return text + ')';
}

}  // namespace

Result<ExprPtr> Compiler::call(const AstNode& node) {
  const Converter* const converter = find_converter(node.text);
  if (converter == nullptr || (converter->span_only && kind == ConditionKind::kSpanEvent)) {
    const std::vector<std::string> known = known_converters(kind);
    const std::string near = nearest_name(node.text, known);
    std::string list;
    for (const std::string& name : known) list.append(list.empty() ? "" : ", ").append(name);
    return condition_error(
        node.column, fmt::format("no converter '{}'{}; known are {}", node.text,
                                 near.empty() || near == node.text ? "" : "; did you mean '" + near + "'?", list));
  }

  std::array<ExprPtr, kParametersMax> arguments;
  std::array<std::uint32_t, kParametersMax> columns{};
  bool named = false, constant = converter->constant;
  for (std::size_t position = 0; position < node.children.size(); ++position) {
    const AstNode& argument = ast.child(node, position);
    std::size_t slot = position;
    if (!argument.text.empty()) {
      named = true;
      const auto it = std::find_if(converter->parameters.begin(), converter->parameters.end(),
                                   [&](const Parameter& p) { return p.name == argument.text; });
      if (it == converter->parameters.end()) {
        return condition_error(argument.column,
                               fmt::format("no parameter '{}'; expected {}", argument.text, signature(*converter)));
      }
      slot = static_cast<std::size_t>(it - converter->parameters.begin());
    } else if (named) {
      return condition_error(argument.column, "expected arguments without names before those with names");
    }
    if (slot >= kParametersMax || converter->parameters[slot].want == Want::kNothing) {
      return condition_error(argument.column, fmt::format("an argument too many; expected {}", signature(*converter)));
    }
    if (arguments[slot] != nullptr) {
      return condition_error(argument.column, fmt::format("'{}' is given twice", converter->parameters[slot].name));
    }
    Result<ExprPtr> made = value(argument.children[0]);
    if (!made) return made;
    constant = constant && (*made)->constant() != nullptr;
    columns[slot] = argument.column;
    arguments[slot] = std::move(*made);
  }

  std::array<const Value*, kParametersMax> given{};
  const SpanFields nowhere;
  const ConditionContext context{nowhere};
  Evaluation e(context);
  for (std::size_t i = 0; i < kParametersMax && converter->parameters[i].want != Want::kNothing; ++i) {
    const Parameter& parameter = converter->parameters[i];
    if (arguments[i] == nullptr) {
      if (parameter.optional) continue;
      return condition_error(node.column,
                             fmt::format("'{}' is missing; expected {}", parameter.name, signature(*converter)));
    }
    // A constant of a type that can never do is an error now, not one at each span.
    given[i] = arguments[i]->constant();
    if (given[i] == nullptr) continue;
    Value converted = *given[i];
    if (!convert(e, parameter.want, converted)) {
      return condition_error(columns[i], fmt::format("{} for '{}', got {}; {}", e.error, parameter.name,
                                                     name_of(given[i]->kind), signature(*converter)));
    }
  }
  std::unique_ptr<const Prepared> prepared;
  if (converter->prepare != nullptr) {
    auto made = converter->prepare(given);
    if (!made) return condition_error(columns[made.error().argument], made.error().text);
    prepared = std::move(*made);
  }
  auto call = std::make_unique<Call>(*converter, std::move(arguments), std::move(prepared));
  if (!constant) return call;
  Value result, kept;
  if (!call->evaluate(e, result)) return condition_error(node.column, fmt::format("{}: {}", converter->name, e.error));
  if (!keep(result, kept)) return condition_error(node.column, "expected a constant of at most 16 MiB and 100 levels");
  return std::make_unique<Literal>(kept);
}

}  // namespace tailgate::condition
