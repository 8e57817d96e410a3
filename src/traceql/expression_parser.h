// SPDX-License-Identifier: Apache-2.0
// Parses expressions, what stands in braces and in by(...), and checks their types on the way. One per query.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "traceql/ast.h"

namespace tailgate::traceql {

// How strongly operators bind inside expressions, from the weakest.
enum Binding : int { kJoin = 1, kComparison, kSum, kNotPrefix, kProduct, kPower, kMinusPrefix };

class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, const std::vector<Token>& tokens, Ast& ast)
      : text_(text), tokens_(tokens), ast_(ast) {}

  // Operators weaker than `weakest` are left for the caller.
  Result<NodeIndex> expression(int weakest = kJoin);
  Result<NodeIndex> condition();  // an expression that is true or false
  Result<NodeIndex> field();      // one attribute or intrinsic

  // --- tokens, for the parser of the rest
  const Token& now() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool accept(std::string_view op) {
    if (!now().is(op)) return false;
    take();
    return true;
  }
  Result<void> expect(std::string_view op);
  // "expected `wanted`, got" the token that stands here.
  tl::unexpected<Error> wanted(std::string_view wanted) const;
  tl::unexpected<Error> wrong(std::size_t offset, std::string_view what) const { return error_at(text_, offset, what); }
  tl::unexpected<Error> too_deep() const;

  // Counts what stands inside each other, for the whole of a function.
  class Level {
   public:
    explicit Level(ExpressionParser& parser) : depth_(parser.depth_) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    bool too_deep() const { return depth_ > kDepthMax; }

   private:
    std::uint32_t& depth_;
  };

 private:
  Result<NodeIndex> operand();
  Result<NodeIndex> word();
  Result<NodeIndex> prefix(Type type, int binding);

  Result<NodeIndex> join(NodeKind kind, NodeIndex left, NodeIndex right, std::size_t offset);
  Result<NodeIndex> math(Op op, NodeIndex left, NodeIndex right, std::size_t offset);
  Result<NodeIndex> compare_nodes(Op op, NodeIndex left, NodeIndex right, std::size_t offset);
  Result<NodeIndex> match(Op op, NodeIndex left, NodeIndex right, std::size_t offset);
  Result<std::shared_ptr<const RE2>> compiled(const std::string& pattern, std::size_t offset);
  Result<void> check_types(Op op, const Node& left, const Node& right) const;
  Result<void> want_number(NodeIndex node) const;
  Result<void> want_condition(NodeIndex node) const;
  void pad_id(NodeIndex id, NodeIndex literal);

  Result<NodeIndex> add(Node node);
  Result<NodeIndex> literal(Value value, std::size_t offset, std::string text = {});
  Result<NodeIndex> intrinsic(const IntrinsicInfo& info, std::size_t offset);
  Result<NodeIndex> mention(Node node);

  const std::string_view text_;
  const std::vector<Token>& tokens_;
  Ast& ast_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
  std::unordered_set<std::string> mentioned_;
  std::unordered_map<std::string, std::shared_ptr<const RE2>> patterns_;
};

}  // namespace tailgate::traceql
