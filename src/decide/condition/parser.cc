// SPDX-License-Identifier: Apache-2.0
// Recursive descent over tokens, one function per level of precedence: or, and, not, comparison, + -, * /, sign,
// operand. OTTL's grammar has separate brackets for conditions and for values. Here brackets hold either, and the kind
// of an operand is checked when it is joined, so that the message can name what was found. Recursion goes no deeper
// than kConditionDepthMax.
#include <fmt/format.h>

#include <charconv>

#include "base/units.h"
#include "decide/condition/ast.h"
#include "decide/condition/lexer.h"

namespace tailgate::condition {
namespace {

class Parser {
 public:
  Parser(std::vector<Token> tokens, ConditionKind kind) : tokens_(std::move(tokens)), kind_(kind) {}

  Result<Ast> run() {
    Result<AstIndex> root = or_list();
    if (root) root = condition(*root);
    if (root && now().kind != TokenKind::kEnd) {
      const AstNode& done = ast_.nodes[*root];
      root = wanted(done.kind == AstKind::kCompare && now().kind == TokenKind::kCompare
                        ? "`and` or `or`: comparisons do not chain"
                        : "`and`, `or` or the end");
    }
    if (!root) return tl::unexpected(root.error());
    ast_.root = *root;
    return std::move(ast_);
  }

 private:
  using Node = Result<AstIndex>;

  // --- tokens
  const Token& now() const { return tokens_[at_]; }
  bool is(char punct) const { return now().kind == TokenKind::kPunct && now().text[0] == punct; }
  bool accept(char punct) {
    if (!is(punct)) return false;
    ++at_;
    return true;
  }

  tl::unexpected<Error> wanted(std::string_view what) const {
    return condition_error(now().column, now().kind == TokenKind::kEnd
                                             ? fmt::format("expected {}, but the condition ends here", what)
                                             : fmt::format("expected {}, got '{}'", what, now().text));
  }

  // --- nodes
  AstIndex add(AstNode node) {
    ast_.nodes.push_back(std::move(node));
    return static_cast<AstIndex>(ast_.nodes.size() - 1);
  }
  AstNode node_here(AstKind kind) const { return {.kind = kind, .column = now().column}; }

  // Counts the levels we are in, for the whole of a function.
  class Level {
   public:
    explicit Level(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    bool too_deep() const { return depth_ > kConditionDepthMax; }

   private:
    std::size_t& depth_;
  };
  tl::unexpected<Error> too_deep() const {
    return condition_error(now().column,
                           fmt::format("expected at most {} levels inside each other", kConditionDepthMax));
  }

  static bool is_condition(const AstNode& n) {
    return n.kind == AstKind::kOr || n.kind == AstKind::kAnd || n.kind == AstKind::kNot || n.kind == AstKind::kCompare;
  }
  bool has_comparator(const AstNode& n) const {
    return n.kind == AstKind::kBool || n.kind == AstKind::kCall || n.kind == AstKind::kIndexed;
  }

  // A node that stands where a condition is wanted.
  Node condition(AstIndex i) {
    const AstNode& n = ast_.nodes[i];
    if (is_condition(n) || has_comparator(n)) return i;
    if (kind_ == ConditionKind::kTrace && n.kind == AstKind::kPath)
      return i;  // `complete` alone; the compiler sees to it
    return condition_error(
        n.column, "expected a comparison such as `... == \"x\"`, a converter that answers yes or no, true or false");
  }
  // A node that stands where a value is wanted.
  Node value(AstIndex i) {
    const AstNode& n = ast_.nodes[i];
    if (!is_condition(n)) return i;
    return condition_error(n.column, "expected a value here, got a condition");
  }

  // --- conditions
  Node or_list() { return joined(AstKind::kOr, TokenKind::kOr, &Parser::and_list); }
  Node and_list() { return joined(AstKind::kAnd, TokenKind::kAnd, &Parser::negation); }

  Node joined(AstKind kind, TokenKind by, Node (Parser::*part)()) {
    AstNode list = node_here(kind);
    Node first = (this->*part)();
    if (!first || now().kind != by) return first;
    while (true) {
      Node checked = condition(*first);
      if (!checked) return checked;
      list.children.push_back(*checked);
      if (now().kind != by) break;
      ++at_;
      first = (this->*part)();
      if (!first) return first;
    }
    return add(std::move(list));
  }

  Node negation() {
    if (now().kind != TokenKind::kNot) return comparison();
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    AstNode n = node_here(AstKind::kNot);
    ++at_;
    Node operand = negation();
    if (operand) operand = condition(*operand);
    if (!operand) return operand;
    n.children = {*operand};
    return add(std::move(n));
  }

