// SPDX-License-Identifier: Apache-2.0
// The twin's answers. Nothing here is quick.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "codec/hex.h"
#include "unit/traceql/twin.h"

namespace tailgate::test {
namespace {

struct Spot {
  twin::Span span;
  twin::Resource resource;
  twin::InstrumentationScope scope;
  int parent = -1;
  bool root = false;
  std::int64_t left = 0, right = 0, above = 0;
};
struct Subject {
  const Spot* spot;
  const twin::Span::Event* event;
  const twin::Span::Link* link;
};

bool is_a_time(std::uint64_t t) { return t != 0 && t < INT64_MAX; }
std::int64_t length(std::uint64_t start, std::uint64_t end) {
  if (!is_a_time(start) || !is_a_time(end)) return 0;
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(end - start));
}

TwinValue decoded(const twin::AnyValue& any) {
  if (any.has_string_value()) return {any.string_value()};
  if (any.has_bool_value()) return {any.bool_value()};
  if (any.has_int_value()) return {std::int64_t{any.int_value()}};
  if (any.has_double_value()) return {any.double_value()};
  if (any.has_kvlist_value() || any.has_bytes_value()) return {Odd{any.SerializeAsString()}};
  if (!any.has_array_value()) return {};
  Items items;
  for (const auto& item : any.array_value().values()) items.push_back(decoded(item));
  return {items};
}

template <class List>
TwinValue last_of(const List& attributes, const std::string& key) {
  TwinValue out;
  for (const auto& attribute : attributes) {
    if (attribute.key() == key) out = decoded(attribute.value());
  }
  return out;
}

bool missing(const TwinValue& v) { return std::holds_alternative<Missing>(v.v); }

std::optional<std::int64_t> integer(const TwinValue& v) {
  if (const auto* n = std::get_if<std::int64_t>(&v.v)) return *n;
  if (const auto* d = std::get_if<Nanos>(&v.v)) return d->ns;
  return std::nullopt;
}
std::optional<long double> real(const TwinValue& v) {
  if (const auto n = integer(v)) return *n;
  if (const auto* d = std::get_if<double>(&v.v)) return *d;
  return std::nullopt;
}

template <class T>
bool in_order(const T& a, const std::string& op, const T& b) {
  return op == "="    ? a == b
         : op == "!=" ? a != b
         : op == "<"  ? a < b
         : op == "<=" ? a <= b
         : op == ">"  ? a > b
                      : a >= b;
}

bool compared(const TwinValue& a, const std::string& op, const TwinValue& b) {
  const auto* list = std::get_if<Items>(&a.v);
  const auto* other_list = std::get_if<Items>(&b.v);
  if (list != nullptr && other_list != nullptr) return false;
  if (list != nullptr || other_list != nullptr) {
    bool equal = false, unequal = false, any = false;
    for (const TwinValue& item : list != nullptr ? *list : *other_list) {
      if (std::holds_alternative<Items>(item.v)) continue;
      const TwinValue &x = list != nullptr ? item : a, &y = list != nullptr ? b : item;
      equal |= compared(x, "=", y);
      unequal |= compared(x, "!=", y);
      any |= compared(x, op, y);
    }
    return op == "!=" ? unequal && !equal : any;
  }
  if (missing(a) || missing(b)) return false;
  if (real(a) && real(b)) return in_order(*real(a), op, *real(b));
  if (a.v.index() != b.v.index() || std::holds_alternative<Odd>(a.v)) return false;
  if (const auto* text = std::get_if<std::string>(&a.v)) return in_order(*text, op, std::get<std::string>(b.v));
  if (op != "=" && op != "!=") return false;
  if (const auto* word = std::get_if<Word>(&a.v)) {
    const Word& other = std::get<Word>(b.v);
    return word->is_status == other.is_status && (word->word == other.word) == (op == "=");
  }
  return (std::get<bool>(a.v) == std::get<bool>(b.v)) == (op == "=");
}

TwinValue calculated(const TwinValue& a, const std::string& op, const TwinValue& b) {
  if (!real(a) || !real(b)) return {};
  if (integer(a) && integer(b)) {
    const auto x = static_cast<long double>(*integer(a)), y = static_cast<long double>(*integer(b));
    std::optional<long double> whole;
    if (op == "+") whole = x + y;
    if (op == "-") whole = x - y;
    if (op == "*") whole = x * y;
    if (op == "/" && y != 0 && std::fmod(x, y) == 0) whole = x / y;
    if (op == "%" && y != 0) whole = std::fmod(x, y);
    if (op == "^" && y >= 0) {
      whole = 1;
      for (int i = 0; i < y && std::fabs(*whole) < 1e30L && *whole != 0 && (x != 1 || i < 2) && (x != -1 || i < 70);
           ++i)
        *whole *= x;
      if (x == -1) whole = std::fmod(y, 2) == 0 ? 1 : -1;
    }
    if (whole && *whole >= -9223372036854775808.0L && *whole < 9223372036854775808.0L) {
      const auto n = static_cast<std::int64_t>(*whole);
      const bool duration = std::holds_alternative<Nanos>(a.v) || std::holds_alternative<Nanos>(b.v);
      return duration ? TwinValue{Nanos{n}} : TwinValue{n};
    }
  }
  const auto x = static_cast<double>(*real(a)), y = static_cast<double>(*real(b));
  double out = NAN;
  if (op == "+") out = x + y;
  if (op == "-") out = x - y;
  if (op == "*") out = x * y;
  if (op == "/" && y != 0) out = x / y;
  if (op == "%") out = std::fmod(x, y);
  if (op == "^") out = std::pow(x, y);
  return std::isnan(out) ? TwinValue{} : TwinValue{out};
}

std::string text_of(const TwinValue& v) {
  if (missing(v)) return "\"nil\"";
  if (const auto* b = std::get_if<bool>(&v.v)) return *b ? "true" : "false";
  if (const auto* n = std::get_if<std::int64_t>(&v.v)) return std::to_string(*n);
  if (const auto* d = std::get_if<double>(&v.v)) return fmt::format("{}", *d);
  if (const auto* d = std::get_if<Nanos>(&v.v)) return fmt::format("{} ns", d->ns);
  if (const auto* t = std::get_if<std::string>(&v.v)) return '"' + *t + '"';
  if (const auto* w = std::get_if<Word>(&v.v)) return '"' + w->word + '"';
  return std::holds_alternative<Odd>(v.v) ? "?" : "[]";
}

// What divides by(): the text, and for what has no telling one its whole content.
std::string group_of(const TwinValue& v) {
  std::string out = std::to_string(v.v.index()) + ' ' + text_of(v);
  if (const auto* d = std::get_if<double>(&v.v)) out += std::signbit(*d) ? "-" : "+";
  if (const auto* odd = std::get_if<Odd>(&v.v)) out += odd->content;
  if (const auto* items = std::get_if<Items>(&v.v)) {
    for (const TwinValue& item : *items) out += '|' + group_of(item);
  }
  return out;
}

const char* alias(const std::string& scoped) {
  static const std::map<std::string, const char*> kOld = {
      {"span:name", "name"},          {"span:statusMessage", "statusMessage"}, {"span:status", "status"},
      {"span:kind", "kind"},          {"span:duration", "duration"},           {"trace:duration", "traceDuration"},
      {"trace:rootName", "rootName"}, {"trace:rootService", "rootServiceName"}};
  const auto found = kOld.find(scoped);
  return found == kOld.end() ? scoped.c_str() : found->second;
}

std::string source(const Expression& e) {
  const auto operand = [](const Expression& part) {
    const std::string text = source(part);
    return part.parts.empty() || text == "500" ? text : '(' + source(part) + ')';
  };
  if (e.name == "intrinsic") return alias(e.text);
  if (e.name.ends_with('.')) return e.name + (e.text.find(' ') == std::string::npos ? e.text : '"' + e.text + '"');
  if (e.name == "literal") {
    if (const auto* d = std::get_if<Nanos>(&e.value.v)) return d->ns == 500 ? "500ns" : "1.5s";
    if (const auto* d = std::get_if<double>(&e.value.v)) return fmt::format("{}", *d);
    return e.text;
  }
  if (e.name == "*" && e.parts[0].name == "literal") return "500";
  return operand(e.parts[0]) + ' ' + e.name + ' ' + operand(e.parts[1]);
}

bool speaks_of(const Expression& e, const std::string& scope) {
  if (e.name == "not") return false;
  if (e.name == scope + '.' || (e.name == "intrinsic" && e.text.starts_with(scope + ':'))) return true;
  return std::any_of(e.parts.begin(), e.parts.end(), [&](const Expression& part) { return speaks_of(part, scope); });
}

class Twin {
 public:
  explicit Twin(const twin::TracesData& data) {
    std::set<std::string> seen;
    for (const auto& r : data.resource_spans()) {
      for (const auto& s : r.scope_spans()) {
        for (const auto& span : s.spans()) {
          if (seen.insert(span.SerializeAsString()).second) spots_.push_back({span, r.resource(), s.scope()});
        }
      }
    }
    std::stable_sort(spots_.begin(), spots_.end(), [](const Spot& a, const Spot& b) {
      return a.span.start_time_unix_nano() < b.span.start_time_unix_nano();
    });
    for (Spot& spot : spots_) spot.root = spot.span.parent_span_id().find_first_not_of('\0') == std::string::npos;
    for (Spot& spot : spots_) spot.parent = spot.root ? -1 : parent_of(spot);
    std::int64_t n = 0;
    for (std::size_t i = 0; i < spots_.size(); ++i) {
      if (spots_[i].root) number(i, -1, n);
    }
  }

