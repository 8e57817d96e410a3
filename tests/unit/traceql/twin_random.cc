// SPDX-License-Identifier: Apache-2.0
// The twin's random queries, as trees and as text, and its random traces.
#include <fmt/format.h>

#include "unit/traceql/twin.h"

namespace tailgate::test {
namespace {

constexpr const char* kKeys[] = {"a", "b", "http.code", "my attr", "service.name", "x-y/z"};
constexpr const char* kTexts[] = {"", "a", "b", "500", "POST /pay", "web", "A\"b\n", "\xc3\xa9t\xc3\xa9"};
constexpr const char* kPatterns[] = {"a|b", ".*", "[ab]", "(?i)A", "5.0", "POST .*|web", "a\\.b", "", "web|pay"};
constexpr const char* kNames[] = {"a", "b", "POST /pay", "web", ""};

template <class T, std::size_t N>
const T& pick(Random& r, const T (&from)[N]) {
  return from[r.below(N)];
}

std::string quoted(const std::string& text, Random& r) {
  if (r.one_in(4) && text.find('`') == std::string::npos) return '`' + text + '`';
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

Expression literal(TwinValue value, std::string text) { return {"literal", std::move(text), std::move(value), {}}; }
Expression word(const std::string& text, bool is_status) { return literal({Word{text, is_status}}, text); }
Expression with(const std::string& name, Expression a, Expression b) {
  return {name, "", {}, {std::move(a), std::move(b)}};
}
Expression intrinsic(const std::string& name) { return {"intrinsic", name, {}, {}}; }

constexpr const char* kComparisons[] = {"=", "=", "!=", "<", "<=", ">", ">="};
constexpr const char* kEqualities[] = {"=", "=", "!="};
constexpr const char* kNumberFields[] = {"duration",        "traceDuration",   "span:duration",       "trace:duration",
                                         "span:childCount", "nestedSetLeft",   "nestedSetParent",     "nestedSetRight",
                                         "duration",        "nestedSetParent", "event:timeSinceStart"};
constexpr const char* kTextFields[] = {"name",
                                       "span:name",
                                       "statusMessage",
                                       "rootName",
                                       "trace:rootService",
                                       "rootServiceName",
                                       "event:name",
                                       "instrumentation:name",
                                       "trace:id",
                                       "span:parentID",
                                       "link:traceID",
                                       "link:spanID",
                                       "span:id",
                                       "event:name",
                                       "instrumentation:version"};
constexpr const char* kStatuses[] = {"unset", "ok", "error"};
constexpr const char* kKinds[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
constexpr const char* kScopes[] = {"span.", "span.",  "span.",  "resource.", ".",
                                   ".",     "event.", "event.", "link.",     "instrumentation."};

// --- printing

int strength(const std::string& name) {
  if (name == "and" || name == "or") return 1;
  if (name == "=" || name == "!=" || name == "<" || name == "<=" || name == ">" || name == ">=" || name == "=~" ||
      name == "!~")
    return 2;
  if (name == "+" || name == "-") return 3;
  if (name == "not") return 4;
  if (name == "*" || name == "/" || name == "%") return 5;
  if (name == "^") return 6;
  if (name == "neg") return 7;
  return 9;
}

class Printer {
 public:
  explicit Printer(Random& r) : r_(r) {}

  std::string pipeline(const std::vector<Step>& steps) {
    std::string out;
    for (const Step& step : steps) out += (out.empty() ? "" : space() + '|' + space()) + stage(step);
    return out;
  }

 private:
  std::string space() {
    switch (r_.below(12)) {
      case 0:
        return "\n\t ";
      case 1:
        return " /* a | b } */ ";
      case 2:
        return " // to the end\n";
      default:
        return " ";
    }
  }

  std::string in_parentheses(const std::string& text) { return '(' + (r_.one_in(3) ? space() : "") + text + " )"; }

  std::string expression(const Expression& e, int weakest) {
    const std::string out = bare(e);
    return strength(e.name) < weakest || r_.one_in(12) ? in_parentheses(out) : out;
  }

  std::string bare(const Expression& e) {
    const int own = strength(e.name);
    std::string out;
    if (e.name == "literal" || e.name == "pattern") {
      const auto* text = std::get_if<std::string>(&e.value.v);
      out = text != nullptr ? quoted(*text, r_) : e.text;
    } else if (e.name == "nil") {
      out = "nil";
    } else if (e.name == "intrinsic") {
      out = e.text;
    } else if (e.name == "not" || e.name == "neg") {
      out = (e.name == "not" ? "!" : "-") + expression(e.parts[0], own);
    } else if (e.name.ends_with('.')) {
      const bool plain = e.text.find(' ') == std::string::npos && !r_.one_in(9);
      out = e.name + (plain ? e.text : quoted(e.text, r_));
    } else {
      const std::string text = e.name == "and" ? "&&" : e.name == "or" ? "||" : e.name;
      const bool to_the_left = e.name == "^";
      out = expression(e.parts[0], to_the_left ? own + 1 : own) + space() + text + space() +
            expression(e.parts[1], to_the_left ? own : own + 1);
    }
    return out;
  }

  std::string set(const Set& s, int weakest) {
    if (s.name == "{") {
      if (s.expression.empty()) return r_.one_in(2) ? "{}" : "{ }";
      return '{' + space() + expression(s.expression[0], 1) + " }";
    }
    if (s.name == "(") return in_parentheses(pipeline(s.pipeline));
    const bool joins = s.name == "and" || s.name == "or";
    const int own = joins ? 1 : 2;
    const std::string text = s.name == "and" ? "&&" : s.name == "or" ? "||" : s.name;
    const std::string out = set(s.parts[0], own) + space() + text + space() + set(s.parts[1], own + 1);
    return own < weakest || r_.one_in(12) ? in_parentheses(out) : out;
  }

  std::string stage(const Step& step) {
    if (step.name == "set") return set(step.set[0], 1);
    if (step.name == "coalesce") return "coalesce()";
    std::string inner;
    for (const Expression& e : step.expressions)
      inner += (inner.empty() ? "" : ", ") + (step.name == "select" ? bare(e) : expression(e, 1));
    std::string out = step.name + '(' + inner + " )";
    if (!step.op.empty()) out += space() + step.op + space() + expression(step.than, 3);
    return out;
  }

  Random& r_;
};

}  // namespace

std::string print(const std::vector<Step>& pipeline, Random& spaces) { return Printer(spaces).pipeline(pipeline); }

// --- queries

std::vector<Step> RandomQueries::next() { return pipeline(0, true); }

std::vector<Step> RandomQueries::pipeline(int depth, bool groups) {
  std::vector<Step> out;
  if (r_.one_in(12)) {
    out.push_back({"count", {}, {}, ">", literal({std::int64_t{1}}, "1")});
  } else {
    out.push_back({"set", {set(depth)}, {}, "", {}});
  }
  bool grouped = false;
  while (r_.one_in(2)) {
    switch (r_.below(6)) {
      case 0:
        out.push_back({"set", {{"{", {condition(1)}, {}, {}}}, {}, "", {}});
        break;
      case 1:
        out.push_back({"count", {}, {}, pick(r_, kComparisons), number_literal()});
        break;
      case 2: {
        static constexpr const char* kAggregates[] = {"min", "max", "avg", "sum"};
        Expression inner = r_.one_in(2) ? intrinsic("duration") : of_span();
        out.push_back({pick(r_, kAggregates), {}, {inner}, pick(r_, kComparisons), number_literal()});
        break;
      }
      case 3:
        if (!groups) break;
        grouped = true;
        out.push_back({"by", {}, {r_.one_in(4) ? of_span() : field()}, "", {}});
        break;
      case 4:
        grouped = false;
        out.push_back({"coalesce", {}, {}, "", {}});
        break;
      default:
        out.push_back({"select", {}, {field(), attribute()}, "", {}});
    }
  }
  if (depth > 0 && grouped) out.push_back({"coalesce", {}, {}, "", {}});
  return out;
}

Set RandomQueries::set(int depth) {
  static constexpr const char* kOperators[] = {"and", "or",  ">",  ">>", "<",   "<<", "~",   "!>", "!>>",
                                               "!<",  "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~"};
  if (depth < 3 && r_.one_in(3)) return {pick(r_, kOperators), {}, {set(depth + 1), set(depth + 1)}, {}};
  if (depth < 2 && r_.one_in(12)) return {"(", {}, {}, pipeline(depth + 1, depth > 0)};
  if (r_.one_in(9)) return {"{", {}, {}, {}};
  return {"{", {condition(0)}, {}, {}};
}

Expression RandomQueries::attribute() {
  const char* const scope = pick(r_, kScopes);
  return {scope, pick(r_, kKeys), {}, {}};
}

// An attribute, or a calculation with one.
Expression RandomQueries::of_span() {
  if (r_.one_in(2)) return attribute();
  static constexpr const char* kOps[] = {"+", "-", "*", "/", "%", "^"};
  return with(pick(r_, kOps), attribute(), number_literal());
}

Expression RandomQueries::field() {
  switch (r_.below(5)) {
    case 0:
      return intrinsic(pick(r_, kNumberFields));
    case 1:
      return intrinsic(pick(r_, kTextFields));
    case 2:
      return intrinsic(r_.one_in(2) ? "status" : "span:kind");
    default:
      return attribute();
  }
}

Expression RandomQueries::number_literal() {
  switch (r_.below(7)) {
    case 0:
      return literal({Nanos{500}}, "500ns");
    case 1:
      return literal({Nanos{1'500'000'000}}, r_.one_in(2) ? "1.5s" : "1s500ms");
    case 2:
      return literal({0.5}, "0.5");
    case 3:
      return literal({500.0}, r_.one_in(2) ? "500.0" : "5e2");
    case 4:
      return literal({std::int64_t{500}}, "500");
    case 5:
      return with("*", literal({std::int64_t{100}}, "100"), literal({std::int64_t{5}}, "5"));
    default: {
      const auto n = static_cast<std::int64_t>(r_.below(4));
      return literal({n}, std::to_string(n));
    }
  }
}

Expression RandomQueries::number(int depth) {
  static constexpr const char* kOps[] = {"+", "-", "*", "/", "%", "^"};
  if (depth < 4 && r_.one_in(5)) return with(pick(r_, kOps), number(depth + 1), number(depth + 1));
  if (depth < 4 && r_.one_in(9)) return {"neg", "", {}, {number(depth + 1)}};
  if (r_.one_in(3)) return attribute();
  if (r_.one_in(3)) return intrinsic(pick(r_, kNumberFields));
  return number_literal();
}

Expression RandomQueries::text() {
  if (r_.one_in(3)) return intrinsic(pick(r_, kTextFields));
  return attribute();
}

Expression RandomQueries::condition(int depth) {
  if (depth < 4) {
    if (r_.one_in(3)) return with(r_.one_in(2) ? "and" : "or", condition(depth + 1), condition(depth + 1));
    if (r_.one_in(9)) return {"not", "", {}, {condition(depth + 1)}};
    if (r_.one_in(30)) return with(pick(r_, kEqualities), condition(depth + 1), condition(depth + 1));
  }
  const auto text_literal = [&] { return literal({std::string(pick(r_, kTexts))}, ""); };
  switch (r_.below(12)) {
    case 0:
      return with(pick(r_, kEqualities), intrinsic(r_.one_in(2) ? "status" : "span:status"),
                  word(pick(r_, kStatuses), true));
    case 1:
      return with(pick(r_, kEqualities), intrinsic("kind"), word(pick(r_, kKinds), false));
    case 2: {
      Expression key = attribute();
      if (key.name == "resource." && key.text == "service.name") key.text = "a";
      return with(pick(r_, kEqualities), key, {"nil", "", {}, {}});
    }
    case 3:
      return attribute();
    case 4:
      return r_.one_in(3) ? literal({true}, "true")
                          : with(pick(r_, kEqualities), attribute(), literal({false}, "false"));
    case 5:
    case 6:
      return with(r_.one_in(2) ? "=~" : "!~", text(), {"pattern", "", {std::string(pick(r_, kPatterns))}, {}});
    case 7:
      return with(pick(r_, kComparisons), text_literal(), text());
    case 8:
      return with(pick(r_, kComparisons), attribute(), attribute());
    case 9:
    case 10:
      return with(pick(r_, kComparisons), text(), text_literal());
    default:
      return with(pick(r_, kComparisons), number(depth), number(depth));
  }
}

// --- traces

namespace {

void random_value(twin::AnyValue& out, Random& r, int depth) {
  static constexpr double kDoubles[] = {0.5, 500, 1.5e9, -0.0, 2, 1e300};
  switch (r.below(depth > 1 ? 7 : 10)) {
    case 0:
      out.set_bool_value(r.one_in(2));
      break;
    case 1:
      out.set_int_value(r.one_in(9) ? INT64_MIN : static_cast<std::int64_t>(r.below(4)));
      break;
    case 2:
      out.set_int_value(500);
      break;
    case 3:
      out.set_double_value(pick(r, kDoubles));
      break;
    case 7:
      out.mutable_array_value();
      for (std::uint64_t n = r.below(4); n != 0; --n)
        random_value(*out.mutable_array_value()->add_values(), r, depth + 1);
      break;
    case 8:
      if (r.one_in(2)) out.mutable_kvlist_value();
      break;
    case 9:
      if (r.one_in(3)) out.set_bytes_value("a");
      break;
    default:
      out.set_string_value(pick(r, kTexts));
  }
}

template <class List>
void random_attributes(List& list, Random& r, std::uint64_t most) {
  for (std::uint64_t n = r.below(most + 1); n != 0; --n) {
    auto& attribute = *list.Add();
    attribute.set_key(pick(r, kKeys));
    random_value(*attribute.mutable_value(), r, 0);
  }
}

std::string small_id(Random& r, std::size_t size, std::uint64_t n) {
  std::string out(size, '\0');
  out[size - 1] = static_cast<char>(1 + r.below(n));
  return out;
}

void random_span(twin::Span& span, Random& r) {
  span.set_trace_id(std::string(15, '\0') + '\1');
  span.set_span_id(small_id(r, 8, 12));
  if (!r.one_in(4)) span.set_parent_span_id(r.one_in(12) ? std::string(8, '\0') : small_id(r, 8, r.one_in(4) ? 30 : 4));
  span.set_name(pick(r, kNames));
  span.set_kind(static_cast<int>(r.below(8)));
  const std::uint64_t start = 1'700'000'000'000'000'000ULL + r.below(5) * 500'000'000;
  span.set_start_time_unix_nano(r.one_in(40) ? 0 : start);
  span.set_end_time_unix_nano(r.one_in(40) ? UINT64_MAX : start - 500 + r.below(6) * 500'000'000 + r.below(3) * 500);
  if (r.one_in(2)) span.mutable_status()->set_code(static_cast<int>(r.below(4)));
  if (r.one_in(4)) span.mutable_status()->set_message(pick(r, kTexts));
  random_attributes(*span.mutable_attributes(), r, 5);
  for (std::uint64_t n = r.one_in(2) ? r.below(4) : 0; n != 0; --n) {
    auto& event = *span.add_events();
    event.set_name(pick(r, kNames));
    event.set_time_unix_nano(start + r.below(3) * 500);
    random_attributes(*event.mutable_attributes(), r, 3);
  }
  for (std::uint64_t n = r.one_in(3) ? r.below(3) : 0; n != 0; --n) {
    auto& link = *span.add_links();
    link.set_trace_id(small_id(r, 16, 3));
    link.set_span_id(small_id(r, r.one_in(9) ? 3 : 8, 12));
    random_attributes(*link.mutable_attributes(), r, 3);
  }
}

}  // namespace

twin::TracesData random_trace(Random& r) {
  twin::TracesData data;
  for (std::uint64_t n = 1 + r.below(3); n != 0; --n) {
    auto& resource = *data.add_resource_spans();
    if (!r.one_in(5)) {
      auto& name = *resource.mutable_resource()->add_attributes();
      name.set_key("service.name");
      name.mutable_value()->set_string_value(r.one_in(2) ? "web" : "pay");
    }
    random_attributes(*resource.mutable_resource()->mutable_attributes(), r, 2);
    auto& scope = *resource.add_scope_spans();
    if (r.one_in(2)) scope.mutable_scope()->set_name(pick(r, kNames));
    if (r.one_in(3)) random_attributes(*scope.mutable_scope()->mutable_attributes(), r, 2);
    for (std::uint64_t i = 1 + r.below(4); i != 0; --i) random_span(*scope.add_spans(), r);
    if (r.one_in(6)) *scope.add_spans() = scope.spans(0);
  }
  return data;
}

}  // namespace tailgate::test