  Node comparison() {
    Node left = sum();
    if (!left || now().kind != TokenKind::kCompare) {
      if (left && now().kind == TokenKind::kAssign) return wanted("'==' to compare");
      return left;
    }
    left = value(*left);
    if (!left) return left;
    AstNode n = node_here(AstKind::kCompare);
    n.column = ast_.nodes[*left].column;
    const std::string_view op = now().text;
    n.compare = op == "=="   ? CompareOp::kEqual
                : op == "!=" ? CompareOp::kNotEqual
                : op == "<"  ? CompareOp::kLess
                : op == "<=" ? CompareOp::kLessEqual
                : op == ">"  ? CompareOp::kGreater
                             : CompareOp::kGreaterEqual;
    ++at_;
    Node right = sum();
    if (right) right = value(*right);
    if (!right) return right;
    n.children = {*left, *right};
    return add(std::move(n));
  }

  // --- values
  Node sum() { return math(TokenKind::kPlusMinus, &Parser::product); }
  Node product() { return math(TokenKind::kTimesDivide, &Parser::signed_operand); }

  Node math(TokenKind ops, Node (Parser::*part)()) {
    Node left = (this->*part)();
    while (left && now().kind == ops) {
      left = value(*left);
      if (!left) return left;
      AstNode n = node_here(AstKind::kMath);
      const char op = now().text[0];
      n.math = op == '+'   ? MathOp::kAdd
               : op == '-' ? MathOp::kSubtract
               : op == '*' ? MathOp::kMultiply
                           : MathOp::kDivide;
      ++at_;
      Node right = (this->*part)();
      if (right) right = value(*right);
      if (!right) return right;
      // A long chain leans to the left: each step is one level of the tree that will be walked.
      n.children = {*left, *right};
      if (++chained_ > 256) return condition_error(n.column, "expected at most 256 operators + - * /");
      left = add(std::move(n));
    }
    return left;
  }

  Node signed_operand() {
    if (now().kind != TokenKind::kPlusMinus) return operand();
    const AstNode sign = node_here(AstKind::kNegate);
    const bool minus = now().text[0] == '-';
    ++at_;
    if (minus && now().kind == TokenKind::kInt) return integer(true, sign.column);
    if (now().kind == TokenKind::kPlusMinus) return wanted("a value after the sign");
    Node of = operand();
    if (of) of = value(*of);
    if (!of || !minus) return of;
    AstNode& n = ast_.nodes[*of];
    if (n.kind == AstKind::kDouble || n.kind == AstKind::kDuration) {
      n.number = -n.number;
      n.integer = -n.integer;
      n.column = sign.column;
      return of;
    }
    AstNode negate = sign;
    negate.children = {*of};
    return add(std::move(negate));
  }

  Node integer(bool minus, std::uint32_t column) {
    AstNode n{.kind = AstKind::kInt, .column = column};
    const std::string text = (minus ? "-" : "") + std::string(now().text);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n.integer);
    if (error != std::errc() || end != text.data() + text.size()) return wanted("a number within 64 bits");
    ++at_;
    return add(std::move(n));
  }

  Node operand() {
    const Level level(depth_);
    if (level.too_deep()) return too_deep();
    const Token& token = now();
    switch (token.kind) {
      case TokenKind::kInt:
        return integer(false, token.column);
      case TokenKind::kDouble: {
        AstNode n = node_here(AstKind::kDouble);
        const char* const end = token.text.data() + token.text.size();
        if (std::from_chars(token.text.data(), end, n.number).ec != std::errc())
          return wanted("a number within the range of a double");
        ++at_;
        return add(std::move(n));
      }
      case TokenKind::kDuration: {
        AstNode n = node_here(AstKind::kDuration);
        const std::optional<Duration> parsed = parse_duration(token.text);
        if (!parsed) return wanted("a duration such as 300ms, 2s or 1h30m");
        n.integer = std::chrono::nanoseconds(*parsed).count();
        ++at_;
        return add(std::move(n));
      }
      case TokenKind::kString:
      case TokenKind::kBytes: {
        AstNode n = node_here(token.kind == TokenKind::kString ? AstKind::kString : AstKind::kBytes);
        n.text = token.value;
        ++at_;
        return add(std::move(n));
      }
      case TokenKind::kTrue:
      case TokenKind::kFalse: {
        AstNode n = node_here(AstKind::kBool);
        n.integer = token.kind == TokenKind::kTrue;
        ++at_;
        return add(std::move(n));
      }
      case TokenKind::kUpper:
        return call_or_enum();
      case TokenKind::kLower:
        return word();
      default:
        break;
    }
    if (is('[')) return list();
    if (is('{')) return map();
    if (!accept('(')) return wanted("a value");
    Node inside = or_list();
    if (!inside) return inside;
    if (!accept(')')) return wanted("')'");
    return inside;
  }

