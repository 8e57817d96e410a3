// SPDX-License-Identifier: Apache-2.0
// The part of a query around its expressions: sets, pipelines, stages, hints. Recursive descent; Level bounds it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "traceql/expression_parser.h"

namespace tailgate::traceql {
namespace {

struct SetOperator {
  std::string_view text;
  bool join;  // && ||, which bind less than the others
  Relation relation = Relation::kParent;
  bool negated = false, both = false;
};
constexpr std::array kSetOperators = {
    SetOperator{"&&", true},
    SetOperator{"||", true},
    SetOperator{">", false, Relation::kParent},
    SetOperator{">>", false, Relation::kAncestor},
    SetOperator{"<", false, Relation::kChild},
    SetOperator{"<<", false, Relation::kDescendant},
    SetOperator{"~", false, Relation::kSibling},
    SetOperator{"!>", false, Relation::kParent, true},
    SetOperator{"!>>", false, Relation::kAncestor, true},
    SetOperator{"!<", false, Relation::kChild, true},
    SetOperator{"!<<", false, Relation::kDescendant, true},
    SetOperator{"!~", false, Relation::kSibling, true},
    SetOperator{"&>", false, Relation::kParent, false, true},
    SetOperator{"&>>", false, Relation::kAncestor, false, true},
    SetOperator{"&<", false, Relation::kChild, false, true},
    SetOperator{"&<<", false, Relation::kDescendant, false, true},
    SetOperator{"&~", false, Relation::kSibling, false, true},
};

const SetOperator* set_operator(const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  for (const SetOperator& op : kSetOperators) {
    if (token.text == op.text) return &op;
  }
  return nullptr;
}

constexpr std::array<std::string_view, 11> kMetricsFunctions = {
    "rate",          "count_over_time",    "min_over_time",       "max_over_time", "avg_over_time",
    "sum_over_time", "quantile_over_time", "histogram_over_time", "compare",       "topk",
    "bottomk"};

std::optional<Aggregate> aggregate_of(std::string_view word) {
  for (const Aggregate a : {Aggregate::kCount, Aggregate::kMin, Aggregate::kMax, Aggregate::kAvg, Aggregate::kSum}) {
    if (name_of(a) == word) return a;
  }
  return std::nullopt;
}

class Parser {
 public:
  Parser(std::string_view text, const std::vector<Token>& tokens) : p_(text, tokens, ast_) {}

  Result<std::shared_ptr<const Ast>> run() {
    if (const Result<Pipe> root = pipeline(); root) {
      ast_.root = root->index;
    } else {
      return tl::unexpected(root.error());
    }
    if (p_.now().is_word("with")) {
      if (const Result<void> read = hints(); !read) return tl::unexpected(read.error());
    }
    if (p_.now().kind != TokenKind::kEnd) return p_.wanted("'|', an operator between { ... } or the end of the query");
    return std::make_shared<const Ast>(std::move(ast_));
  }

 private:
  // `grouped`: it may give several sets, since by() divided them.
  struct Pipe {
    PipelineIndex index = 0;
    bool grouped = false;
    std::uint32_t depth = 1;
  };
  struct Set {
    SetIndex index = 0;
    bool grouped = false;
  };

  Result<Pipe> pipeline() {
    const ExpressionParser::Level level(p_);
    if (level.too_deep()) return p_.too_deep();
    std::vector<Stage> stages;
    Pipe pipe;
    do {
      const std::size_t offset = p_.now().offset;
      Result<Stage> next = stage(stages.empty(), pipe);
      if (!next) return tl::unexpected(next.error());
      if (next->kind == StageKind::kSet) {
        const SetNode& set = ast_.sets[next->set];
        pipe.depth = std::max(pipe.depth, set.depth + 1);
        if (pipe.grouped && !stages.empty() && set.uses_tree)
          return p_.wrong(offset, "expected coalesce() between by() and an operator on the tree of spans");
      }
      const bool labels = next->kind == StageKind::kBy || next->kind == StageKind::kScalar;
      if (labels && ++labels_ > kLabelsMax)
        return p_.wrong(offset, fmt::format("expected at most {} by() and aggregates in a query", kLabelsMax));
      stages.push_back(std::move(*next));
    } while (p_.accept("|"));
    pipe.index = static_cast<PipelineIndex>(ast_.pipelines.size());
    ast_.pipelines.push_back(std::move(stages));
    return pipe;
  }