  std::vector<TwinSpanset> pipeline(const std::vector<Step>& steps, const TwinSpanset& input) {
    std::vector<TwinSpanset> sets = {input};
    for (const Step& step : steps) {
      std::vector<TwinSpanset> next;
      for (const TwinSpanset& set : sets) {
        if (!set.spans.empty()) apply(step, set, next);
      }
      if (step.name == "coalesce" && !next.empty()) {
        std::set<std::size_t> all;
        for (const TwinSpanset& set : next) all.insert(set.spans.begin(), set.spans.end());
        next = {{{all.begin(), all.end()}, {}}};
      }
      sets = next;
    }
    std::erase_if(sets, [](const TwinSpanset& set) { return set.spans.empty(); });
    return sets;
  }

  TwinSpanset all() const {
    TwinSpanset out;
    for (std::size_t i = 0; i < spots_.size(); ++i) out.spans.push_back(i);
    return out;
  }

 private:
  int find(const std::string& id, int kind) const {
    for (std::size_t i = 0; i < spots_.size(); ++i) {
      if (spots_[i].span.span_id() == id && (kind == 0 || spots_[i].span.kind() == kind)) return static_cast<int>(i);
    }
    return -1;
  }

  int parent_of(const Spot& spot) const {
    const std::string& id = spot.span.span_id();
    if (find(id, 2) == &spot - spots_.data() && find(id, 3) >= 0) return find(id, 3);
    const std::string& parent = spot.span.parent_span_id();
    return find(parent, 2) >= 0 && find(parent, 3) >= 0 ? find(parent, 2) : find(parent, 0);
  }

