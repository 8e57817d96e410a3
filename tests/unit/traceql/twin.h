// SPDX-License-Identifier: Apache-2.0
// A second TraceQL, slow and plain: it walks its own tree of the query over decoded spans, tries every pair of spans
// for the operators of the tree, every event and link for each condition, and knows nothing of the first. A query is
// made as a tree and printed, so that its parser is judged too.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "otlp_twin.pb.h"
#include "support/random_otlp.h"

namespace tailgate::test {

struct TwinValue;
struct Missing {
  bool operator==(const Missing&) const = default;
};
struct Nanos {
  std::int64_t ns;
  bool operator==(const Nanos&) const = default;
};
struct Word {  // a status or kind
  std::string word;
  bool is_status;
  bool operator==(const Word&) const = default;
};
struct Odd {  // a map or bytes
  std::string content;
  bool operator==(const Odd&) const = default;
};
using Items = std::vector<TwinValue>;
struct TwinValue {
  std::variant<Missing, bool, std::int64_t, double, Nanos, std::string, Word, Odd, Items> v = Missing{};
};

// name: what it is; text: of an attribute its name, of a literal as written. "and", "or", "not", "neg", "=", "+", ...;
// "literal", "pattern", "span.", "resource.", ".", "event.", "link.", "instrumentation.", "intrinsic", "nil".
struct Expression {
  std::string name;
  std::string text = {};
  TwinValue value = {};
  std::vector<Expression> parts = {};
};

// "{": one expression or none; "(": a pipeline; "and", "or"; an operator of the tree such as "!>>".
struct Set {
  std::string name;
  std::vector<Expression> expression = {};
  std::vector<Set> parts = {};
  std::vector<struct Step> pipeline;
};

// "set", "count", "min", ..., "by", "select", "coalesce".
struct Step {
  std::string name;
  std::vector<Set> set = {};
  std::vector<Expression> expressions = {};
  std::string op = {};
  Expression than = {};
};

struct TwinSpanset {
  std::vector<std::size_t> spans;
  std::vector<std::pair<std::string, std::string>> attributes;  // "count()", "5"; texts in quotes
  bool operator==(const TwinSpanset&) const = default;
};

class RandomQueries {
 public:
  explicit RandomQueries(std::uint64_t seed) : r_(seed) {}
  std::vector<Step> next();

 private:
  std::vector<Step> pipeline(int depth, bool groups);
  Set set(int depth);
  Expression condition(int depth);
  Expression number(int depth);
  Expression text();
  Expression field();
  Expression number_literal();
  Expression attribute();
  Expression of_span();

  Random r_;
};

std::string print(const std::vector<Step>& pipeline, Random& spaces);

// A trace with everything that queries ask for, often what they ask for, and often odd.
twin::TracesData random_trace(Random& r);

std::vector<TwinSpanset> twin_evaluate(const std::vector<Step>& pipeline, const twin::TracesData& data);

}  // namespace tailgate::test
