// SPDX-License-Identifier: Apache-2.0
// Query::evaluate: pipelines over sets of spans. Recursion follows the query's sets and is bounded by kDepthMax.
#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <numeric>
#include <unordered_map>

#include "base/hash.h"
#include "traceql/expression.h"
#include "traceql/structure.h"

namespace tailgate::traceql {
namespace {

// What an aggregate has seen. Sums of whole numbers are exact.
class Numbers {
 public:
  void add(const Value& v) {
    if (!is_number(v.type) || (v.type == Type::kDouble && std::isnan(v.number))) return;
    if (count_ == 0 || compare(v, Op::kLess, min_)) min_ = v;
    if (count_ == 0 || compare(v, Op::kGreater, max_)) max_ = v;
    ++count_;
    whole_ &= is_integer(v.type);
    duration_ &= v.type == Type::kDuration;
    if (v.type == Type::kDouble) {
      rest_ += v.number;
    } else {
      sum_ += v.integer;
    }
  }

  // Missing when there was no number.
  Value result(Aggregate aggregate) const {
    if (count_ == 0) return Value::nil();
    const long double sum = static_cast<long double>(sum_) + rest_;
    switch (aggregate) {
      case Aggregate::kMin:
        return min_;
      case Aggregate::kMax:
        return max_;
      case Aggregate::kAvg:
        if (duration_) return Value::of(Type::kDuration, static_cast<std::int64_t>(sum_ / count_));
        return Value::of_double(static_cast<double>(sum / static_cast<long double>(count_)));
      case Aggregate::kSum:
        if (!whole_ || sum_ > INT64_MAX || sum_ < INT64_MIN) return Value::of_double(static_cast<double>(sum));
        return Value::of(duration_ ? Type::kDuration : Type::kInt, static_cast<std::int64_t>(sum_));
      case Aggregate::kCount:
        break;
    }
    return Value::nil();
  }

 private:
  __extension__ using Wide = __int128;

  Value min_, max_;
  std::int64_t count_ = 0;
  bool whole_ = true, duration_ = true;
  Wide sum_ = 0;
  long double rest_ = 0;
};

// The group of a value: whole and other numbers apart, texts by their bytes.
struct GroupKey {
  Type type;
  std::uint64_t bits;
  std::string_view text;
  bool operator==(const GroupKey&) const = default;
};
struct GroupHash {
  std::uint64_t seed = random_seed();
  std::size_t operator()(const GroupKey& key) const {
    return static_cast<std::size_t>(hash_bytes(key.text, seed ^ key.bits * 31 ^ static_cast<std::uint64_t>(key.type)));
  }
};

void set_attribute(Spanset& set, NamedValue value) {
  const auto same = std::find_if(set.attributes.begin(), set.attributes.end(),
                                 [&](const NamedValue& a) { return a.key == value.key; });
  if (same == set.attributes.end()) {
    set.attributes.push_back(std::move(value));
  } else {
    *same = std::move(value);
  }
}

class Evaluation {
 public:
  Evaluation(const Ast& ast, const TraceView& trace, Steps& steps)
      : ast_(ast), trace_(trace), steps_(steps), expressions_(ast, trace, steps) {}

  std::vector<Spanset> run() {
    Spanset all;
    all.spans.resize(trace_.spans().size());
    std::iota(all.spans.begin(), all.spans.end(), 0);
    return pipeline(ast_.root, std::move(all));
  }

 private:
  std::vector<Spanset> pipeline(PipelineIndex index, Spanset input) {
    std::vector<Spanset> sets;
    sets.push_back(std::move(input));
    for (const Stage& stage : ast_.pipelines[index]) {
      sets = after(stage, std::move(sets));
      if (steps_.spent()) return {};
    }
    std::erase_if(sets, [](const Spanset& set) { return set.spans.empty(); });
    return sets;
  }

  std::vector<Spanset> after(const Stage& stage, std::vector<Spanset> sets) {
    std::vector<Spanset> out;
    switch (stage.kind) {
      case StageKind::kSet:
        for (Spanset& set : sets) {
          const SetNode& node = ast_.sets[stage.set];
          if (node.kind == SetKind::kPipeline) {
            for (Spanset& inner : pipeline(node.pipeline, std::move(set))) out.push_back(std::move(inner));
            continue;
          }
          set.spans = spans_of(node, set.spans);
          if (!set.spans.empty()) out.push_back(std::move(set));
        }
        return out;
      case StageKind::kScalar:
        for (Spanset& set : sets) {
          if (passes(stage, set)) out.push_back(std::move(set));
        }
        return out;
      case StageKind::kBy:
        for (const Spanset& set : sets) divide(stage, set, out);
        return out;
      case StageKind::kCoalesce:
        return coalesced(sets);
      case StageKind::kSelect:
        break;
    }
    return sets;
  }