  void number(std::size_t i, std::int64_t above, std::int64_t& n) {
    spots_[i].left = ++n;
    spots_[i].above = above;
    for (std::size_t k = 0; k < spots_.size(); ++k) {
      if (spots_[k].parent == static_cast<int>(i)) number(k, spots_[i].left, n);
    }
    spots_[i].right = ++n;
  }

  bool holds(const Expression& e, const Spot& spot) const {
    for (int i = -1; i < spot.span.events_size(); ++i) {
      for (int k = -1; k < spot.span.links_size(); ++k) {
        if (is_true(value({&spot, i < 0 ? nullptr : &spot.span.events(i), k < 0 ? nullptr : &spot.span.links(k)}, e)))
          return true;
      }
    }
    return false;
  }

  TwinValue first_value(const Expression& e, const Spot& spot) const {
    for (int i = 0; i <= spot.span.events_size(); ++i) {
      for (int k = 0; k <= spot.span.links_size(); ++k) {
        const TwinValue v = value({&spot, i == spot.span.events_size() ? nullptr : &spot.span.events(i),
                                   k == spot.span.links_size() ? nullptr : &spot.span.links(k)},
                                  e);
        if (!missing(v)) return v;
      }
    }
    return {};
  }

  static bool is_true(const TwinValue& v) { return compared(v, "=", {true}); }

