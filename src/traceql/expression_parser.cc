// SPDX-License-Identifier: Apache-2.0
#include "traceql/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "codec/hex.h"

namespace tailgate::traceql {
namespace {

struct Infix {
  std::string_view text;
  int binding;
  Op op;
};
constexpr std::array kInfix = {
    Infix{"&&", kJoin, Op::kEqual},
    Infix{"||", kJoin, Op::kEqual},
    Infix{"=", kComparison, Op::kEqual},
    Infix{"!=", kComparison, Op::kNotEqual},
    Infix{"<", kComparison, Op::kLess},
    Infix{"<=", kComparison, Op::kLessEqual},
    Infix{">", kComparison, Op::kGreater},
    Infix{">=", kComparison, Op::kGreaterEqual},
    Infix{"=~", kComparison, Op::kMatch},
    Infix{"!~", kComparison, Op::kNotMatch},
    Infix{"+", kSum, Op::kAdd},
    Infix{"-", kSum, Op::kSubtract},
    Infix{"*", kProduct, Op::kMultiply},
    Infix{"/", kProduct, Op::kDivide},
    Infix{"%", kProduct, Op::kModulo},
    Infix{"^", kPower, Op::kPower},
};

const Infix* infix_of(const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  for (const Infix& infix : kInfix) {
    if (token.text == infix.text) return &infix;
  }
  return nullptr;
}

bool is_condition(Type type) { return type == Type::kBool || type == Type::kAny; }
bool ordered_type(Type type) { return is_number(type) || type == Type::kString || type == Type::kAny; }

std::string described(const Node& node) {
  const std::string_view type = name_of(node.type);
  return std::string(node.type == Type::kStatus || node.type == Type::kKind ? type.substr(0, type.find(" (")) : type);
}

}  // namespace

// --- tokens

Result<void> ExpressionParser::expect(std::string_view op) {
  if (accept(op)) return {};
  return wanted(fmt::format("'{}'", op));
}

tl::unexpected<Error> ExpressionParser::wanted(std::string_view wanted) const {
  const Token& token = now();
  if (token.kind == TokenKind::kEnd)
    return wrong(token.offset, fmt::format("expected {}, got the end of the query", wanted));
  const bool cut = token.text.size() > 60;
  return wrong(token.offset, fmt::format("expected {}, got '{}{}'", wanted, cut ? token.text.substr(0, 60) : token.text,
                                         cut ? "..." : ""));
}

tl::unexpected<Error> ExpressionParser::too_deep() const {
  return wrong(now().offset, fmt::format("expected at most {} levels inside each other", kDepthMax));
}

// --- expressions

Result<NodeIndex> ExpressionParser::condition() {
  Result<NodeIndex> node = expression();
  if (!node) return node;
  if (const Result<void> good = want_condition(*node); !good) return tl::unexpected(good.error());
  return node;
}

Result<NodeIndex> ExpressionParser::expression(int weakest) {
  const Level level(*this);
  if (level.too_deep()) return too_deep();
  Result<NodeIndex> left = operand();
  while (left) {
    const Infix* const infix = infix_of(now());
    if (infix == nullptr || infix->binding < weakest) break;
    const std::size_t offset = take().offset;
    // a ^ b ^ c is a ^ (b ^ c); everything else goes from left to right.
    Result<NodeIndex> right = expression(infix->binding == kPower ? kPower : infix->binding + 1);
    if (!right) return right;
    if (infix->binding == kJoin) {
      left = join(infix->text == "&&" ? NodeKind::kAnd : NodeKind::kOr, *left, *right, offset);
    } else if (infix->binding == kComparison) {
      left = is_regex(infix->op) ? match(infix->op, *left, *right, offset)
                                 : compare_nodes(infix->op, *left, *right, offset);
    } else {
      left = math(infix->op, *left, *right, offset);
    }
  }
  return left;
}

Result<NodeIndex> ExpressionParser::operand() {
  const Token& token = now();
  const std::size_t offset = token.offset;
  switch (token.kind) {
    case TokenKind::kString:
      take();
      return literal(Value::of_text({}), offset, token.value);
    case TokenKind::kInt:
      take();
      return literal(Value::of(Type::kInt, token.integer), offset);
    case TokenKind::kDuration:
      take();
      return literal(Value::of(Type::kDuration, token.integer), offset);
    case TokenKind::kDouble:
      take();
      return literal(Value::of_double(token.number), offset);
    case TokenKind::kWord:
    case TokenKind::kIntrinsic:
    case TokenKind::kAttribute:
      return word();
    default:
      break;
  }
  if (accept("(")) {
    Result<NodeIndex> inner = expression();
    if (!inner) return inner;
    if (!accept(")")) return wanted("')' or an operator");
    return inner;
  }
  if (accept("!")) return prefix(Type::kBool, kNotPrefix);
  if (accept("-")) return prefix(Type::kInt, kMinusPrefix);
  if (token.is("=") && at_ > 0 && tokens_[at_ - 1].is("="))
    return wrong(offset, "expected a value after '=', got '=': equal is written as one '='");
  return wanted(
      "a value: an attribute such as span.x, an intrinsic such as name, a number, a duration or a \"string\"");
}

Result<NodeIndex> ExpressionParser::prefix(Type type, int binding) {
  const std::size_t offset = tokens_[at_ - 1].offset;
  Result<NodeIndex> inner = expression(binding);
  if (!inner) return inner;
  const bool is_not = type == Type::kBool;
  if (const Result<void> good = is_not ? want_condition(*inner) : want_number(*inner); !good)
    return tl::unexpected(good.error());
  const Node& child = ast_.nodes[*inner];
  if (child.is_literal()) return literal(is_not ? Value::of_bool(!child.value.is_true()) : negate(child.value), offset);
  Node node{.kind = is_not ? NodeKind::kNot : NodeKind::kNegate, .offset = offset};
  node.type = is_not ? Type::kBool : child.type == Type::kAny ? Type::kDouble : child.type;
  node.children = {*inner};
  return add(std::move(node));
}

Result<NodeIndex> ExpressionParser::word() {
  const Token& token = now();
  if (token.kind == TokenKind::kAttribute || token.kind == TokenKind::kIntrinsic) return field();
  const std::size_t offset = token.offset;
  const std::string_view text = token.text;
  std::optional<Value> value;
  if (text == "true" || text == "false") value = Value::of_bool(text == "true");
  if (text == "nil") value = Value::nil();
  if (text == "minInt") value = Value::of(Type::kInt, INT64_MIN);
  if (text == "maxInt") value = Value::of(Type::kInt, INT64_MAX);
  if (const auto status = status_of_word(text)) value = Value::of(Type::kStatus, *status);
  if (const auto kind = kind_of_word(text)) value = Value::of(Type::kKind, *kind);
  if (!value) return field();
  take();
  return literal(*value, offset);
}

Result<NodeIndex> ExpressionParser::field() {
  const Token& token = now();
  const std::size_t offset = token.offset;
  if (token.is_word("parent") || (token.kind == TokenKind::kAttribute && token.scope == Scope::kParent))
    return wrong(offset, "parent is not supported; { ... } > { ... } finds spans by what their parent is");
  if (token.is_word("childCount"))
    return wrong(offset, "expected an intrinsic, got 'childCount'; it is written span:childCount");
  if (token.kind == TokenKind::kAttribute) {
    take();
    Node node{.kind = NodeKind::kAttribute, .scope = token.scope, .offset = offset};
    node.of_event = token.scope == Scope::kEvent;
    node.of_link = token.scope == Scope::kLink;
    node.text = token.value;
    return mention(std::move(node));
  }
  if (token.kind != TokenKind::kWord && token.kind != TokenKind::kIntrinsic)
    return wanted("an attribute such as span.x, or an intrinsic such as name");
  if (const IntrinsicInfo* const info = find_intrinsic(token.text)) {
    take();
    return intrinsic(*info, offset);
  }
  if (token.kind == TokenKind::kIntrinsic)
    return wanted("an intrinsic such as span:name, trace:rootService, event:name, link:spanID, instrumentation:name");
  return wrong(offset, fmt::format("expected an attribute with its scope (span.{0}, resource.{0}, .{0}), an intrinsic "
                                   "such as name, or a \"string\" in quotes, got '{0}'",
                                   token.text.substr(0, 60)));
}

// --- nodes with their types

Result<NodeIndex> ExpressionParser::join(NodeKind kind, NodeIndex left, NodeIndex right, std::size_t offset) {
  for (const NodeIndex side : {left, right}) {
    if (const Result<void> good = want_condition(side); !good) return tl::unexpected(good.error());
  }
  const Node& r = ast_.nodes[right];
  if (Node& l = ast_.nodes[left]; l.kind == kind) {  // a && b && c is one node
    l.children.push_back(right);
    l.depth = std::max(l.depth, r.depth + 1);
    l.of_event |= r.of_event;
    l.of_link |= r.of_link;
    return left;
  }
  Node node{.kind = kind, .type = Type::kBool, .offset = offset};
  node.children = {left, right};
  return add(std::move(node));
}

Result<NodeIndex> ExpressionParser::math(Op op, NodeIndex left, NodeIndex right, std::size_t offset) {
  for (const NodeIndex side : {left, right}) {
    if (const Result<void> good = want_number(side); !good) return tl::unexpected(good.error());
  }
  const Node &l = ast_.nodes[left], &r = ast_.nodes[right];
  if (l.is_literal() && r.is_literal()) {
    const Value value = calculate(l.value, op, r.value);
    if (!value.is_nil()) return literal(value, l.offset);
  }
  Node node{.kind = NodeKind::kMath, .op = op, .offset = offset};
  node.type = l.type == Type::kDuration || r.type == Type::kDuration ? Type::kDuration : Type::kDouble;
  node.children = {left, right};
  return add(std::move(node));
}

Result<NodeIndex> ExpressionParser::compare_nodes(Op op, NodeIndex left, NodeIndex right, std::size_t offset) {
  if (const Result<void> good = check_types(op, ast_.nodes[left], ast_.nodes[right]); !good)
    return tl::unexpected(good.error());
  if (op == Op::kEqual || op == Op::kNotEqual) {
    pad_id(left, right);
    pad_id(right, left);
  }
  const Node &l = ast_.nodes[left], &r = ast_.nodes[right];
  if (l.is_literal() && r.is_literal()) return literal(Value::of_bool(compare(l.literal(), op, r.literal())), l.offset);
  Node node{.kind = NodeKind::kCompare, .type = Type::kBool, .op = op, .offset = offset};
  node.children = {left, right};
  return add(std::move(node));
}

Result<void> ExpressionParser::check_types(Op op, const Node& left, const Node& right) const {
  const bool equality = op == Op::kEqual || op == Op::kNotEqual;
  if (left.type == Type::kNil || right.type == Type::kNil) {
    const Node &nil = right.type == Type::kNil ? right : left, &other = right.type == Type::kNil ? left : right;
    if (!equality) return wrong(nil.offset, fmt::format("expected a value after '{}', got nil", text_of(op)));
    if (other.kind != NodeKind::kAttribute)
      return wrong(nil.offset, "expected an attribute beside nil: everything else is always there");
    if (other.scope == Scope::kResource && other.text == "service.name")
      return wrong(nil.offset, "expected a string, got nil: resource.service.name is always there");
    return {};
  }
  const bool alike = left.type == right.type || left.type == Type::kAny || right.type == Type::kAny ||
                     (is_number(left.type) && is_number(right.type));
  if (!alike) {
    const std::string_view type = is_number(left.type) ? "a number or a duration" : name_of(left.type);
    return wrong(right.offset, fmt::format("expected {}, got {}", type, described(right)));
  }
  for (const Node* side : {&left, &right}) {
    if (equality || ordered_type(side->type)) continue;
    return wrong(side->offset, fmt::format("expected a number, a duration or a string beside '{}', got {}", text_of(op),
                                           described(*side)));
  }
  return {};
}

Result<NodeIndex> ExpressionParser::match(Op op, NodeIndex left, NodeIndex right, std::size_t offset) {
  const Node &l = ast_.nodes[left], &r = ast_.nodes[right];
  if (l.type != Type::kString && l.type != Type::kAny)
    return wrong(l.offset, fmt::format("expected a string before '{}', got {}", text_of(op), described(l)));
  if (!r.is_literal() || r.type != Type::kString)
    return wrong(r.offset,
                 fmt::format("expected a regular expression in quotes after '{}', got {}", text_of(op), described(r)));
  const Result<std::shared_ptr<const RE2>> regex = compiled(r.text, r.offset);
  if (!regex) return tl::unexpected(regex.error());
  if (l.is_literal()) return literal(Value::of_bool(RE2::FullMatch(l.text, **regex) == (op == Op::kMatch)), l.offset);
  Node node{.kind = NodeKind::kCompare, .type = Type::kBool, .op = op, .offset = offset};
  node.text = r.text;
  node.regex = *regex;
  node.children = {left};
  return add(std::move(node));
}

Result<std::shared_ptr<const RE2>> ExpressionParser::compiled(const std::string& pattern, std::size_t offset) {
  std::shared_ptr<const RE2>& regex = patterns_[pattern];
  if (regex != nullptr) return regex;
  if (patterns_.size() > kPatternsMax)
    return wrong(offset, fmt::format("expected at most {} different regular expressions", kPatternsMax));
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  regex = std::make_shared<const RE2>(pattern, options);
  if (!regex->ok())
    return wrong(offset, fmt::format("expected a regular expression as RE2 reads it ({})", regex->error()));
  if (regex->ProgramSize() > kPatternSizeMax)
    return wrong(offset, "expected a smaller regular expression: RE2 makes too many instructions of it");
  return regex;
}

Result<void> ExpressionParser::want_number(NodeIndex node) const {
  const Node& n = ast_.nodes[node];
  if (is_number(n.type) || n.type == Type::kAny) return {};
  return wrong(n.offset, fmt::format("expected a number or a duration, got {}", described(n)));
}

Result<void> ExpressionParser::want_condition(NodeIndex node) const {
  const Node& n = ast_.nodes[node];
  if (is_condition(n.type)) return {};
  return wrong(n.offset, fmt::format("expected a condition such as span.x = 1, got {}", described(n)));
}

// Ids are compared as 16 or 32 lower-case digits; people write them in any case and without leading zeros.
void ExpressionParser::pad_id(NodeIndex id, NodeIndex literal) {
  const Node& n = ast_.nodes[id];
  Node& l = ast_.nodes[literal];
  if (n.kind != NodeKind::kIntrinsic || !l.is_literal() || l.type != Type::kString) return;
  const std::size_t digits = info_of(n.intrinsic).id_digits;
  if (l.text.empty() || l.text.size() > digits) return;
  if (!std::all_of(l.text.begin(), l.text.end(), [](char c) { return hex_digit(c) >= 0; })) return;
  for (char& c : l.text) c = kHexDigits[hex_digit(c)];
  l.text.insert(0, digits - l.text.size(), '0');
}

Result<NodeIndex> ExpressionParser::add(Node node) {
  for (const NodeIndex child : node.children) {
    const Node& c = ast_.nodes[child];
    node.depth = std::max(node.depth, c.depth + 1);
    if (node.kind == NodeKind::kNot) continue;  // what is denied speaks of all events
    node.of_event |= c.of_event;
    node.of_link |= c.of_link;
  }
  if (node.depth > kDepthMax) return too_deep();
  ast_.nodes.push_back(std::move(node));
  return static_cast<NodeIndex>(ast_.nodes.size() - 1);
}

Result<NodeIndex> ExpressionParser::literal(Value value, std::size_t offset, std::string text) {
  Node node{.kind = NodeKind::kLiteral, .type = value.type, .offset = offset, .value = value};
  node.text = std::move(text);
  return add(std::move(node));
}

Result<NodeIndex> ExpressionParser::intrinsic(const IntrinsicInfo& info, std::size_t offset) {
  Node node{.kind = NodeKind::kIntrinsic, .type = info.type, .offset = offset};
  node.intrinsic = info.intrinsic;
  node.of_event = info.scoped.starts_with("event:");
  node.of_link = info.scoped.starts_with("link:");
  return mention(std::move(node));
}

Result<NodeIndex> ExpressionParser::mention(Node node) {
  Result<NodeIndex> index = add(std::move(node));
  if (!index) return index;
  const Node& n = ast_.nodes[*index];
  ast_.uses_name |= n.kind == NodeKind::kIntrinsic && n.intrinsic == Intrinsic::kName;
  const bool shown = n.kind == NodeKind::kAttribute || info_of(n.intrinsic).shown;
  if (shown && ast_.shown.size() < kShownMax && mentioned_.insert(source_of(ast_, *index)).second)
    ast_.shown.push_back(*index);
  return index;
}

}  // namespace tailgate::traceql
