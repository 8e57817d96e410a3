// SPDX-License-Identifier: Apache-2.0
// ottl_condition: keeps a trace in which an OTTL condition is true of a span or of one of its events.
//     - {name: slow-db, type: ottl_condition, ottl_condition: {error_mode: ignore,
//        span: ['attributes["db.system"] == "redis" and end_time - start_time > Duration("1s")'],
//        spanevent: ['name == "exception"']}}
// One true condition keeps the trace: for each span those on spans are asked in their order, then for each event those
// on events. A condition that fails at a span (a converter got a wrong argument, a division by zero) is skipped. With
// error_mode `propagate` nothing is asked after it, and the trace is kept only if a condition was true of an earlier
// span. The language is in docs/policies.md.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "codec/protobuf.h"
#include "decide/condition/condition.h"
#include "decide/registry.h"
#include "decide/words.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

using condition::Condition;
using condition::ConditionContext;
using condition::ConditionKind;
using condition::Truth;

struct Conditions {
  std::vector<Condition> span, event;
  bool propagate = false;

  // What one span says: true, or (when errors propagate) error, whichever is first.
  Truth ask(const SpanFields& span_fields) const {
    if (const Truth t = ask_all(span, {span_fields}); t != Truth::kFalse) return t;
    if (event.empty()) return Truth::kFalse;
    const char* p = span_fields.bytes.data();
    const char* const end = p + span_fields.bytes.size();
    ConditionContext context{span_fields};
    while (p < end) {
      std::uint32_t tag = 0;
      if (!pb::read_tag(p, end, tag)) break;
      if (tag != pb::tag_of(otlp::span::kEvents, pb::kLen)) {
        if (!pb::skip_value(p, end, tag)) break;
        continue;
      }
      if (!pb::read_len(p, end, context.event)) break;
      if (const Truth t = ask_all(event, context); t != Truth::kFalse) return t;
      ++context.event_index;
    }
    return Truth::kFalse;
  }

  // The attribute that all of them look at; "" if they differ, because it is not noted which of them was true.
  std::string attribute() const {
    const std::string* same = nullptr;
    for (const std::vector<Condition>* list : {&span, &event}) {
      for (const Condition& c : *list) {
        if (same != nullptr && *same != c.attribute()) return "";
        same = &c.attribute();
      }
    }
    return same != nullptr ? *same : "";
  }

 private:
  Truth ask_all(const std::vector<Condition>& conditions, const ConditionContext& context) const {
    for (const Condition& condition : conditions) {
      const Truth t = condition.evaluate(context);
      if (t == Truth::kTrue || (t == Truth::kError && propagate)) return t;
    }
    return Truth::kFalse;
  }
};

class AnyTrue final : public SpanPredicate {
 public:
  explicit AnyTrue(Conditions conditions) : conditions_(std::move(conditions)) {}
  bool on_resource(const ByteView*) const override { return false; }
  bool on_span(const SpanFields& span) const override { return conditions_.ask(span) == Truth::kTrue; }

 private:
  Conditions conditions_;
};

// The first span with something to say: 1 a condition was true, 2 one failed.
class FirstOf final : public SpanCounter {
 public:
  explicit FirstOf(Conditions conditions) : conditions_(std::move(conditions)) {}
  std::uint64_t on_span(const SpanFields& span) const override {
    const Truth t = conditions_.ask(span);
    return t == Truth::kTrue ? 1 : t == Truth::kError ? 2 : 0;
  }

 private:
  Conditions conditions_;
};

class PropagatingPolicy final : public Policy {
 public:
  PropagatingPolicy(std::size_t counter, std::string wanted) : counter_(counter), wanted_(std::move(wanted)) {}
  Ballot evaluate(const JudgedTrace& trace) const override {
    if (trace.counters[counter_] == 2) return {Vote::kNotAsked, kCertain};  // so that `not` does not make a yes of it
    return ballot(trace.counters[counter_] == 1);
  }
  std::string why(const AskedVote& asked) const override {
    const std::uint64_t first = asked.trace.counters[counter_];
    if (first == 2) return "a condition failed before one was true of a span " + wanted_;
    return fmt::format("{} span {}", first == 1 ? "a" : "no", wanted_);
  }

 private:
  std::size_t counter_;
  std::string wanted_;
};

void read(const ConfigNode& node, std::string_view key, ConditionKind kind, PolicyBuild& build,
          std::vector<Condition>& out) {
  for (const ConfigNode& item : node.child(key).items()) {
    Result<Condition> condition =
        parse_condition(item.scalar(), kind, build.plan, build.condition_errors.of(build.top));
    if (condition) {
      for (const std::string& text : condition->notices()) item.notice(text);
      out.push_back(std::move(*condition));
    } else {
      item.error(condition.error().text);
    }
  }
}

}  // namespace

PolicyPtr make_ottl_condition(const ConfigNode& entry, PolicyBuild& build) {
  const ConfigNode node = entry.child("ottl_condition");
  Conditions conditions;
  conditions.propagate = node.choice("error_mode", "silent", {"ignore", "silent", "propagate"}) == "propagate";
  read(node, "span", ConditionKind::kSpan, build, conditions.span);
  read(node, "spanevent", ConditionKind::kSpanEvent, build, conditions.event);
  if (node.child("span").items().empty() && node.child("spanevent").items().empty()) {
    node.error("expected at least one condition under `span` or `spanevent`");
  }
  node.finish();
  std::string attribute = conditions.attribute();
  std::string wanted;
  for (const char* list : {"span", "spanevent"}) {
    for (const std::string& text : node.texts(list)) wanted += (wanted.empty() ? "with " : " or ") + text;
  }
  wanted = cut_words(wanted);
  if (!conditions.propagate) {
    return policy_of_predicate(build, std::make_unique<AnyTrue>(std::move(conditions)), std::move(attribute), false,
                               {std::move(wanted), false});
  }
  return std::make_unique<PropagatingPolicy>(build.plan.add_first(std::make_unique<FirstOf>(std::move(conditions))),
                                             std::move(wanted));
}

}  // namespace tailgate