  TwinValue value(const Subject& s, const Expression& e) const {
    if (e.name == "literal") return e.value;
    if (e.name == "intrinsic") return intrinsic(s, alias(e.text));
    if (e.name.ends_with('.')) return attribute(s, e.name, e.text);
    if (e.name == "not") return {!holds(e.parts[0], *s.spot)};
    const auto part = [&](std::size_t i) { return value(s, e.parts[i]); };
    if (e.name == "and") return {is_true(part(0)) && is_true(part(1))};
    if (e.name == "or") return {is_true(part(0)) || is_true(part(1))};
    if (e.name == "neg") {
      const TwinValue inner = part(0);
      if (const auto* d = std::get_if<double>(&inner.v)) return {-*d};
      return calculated({std::int64_t{0}}, "-", inner);
    }
    if (std::string("+-*/%^").find(e.name) != std::string::npos) return calculated(part(0), e.name, part(1));
    if (speaks_of(e, "event") && s.event == nullptr) return {false};
    if (speaks_of(e, "link") && s.link == nullptr) return {false};
    if (e.parts[1].name == "nil") return {missing(part(0)) == (e.name == "=")};
    if (e.parts[1].name == "pattern")
      return {matched(part(0), e.name == "=~", std::get<std::string>(e.parts[1].value.v))};
    const Expression& other = e.parts[1];
    return {compared(padded(part(0), e.parts[0], e.name, other), e.name, padded(part(1), other, e.name, e.parts[0]))};
  }

