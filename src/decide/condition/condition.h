// SPDX-License-Identifier: Apache-2.0
// Condition: an OTTL condition (contrib tail_sampling's `ottl_condition`), compiled over the wire bytes of a span. It
// decodes only what it asks for; comparing an attribute, a field of the span or a literal pattern allocates nothing.
//
// Threads: any, after parse_condition; a condition never changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "decide/condition/ast.h"
#include "decide/condition_errors.h"
#include "decide/judged_trace.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate::condition {

struct ConditionContext {
  const SpanFields& span;  // scanned with the plan the condition was parsed for
  ByteView event = {};     // the Event message, for conditions on span events
  std::int64_t event_index = 0;
  const JudgedTrace* trace = nullptr;  // for conditions on traces
  bool no_root = false;                // for root.*: there is none, and all of it is nil
};

// An error is neither: a converter got an argument it cannot take, a division by zero, an index past the end.
enum class Truth : std::uint8_t { kFalse, kTrue, kError };

class Test;  // expr.h
class Arena;

class Condition {
 public:
  Condition(std::unique_ptr<const Arena> constants, std::unique_ptr<const Test> test, std::string attribute,
            ConditionErrors errors, std::vector<std::string> notices);
  Condition(Condition&&) noexcept;
  Condition& operator=(Condition&&) noexcept;
  ~Condition();

  // `why`, if given, is set to a constant text when the answer is kError.
  Truth evaluate(const ConditionContext& context, const char** why = nullptr) const;
  // Of a condition on a trace that is true of it: Test::deciding_bit.
  int deciding_bit(const ConditionContext& context) const;
  // The first attribute it looks at, "" when it looks at none. For people who ask why a trace was kept.
  const std::string& attribute() const { return attribute_; }
  // "column N: ..." of each comparison that has the same answer for every span.
  const std::vector<std::string>& notices() const { return notices_; }

 private:
  std::unique_ptr<const Arena>
      constants_;  // literal texts, lists and what was computed at load; before test_, which refers to it
  std::unique_ptr<const Test> test_;
  std::string attribute_;
  ConditionErrors errors_;
  std::vector<std::string> notices_;
};

// Compiles `text` and enters the attributes it needs in `plan`. Errors say "column N: ..." and what was wanted there.
// `errors`, if given, counts the times it answers kError.
Result<Condition> parse_condition(std::string_view text, ConditionKind kind, ScanPlan& plan,
                                  ConditionErrors errors = nullptr);

// What the fields of a trace that a condition on it names say of this one: "duration 48 us, error_count 0". For people
// who ask why; it reads the condition anew. "": it names none.
std::string trace_values(std::string_view condition, const JudgedTrace& trace);

// The same for a part of a condition that has been parsed.
Result<Condition> compile_condition(const Ast& ast, AstIndex root, ConditionKind kind, ScanPlan& plan,
                                    ConditionErrors errors);

}  // namespace tailgate::condition
