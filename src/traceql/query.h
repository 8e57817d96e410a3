// SPDX-License-Identifier: Apache-2.0
// TraceQL, the language in which Grafana asks Tempo for traces: docs/traceql.md says what of it there is here. A Query
// is asked of one whole trace at a time, and says before that what an index can look for. Immutable, cheap to copy; any
// thread.
//
//   const Result<Query> query = parse_query("{ status = error } | count() > 2");
//   Steps steps(10'000'000);
//   for (const Spanset& set : query->evaluate(trace, steps)) ...
//   if (steps.spent()) ...  // cut: the trace that was being looked at may match or not
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/trace_needs.h"
#include "traceql/value.h"
#include "wire/trace/trace_view.h"

namespace tailgate::traceql {

struct Ast;

// The work that evaluations may do together; a step is some 10 to 50 ns. Belongs to one thread. `over`, if any, is
// asked every few milliseconds whether there is no time left, or nobody who waits.
class Steps {
 public:
  static constexpr std::uint64_t kLookEvery = 1 << 16;

  explicit Steps(std::uint64_t max, std::function<bool()> over = {}) : left_(max), over_(std::move(over)) {
    if (over_) look_at_ = left_ - std::min(left_, kLookEvery);
  }

  // False once they are spent; stays so.
  bool spend(std::uint64_t steps = 1) {
    if (steps > left_) {
      left_ = 0;
      spent_ = true;
      return false;
    }
    left_ -= steps;
    return left_ >= look_at_ || look();
  }
  bool spent() const { return spent_; }
  // They were taken away by `over`.
  bool stopped() const { return stopped_; }
  std::uint64_t left() const { return left_; }

 private:
  bool look() {
    look_at_ = left_ - std::min(left_, kLookEvery);
    if (!over_ || !over_()) return true;
    stopped_ = spent_ = true;
    left_ = 0;
    return false;
  }

  std::uint64_t left_, look_at_ = 0;
  std::function<bool()> over_;
  bool spent_ = false, stopped_ = false;
};

struct Spanset {
  std::vector<std::uint32_t> spans;    // numbers of TraceView::spans(), ascending, never none
  std::vector<NamedValue> attributes;  // of by() and aggregates: "by(name)", "count()", "avg(duration)"
};

class Query {
 public:
  // The sets of spans of this trace that the query finds; none where it does not match, and none when `steps` are
  // spent.
  std::vector<Spanset> evaluate(const TraceView& trace, Steps& steps) const;

  // What every trace has that the query finds. Others have it too.
  TraceNeeds needs() const;

  const std::string& text() const { return *text_; }  // what was parsed, which finds the same when it is parsed again
  bool most_recent() const;                           // with(most_recent=true): the newest traces are wanted, not any

  // What an answer says of a matched span: the attributes that the query uses or select()s and the span has, without
  // scope, status and kind as words, at most 128; and whether it uses the name.
  std::vector<NamedValue> span_attributes(const TraceView& trace, std::uint32_t span, Steps& steps) const;
  bool uses_name() const;

 private:
  friend Result<Query> parse_query(std::string_view text);
  friend std::optional<Query> filter_of_incomplete(std::string_view text);

  std::shared_ptr<const Ast> ast_;
  std::shared_ptr<const std::string> text_;
};

// Errors begin with the place, "line 1, column 10: expected ..., got ...", and name what we do not support. Queries
// have at most 128 KiB, 128 levels inside each other and 64 regular expressions.
Result<Query> parse_query(std::string_view text);

// Of a query that somebody is still typing, { ... } with the conditions that are complete; the others count as true.
// Nothing when it is not one { ... }, or not to be understood.
std::optional<Query> filter_of_incomplete(std::string_view text);

}  // namespace tailgate::traceql