  // A literal beside an id.
  static TwinValue padded(TwinValue v, const Expression& own, const std::string& op, const Expression& other) {
    auto* text = std::get_if<std::string>(&v.v);
    if (text == nullptr || own.name != "literal" || other.name != "intrinsic" || (op != "=" && op != "!=")) return v;
    const std::string& id = other.text;
    const std::size_t digits = id == "trace:id" || id == "link:traceID"                          ? 32
                               : id == "span:id" || id == "span:parentID" || id == "link:spanID" ? 16
                                                                                                 : 0;
    if (text->empty() || text->size() > digits) return v;
    if (text->find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return v;
    for (char& c : *text) c = static_cast<char>(std::tolower(c));
    while (text->size() < digits) text->insert(0, "0");
    return v;
  }

  static bool matched(const TwinValue& v, bool wanted, const std::string& pattern) {
    if (const auto* text = std::get_if<std::string>(&v.v)) return RE2::FullMatch(*text, pattern) == wanted;
    const auto* items = std::get_if<Items>(&v.v);
    if (items == nullptr) return false;
    bool any = false, texts = false;
    for (const TwinValue& item : *items) {
      const auto* text = std::get_if<std::string>(&item.v);
      texts |= text != nullptr;
      any |= text != nullptr && RE2::FullMatch(*text, pattern);
    }
    return texts && any == wanted;
  }

  static TwinValue attribute(const Subject& s, const std::string& scope, const std::string& key) {
    if (scope == "span.") return last_of(s.spot->span.attributes(), key);
    if (scope == "resource.") return last_of(s.spot->resource.attributes(), key);
    if (scope == "instrumentation.") return last_of(s.spot->scope.attributes(), key);
    if (scope == "event.") return s.event == nullptr ? TwinValue{} : last_of(s.event->attributes(), key);
    if (scope == "link.") return s.link == nullptr ? TwinValue{} : last_of(s.link->attributes(), key);
    const TwinValue own = last_of(s.spot->span.attributes(), key);
    return missing(own) ? last_of(s.spot->resource.attributes(), key) : own;
  }

  TwinValue intrinsic(const Subject& s, const std::string& name) const {
    static constexpr const char* kStatusWords[] = {"unset", "ok", "error"};
    static constexpr const char* kKindWords[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    const twin::Span& span = s.spot->span;
    const auto first_root = std::find_if(spots_.begin(), spots_.end(), [](const Spot& spot) { return spot.root; });
    if (name == "name") return {span.name()};
    if (name == "statusMessage") return {span.status().message()};
    if (name == "status") return {Word{kStatusWords[span.status().code() > 2 ? 0 : span.status().code()], true}};
    if (name == "kind") return {Word{kKindWords[span.kind() > 5 ? 0 : span.kind()], false}};
    if (name == "duration") return {Nanos{length(span.start_time_unix_nano(), span.end_time_unix_nano())}};
    if (name == "span:id") return {to_hex(span.span_id())};
    if (name == "span:parentID") return {s.spot->root ? std::string() : to_hex(span.parent_span_id())};
    if (name == "trace:id") return {to_hex(span.trace_id())};
    if (name == "span:childCount")
      return {std::int64_t{std::count_if(spots_.begin(), spots_.end(), [&](const Spot& c) {
        return c.parent == s.spot - spots_.data() && !in_circle_top(c);
      })}};
    if (name == "traceDuration") {
      std::uint64_t start = UINT64_MAX, end = 0;
      for (const Spot& spot : spots_) {
        if (spot.span.start_time_unix_nano() != 0)
          start = std::min<std::uint64_t>(start, spot.span.start_time_unix_nano());
        if (spot.span.end_time_unix_nano() < INT64_MAX)
          end = std::max<std::uint64_t>(end, spot.span.end_time_unix_nano());
      }
      return {Nanos{length(start, end)}};
    }
    if (name == "rootName") return {first_root == spots_.end() ? std::string() : first_root->span.name()};
    if (name == "rootServiceName") {
      if (first_root == spots_.end()) return {std::string()};
      const TwinValue service = last_of(first_root->resource.attributes(), "service.name");
      return std::holds_alternative<std::string>(service.v) ? service : TwinValue{std::string()};
    }
    if (name == "event:name") return s.event == nullptr ? TwinValue{} : TwinValue{s.event->name()};
    if (name == "event:timeSinceStart") {
      if (s.event == nullptr) return {};
      if (!is_a_time(span.start_time_unix_nano()) || !is_a_time(s.event->time_unix_nano())) return {Nanos{0}};
      return {Nanos{static_cast<std::int64_t>(s.event->time_unix_nano() - span.start_time_unix_nano())}};
    }
    if (name == "link:traceID") return s.link == nullptr ? TwinValue{} : TwinValue{to_hex(s.link->trace_id())};
    if (name == "link:spanID") return s.link == nullptr ? TwinValue{} : TwinValue{to_hex(s.link->span_id())};
    if (name == "instrumentation:name") return {s.spot->scope.name()};
    if (name == "instrumentation:version") return {s.spot->scope.version()};
    if (name == "nestedSetParent") return {s.spot->above};
    return {name == "nestedSetLeft" ? s.spot->left : s.spot->right};
  }

  // The first span of a circle, which has no parent.
  bool in_circle_top(const Spot& spot) const {
    const int self = static_cast<int>(&spot - spots_.data());
    int first = self, at = spot.parent;
    for (std::size_t n = 0; n <= spots_.size() && at >= 0 && at != self;
         ++n, at = spots_[static_cast<std::size_t>(at)].parent)
      first = std::min(first, at);
    return at == self && first == self;
  }

  bool is(const std::string& relation, std::size_t a, std::size_t b) const {  // a is b's ...
    const Spot &x = spots_[a], &y = spots_[b];
    if (x.left == 0 || y.left == 0) return false;
    if (relation == ">") return y.parent == static_cast<int>(a);
    if (relation == ">>") return x.left < y.left && x.right > y.right;
    if (relation == "<") return x.parent == static_cast<int>(b);
    if (relation == "<<") return y.left < x.left && y.right > x.right;
    return a != b && x.parent >= 0 && x.parent == y.parent;
  }

  std::vector<std::size_t> spans_of(const Set& set, const std::vector<std::size_t>& input) {
    std::set<std::size_t> out;
    if (set.name == "{") {
      for (const std::size_t i : input) {
        if (set.expression.empty() || holds(set.expression[0], spots_[i])) out.insert(i);
      }
      return {out.begin(), out.end()};
    }
    if (set.name == "(") {
      const auto sets = pipeline(set.pipeline, {input, {}});
      return sets.empty() ? std::vector<std::size_t>() : sets[0].spans;
    }
    const auto left = spans_of(set.parts[0], input), right = spans_of(set.parts[1], input);
    if (set.name == "and" || set.name == "or") {
      if (set.name == "and" && (left.empty() || right.empty())) return {};
      out.insert(left.begin(), left.end());
      out.insert(right.begin(), right.end());
      return {out.begin(), out.end()};
    }
    const char first = set.name[0];
    const std::string relation = first == '!' || first == '&' ? set.name.substr(1) : set.name;
    for (const std::size_t b : right) {
      bool related = false;
      for (const std::size_t a : left) {
        if (!is(relation, a, b)) continue;
        related = true;
        if (first == '&') out.insert(a);
      }
      if (spots_[b].left != 0 && related == (first != '!')) out.insert(b);
    }
    return {out.begin(), out.end()};
  }

  static void put(TwinSpanset& set, const std::string& key, const std::string& text) {
    for (auto& [name, old] : set.attributes) {
      if (name == key) {
        old = text;
        return;
      }
    }
    set.attributes.emplace_back(key, text);
  }

  void apply(const Step& step, const TwinSpanset& set, std::vector<TwinSpanset>& out) {
    if (step.name == "coalesce" || step.name == "select") {
      out.push_back(set);
    } else if (step.name == "set" && step.set[0].name == "(") {
      for (const TwinSpanset& inner : pipeline(step.set[0].pipeline, set)) out.push_back(inner);
    } else if (step.name == "set") {
      out.push_back({spans_of(step.set[0], set.spans), set.attributes});
    } else if (step.name == "by") {
      std::map<std::string, std::size_t> groups;
      for (const std::size_t i : set.spans) {
        const TwinValue v = whole_value(step.expressions[0], spots_[i]);
        const auto [at, is_new] = groups.emplace(group_of(v), out.size());
        if (is_new) {
          out.push_back({{}, set.attributes});
          put(out.back(), "by(" + source(step.expressions[0]) + ')', text_of(v));
        }
        out[at->second].spans.push_back(i);
      }
    } else {
      const TwinValue v = aggregate(step, set);
      const TwinValue than = whole_value(step.than, spots_[0]);
      if (!compared(v, step.op, than)) return;
      TwinSpanset kept = set;
      put(kept, step.name + '(' + (step.expressions.empty() ? "" : source(step.expressions[0])) + ')', text_of(v));
      out.push_back(kept);
    }
  }

  TwinValue whole_value(const Expression& e, const Spot& spot) const { return first_value(e, spot); }

  TwinValue aggregate(const Step& step, const TwinSpanset& set) const {
    if (step.name == "count") return {static_cast<std::int64_t>(set.spans.size())};
    std::vector<TwinValue> numbers;
    for (const std::size_t i : set.spans) {
      const TwinValue v = whole_value(step.expressions[0], spots_[i]);
      if (real(v)) numbers.push_back(v);
    }
    if (numbers.empty()) return {};
    TwinValue best = numbers[0];
    long double sum = 0;
    bool whole = true, durations = true;
    for (const TwinValue& v : numbers) {
      if (compared(v, step.name == "min" ? "<" : ">", best)) best = v;
      sum += *real(v);
      whole &= integer(v).has_value();
      durations &= std::holds_alternative<Nanos>(v.v);
    }
    if (step.name == "min" || step.name == "max") return best;
    const auto count = static_cast<long double>(numbers.size());
    if (step.name == "avg")
      return durations ? TwinValue{Nanos{static_cast<std::int64_t>(sum / count)}}
                       : TwinValue{static_cast<double>(sum / count)};
    if (!whole || sum < -9223372036854775808.0L || sum >= 9223372036854775808.0L) return {static_cast<double>(sum)};
    return durations ? TwinValue{Nanos{static_cast<std::int64_t>(sum)}} : TwinValue{static_cast<std::int64_t>(sum)};
  }

  std::vector<Spot> spots_;
};

}  // namespace

std::vector<TwinSpanset> twin_evaluate(const std::vector<Step>& pipeline, const twin::TracesData& data) {
  Twin twin(data);
  return twin.pipeline(pipeline, twin.all());
}

}  // namespace tailgate::test