  Result<Stage> stage(bool first, Pipe& pipe) {
    const Token& token = p_.now();
    if (token.is("{") || token.is("(")) {
      const Result<Set> parsed = sets(true);
      if (!parsed) return tl::unexpected(parsed.error());
      pipe.grouped |= parsed->grouped;
      Stage out;
      out.set = parsed->index;
      return out;
    }
    const bool call = token.kind == TokenKind::kWord && p_.after().is("(");
    if (call && aggregate_of(token.text)) return scalar_filter();
    if (call && token.text == "by") {
      pipe.grouped = true;
      return by();
    }
    if (call && token.text == "select") return select();
    if (call && token.text == "coalesce") {
      if (first) return p_.wanted("{ ... } first: coalesce() joins sets that are there");
      pipe.grouped = false;
      return coalesce();
    }
    if (token.kind == TokenKind::kWord &&
        std::find(kMetricsFunctions.begin(), kMetricsFunctions.end(), token.text) != kMetricsFunctions.end()) {
      return p_.wrong(token.offset,
                      fmt::format("the metrics function {}() is not supported; a search finds traces", token.text));
    }
    return p_.wanted("{ conditions }, (...), an aggregate such as count() > 1, by(...), select(...) or coalesce()");
  }

  // Sets joined by operators; without `joins` only by those of the tree.
  Result<Set> sets(bool joins) {
    const ExpressionParser::Level level(p_);
    if (level.too_deep()) return p_.too_deep();
    Result<Set> left = joins ? sets(false) : operand();
    while (left) {
      const SetOperator* const op = set_operator(p_.now());
      if (op == nullptr || op->join != joins) break;
      const std::size_t offset = p_.take().offset;
      Result<Set> right = joins ? sets(false) : operand();
      if (!right) return right;
      if (left->grouped || right->grouped)
        return p_.wrong(offset, "expected one set of spans on both sides, got groups; put coalesce() after by()");
      left = joined(*op, left->index, right->index);
    }
    return left;
  }

  Result<Set> joined(const SetOperator& op, SetIndex left, SetIndex right) {
    const SetKind kind = !op.join ? SetKind::kStructural : op.text == "&&" ? SetKind::kAnd : SetKind::kOr;
    if (SetNode& l = ast_.sets[left]; op.join && l.kind == kind) {  // a && b && c is one node
      l.depth = std::max(l.depth, ast_.sets[right].depth + 1);
      l.uses_tree |= ast_.sets[right].uses_tree;
      l.children.push_back(right);
      return Set{left, false};
    }
    SetNode node{.kind = kind, .relation = op.relation, .negated = op.negated, .both = op.both};
    node.children = {left, right};
    node.depth = std::max(ast_.sets[left].depth, ast_.sets[right].depth) + 1;
    node.uses_tree = !op.join || ast_.sets[left].uses_tree || ast_.sets[right].uses_tree;
    return add(std::move(node));
  }

  Result<Set> operand() {
    if (p_.accept("{")) {
      SetNode node;
      if (!p_.accept("}")) {
        const Result<NodeIndex> condition = p_.condition();
        if (!condition) return tl::unexpected(condition.error());
        if (!p_.accept("}")) return p_.wanted("'}' or an operator");
        node.expression = *condition;
      }
      return add(std::move(node));
    }
    if (!p_.accept("(")) return p_.wanted("{ conditions } or (...)");
    const Result<Pipe> inner = pipeline();
    if (!inner) return tl::unexpected(inner.error());
    if (!p_.accept(")")) return p_.wanted("')', '|' or an operator between { ... }");
    const std::vector<Stage>& stages = ast_.pipelines[inner->index];
    if (stages.size() == 1 && stages[0].kind == StageKind::kSet) return Set{stages[0].set, inner->grouped};
    SetNode node{.kind = SetKind::kPipeline, .pipeline = inner->index};
    node.depth = inner->depth + 1;
    for (const Stage& s : stages) node.uses_tree |= s.kind == StageKind::kSet && ast_.sets[s.set].uses_tree;
    Result<Set> set = add(std::move(node));
    if (set) set->grouped = inner->grouped;
    return set;
  }