  Node word() {
    if (now().text == "nil") {
      const AstIndex nil = add(node_here(AstKind::kNil));
      ++at_;
      return nil;
    }
    const bool call = tokens_[at_ + 1].kind == TokenKind::kPunct && tokens_[at_ + 1].text == "(";
    if (!call) return path();
    const bool aggregate = now().text == "any" || now().text == "all" || now().text == "count";
    if (kind_ == ConditionKind::kTrace && aggregate) return arguments(node_here(AstKind::kCall), true);
    return condition_error(now().column,
                           fmt::format("'{}(': names of converters begin with a capital letter", now().text));
  }

  Node call_or_enum() {
    const bool call = tokens_[at_ + 1].kind == TokenKind::kPunct && tokens_[at_ + 1].text == "(";
    if (!call) {
      AstNode n = node_here(AstKind::kEnum);
      n.text = now().text;
      ++at_;
      return add(std::move(n));
    }
    AstNode indexed = node_here(AstKind::kIndexed);
    Node made = arguments(node_here(AstKind::kCall), false);
    if (!made || !is('[')) return made;
    indexed.children = {*made};
    if (const Result<void> read = keys(indexed.children); !read) return tl::unexpected(read.error());
    for (std::size_t i = 1; i < indexed.children.size(); ++i) {
      const AstNode& key = ast_.nodes[indexed.children[i]];
      if (key.kind != AstKind::kString && key.kind != AstKind::kInt) {
        return condition_error(key.column, "expected a key in quotes or a number to index a converter's result");
      }
    }
    return add(std::move(indexed));
  }

  // At the name of a function; `condition_inside`: its one argument is a condition.
  Node arguments(AstNode call, bool condition_inside) {
    call.text = now().text;
    at_ += 2;
    while (!accept(')')) {
      if (!call.children.empty() && !accept(',')) return wanted("',' or ')'");
      AstNode argument = node_here(AstKind::kArgument);
      if (now().kind == TokenKind::kLower && tokens_[at_ + 1].kind == TokenKind::kAssign) {
        argument.text = now().text;
        at_ += 2;
      }
      Node of = condition_inside ? or_list() : sum();
      if (of) of = condition_inside ? condition(*of) : value(*of);
      if (!of) return of;
      argument.children = {*of};
      call.children.push_back(add(std::move(argument)));
    }
    return add(std::move(call));
  }

  Node path() {
    AstNode path = node_here(AstKind::kPath);
    while (true) {
      if (now().kind != TokenKind::kLower) return wanted("the name of a field");
      AstNode field = node_here(AstKind::kField);
      field.text = now().text;
      ++at_;
      if (const Result<void> read = keys(field.children); !read) return tl::unexpected(read.error());
      path.children.push_back(add(std::move(field)));
      if (!accept('.')) return add(std::move(path));
    }
  }

  Result<void> keys(std::vector<AstIndex>& keys) {
    while (accept('[')) {
      Node key = sum();
      if (key) key = value(*key);
      if (!key) return tl::unexpected(key.error());
      keys.push_back(*key);
      if (!accept(']')) return wanted("']'");
    }
    return {};
  }

  Node list() {
    AstNode n = node_here(AstKind::kList);
    ++at_;
    while (!accept(']')) {
      if (!n.children.empty() && !accept(',')) return wanted("',' or ']'");
      Node item = sum();
      if (item) item = value(*item);
      if (!item) return item;
      n.children.push_back(*item);
    }
    return add(std::move(n));
  }

  Node map() {
    AstNode n = node_here(AstKind::kMap);
    ++at_;
    while (!accept('}')) {
      if (!n.children.empty()) accept(',');  // OTTL asks for none
      if (now().kind != TokenKind::kString) return wanted("a key in quotes or '}'");
      AstNode key = node_here(AstKind::kString);
      key.text = now().value;
      ++at_;
      n.children.push_back(add(std::move(key)));
      if (!accept(':')) return wanted("':'");
      Node item = sum();
      if (item) item = value(*item);
      if (!item) return item;
      n.children.push_back(*item);
    }
    return add(std::move(n));
  }

  std::vector<Token> tokens_;
  const ConditionKind kind_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t chained_ = 0;
  Ast ast_;
};

}  // namespace

Result<Ast> parse_condition_syntax(std::string_view text, ConditionKind kind) {
  if (text.size() > kConditionBytesMax) {
    return fail(ErrorKind::kConfig,
                fmt::format("expected a condition of at most {} bytes, got {}", kConditionBytesMax, text.size()));
  }
  Result<std::vector<Token>> tokens = lex_condition(text, kind == ConditionKind::kTrace);
  if (!tokens) return tl::unexpected(tokens.error());
  if (tokens->size() == 1) return condition_error(1, "expected a condition, got nothing");
  return Parser(std::move(*tokens), kind).run();
}

}  // namespace tailgate::condition