  Spans spans_of(const SetNode& node, const Spans& input) {
    if (!steps_.spend(1 + input.size() / 8)) return {};
    switch (node.kind) {
      case SetKind::kFilter:
        return filtered(node, input);
      case SetKind::kPipeline: {
        std::vector<Spanset> sets = pipeline(node.pipeline, {input, {}});
        return sets.empty() ? Spans() : std::move(sets[0].spans);
      }
      case SetKind::kAnd:
      case SetKind::kOr: {
        Spans all;
        for (const SetIndex child : node.children) {
          const Spans part = spans_of(ast_.sets[child], input);
          if (steps_.spent() || (node.kind == SetKind::kAnd && part.empty())) return {};
          all = union_of(all, part);
        }
        return all;
      }
      case SetKind::kStructural: {
        const Spans left = spans_of(ast_.sets[node.children[0]], input);
        const Spans right = spans_of(ast_.sets[node.children[1]], input);
        if (right.empty() || (left.empty() && !node.negated) || !steps_.spend(trace_.spans().size() / 2)) return {};
        return related(trace_, node, left, right);
      }
    }
    return {};
  }

  Spans filtered(const SetNode& node, const Spans& input) {
    if (!node.expression) return input;
    Spans out;
    for (const std::uint32_t span : input) {
      if (expressions_.holds(*node.expression, span)) out.push_back(span);
      if (steps_.spent()) return {};
    }
    return out;
  }

  bool passes(const Stage& stage, Spanset& set) {
    Value value = Value::of(Type::kInt, static_cast<std::int64_t>(set.spans.size()));
    if (stage.expression) {
      Numbers numbers;
      for (const std::uint32_t span : set.spans) {
        numbers.add(expressions_.value_of(*stage.expression, span));
        if (steps_.spent()) return false;
      }
      value = numbers.result(stage.aggregate);
    }
    if (!steps_.spend() || !compare(value, stage.op, stage.value)) return false;
    set_attribute(set, named(stage.label, value));
    return true;
  }

  // Groups come in the order of their first spans.
  void divide(const Stage& stage, const Spanset& set, std::vector<Spanset>& out) {
    std::unordered_map<GroupKey, std::size_t, GroupHash> groups(0, hash_);
    for (const std::uint32_t span : set.spans) {
      const Value value = expressions_.value_of(*stage.expression, span);
      if (!steps_.spend(4 + value.text.size() / 64)) return;
      const std::uint64_t bits = value.type == Type::kDouble  ? std::bit_cast<std::uint64_t>(value.number)
                                 : value.type == Type::kOther ? static_cast<std::uint64_t>(value.wire)
                                                              : static_cast<std::uint64_t>(value.integer);
      GroupKey key{value.type, bits, value.text};
      auto found = groups.find(key);
      if (found == groups.end()) {
        if (!steps_.spend(16 + 4 * set.attributes.size())) return;  // each group has a copy of them
        key.text = texts_.emplace_back(value.text);
        found = groups.emplace(key, out.size()).first;
        Spanset& made = out.emplace_back();
        made.attributes = set.attributes;
        set_attribute(made, named(stage.label, value));
      }
      out[found->second].spans.push_back(span);
    }
    texts_.clear();
  }

  static std::vector<Spanset> coalesced(const std::vector<Spanset>& sets) {
    if (sets.empty()) return {};
    Spanset all;
    for (const Spanset& set : sets) all.spans.insert(all.spans.end(), set.spans.begin(), set.spans.end());
    std::sort(all.spans.begin(), all.spans.end());
    all.spans.erase(std::unique(all.spans.begin(), all.spans.end()), all.spans.end());
    std::vector<Spanset> out;
    out.push_back(std::move(all));
    return out;
  }

  const Ast& ast_;
  const TraceView& trace_;
  Steps& steps_;
  Expressions expressions_;
  const GroupHash hash_;
  std::deque<std::string> texts_;  // of the groups of one divide(): an id's text does not stay
};

}  // namespace

std::vector<Spanset> Query::evaluate(const TraceView& trace, Steps& steps) const {
  std::vector<Spanset> sets = Evaluation(*ast_, trace, steps).run();
  if (steps.spent()) sets.clear();
  return sets;
}

std::vector<NamedValue> Query::span_attributes(const TraceView& trace, std::uint32_t span, Steps& steps) const {
  Expressions expressions(*ast_, trace, steps);
  std::vector<NamedValue> out;
  for (const NodeIndex index : ast_->shown) {
    const Node& node = ast_->nodes[index];
    std::string key = node.kind == NodeKind::kAttribute ? node.text : std::string(info_of(node.intrinsic).label());
    const bool there = std::any_of(out.begin(), out.end(), [&](const NamedValue& v) { return v.key == key; });
    if (there) continue;
    const Value value = expressions.value_of(index, span);
    if (!value.is_nil()) out.push_back(named(std::move(key), value));
  }
  return out;
}

bool Query::uses_name() const { return ast_->uses_name; }
bool Query::most_recent() const { return ast_->most_recent; }

}  // namespace tailgate::traceql