  Result<Stage> scalar_filter() {
    Stage out;
    out.kind = StageKind::kScalar;
    Result<std::string> label = aggregate(out);
    if (!label) return tl::unexpected(label.error());
    out.label = std::move(*label);
    static constexpr std::pair<std::string_view, Op> kComparisons[] = {{"=", Op::kEqual},   {"!=", Op::kNotEqual},
                                                                       {"<", Op::kLess},    {"<=", Op::kLessEqual},
                                                                       {">", Op::kGreater}, {">=", Op::kGreaterEqual}};
    const Token& token = p_.now();
    const auto* const found = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                                           [&](const auto& c) { return token.is(c.first); });
    if (token.is("+") || token.is("-") || token.is("*") || token.is("/") || token.is("%") || token.is("^"))
      return p_.wrong(token.offset, "arithmetic on aggregates is not supported; compare them to a number");
    if (found == std::end(kComparisons))
      return p_.wanted(fmt::format("a comparison such as '> 2' after {}", out.label));
    out.op = found->second;
    p_.take();
    const bool call = p_.now().kind == TokenKind::kWord && p_.after().is("(");
    if (p_.now().is("{") || (p_.now().is("(") && p_.after().is("{")) || (call && aggregate_of(p_.now().text)))
      return p_.wrong(p_.now().offset, "comparing an aggregate to another is not supported; expected a number");
    const std::size_t offset = p_.now().offset;
    const Result<NodeIndex> value = p_.expression(kSum);
    if (!value) return tl::unexpected(value.error());
    const Node& node = ast_.nodes[*value];
    if (!node.is_literal() || !is_number(node.type))
      return p_.wrong(offset, fmt::format("expected a number or a duration to compare {} to", out.label));
    out.value = node.value;
    return out;
  }

  Result<std::string> aggregate(Stage& out) {
    out.aggregate = *aggregate_of(p_.take().text);
    p_.take();
    if (out.aggregate != Aggregate::kCount) {
      const std::size_t offset = p_.now().offset;
      Result<NodeIndex> inner = p_.expression();
      if (!inner) return tl::unexpected(inner.error());
      const Node& node = ast_.nodes[*inner];
      if (node.is_literal() || !(is_number(node.type) || node.type == Type::kAny))
        return p_.wrong(offset, fmt::format("expected a number or a duration of the spans in {}(), such as duration or "
                                            "span.x",
                                            name_of(out.aggregate)));
      out.expression = *inner;
    }
    if (const Result<void> closed = p_.expect(")"); !closed) return tl::unexpected(closed.error());
    return fmt::format("{}({})", name_of(out.aggregate), out.expression ? source_of(ast_, *out.expression) : "");
  }

  Result<Stage> by() {
    Stage out;
    out.kind = StageKind::kBy;
    p_.take();
    p_.take();
    const std::size_t offset = p_.now().offset;
    Result<NodeIndex> inner = p_.expression();
    if (!inner) return tl::unexpected(inner.error());
    if (ast_.nodes[*inner].is_literal())
      return p_.wrong(offset, "expected an attribute or intrinsic of the spans in by(), got a constant");
    out.expression = *inner;
    if (const Result<void> closed = p_.expect(")"); !closed) return tl::unexpected(closed.error());
    out.label = fmt::format("by({})", source_of(ast_, *inner));
    return out;
  }

  Result<Stage> select() {
    p_.take();
    p_.take();
    do {
      if (const Result<NodeIndex> field = p_.field(); !field) return tl::unexpected(field.error());
    } while (p_.accept(","));
    if (!p_.accept(")")) return p_.wanted("',' or ')'");
    Stage out;
    out.kind = StageKind::kSelect;
    return out;
  }

  Result<Stage> coalesce() {
    p_.take();
    p_.take();
    if (const Result<void> closed = p_.expect(")"); !closed) return tl::unexpected(closed.error());
    Stage out;
    out.kind = StageKind::kCoalesce;
    return out;
  }

  // Those that we do not know are ignored, as in Tempo.
  Result<void> hints() {
    p_.take();
    if (Result<void> open = p_.expect("("); !open) return open;
    do {
      const Token& name = p_.now();
      if (name.kind != TokenKind::kWord) return p_.wanted("a hint such as most_recent=true");
      p_.take();
      if (Result<void> equal = p_.expect("="); !equal) return equal;
      const Token& value = p_.now();
      if (value.kind == TokenKind::kOperator || value.kind == TokenKind::kEnd) return p_.wanted("the hint's value");
      p_.take();
      if (name.text != "most_recent") continue;
      if (!value.is_word("true") && !value.is_word("false"))
        return p_.wrong(value.offset, "expected true or false for most_recent");
      ast_.most_recent = value.is_word("true");
    } while (p_.accept(","));
    return p_.expect(")");
  }

  Result<Set> add(SetNode node) {
    if (node.depth > kDepthMax) return p_.too_deep();
    ast_.sets.push_back(std::move(node));
    return Set{static_cast<SetIndex>(ast_.sets.size() - 1), false};
  }

  Ast ast_;
  ExpressionParser p_;
  std::size_t labels_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Ast>> parse_syntax(std::string_view text) {
  if (text.size() > kQueryBytesMax) {
    return fail(ErrorKind::kBadInput,
                fmt::format("expected a query of at most {} bytes, got {}", kQueryBytesMax, text.size()));
  }
  const Tokens tokens = lex(text);
  if (!tokens.read) return tl::unexpected(tokens.read.error());
  return Parser(text, tokens.list).run();
}

}  // namespace tailgate::traceql
