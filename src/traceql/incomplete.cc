// SPDX-License-Identifier: Apache-2.0
// Grafana asks for the values of a tag with the query that is being typed: other conditions, some without a value yet.
#include <algorithm>

#include "traceql/ast.h"
#include "traceql/query.h"

namespace tailgate::traceql {
namespace {

bool is_comparison(const Token& token) {
  static constexpr std::string_view kComparisons[] = {"=", "!=", "<", "<=", ">", ">=", "=~", "!~"};
  return std::any_of(std::begin(kComparisons), std::end(kComparisons),
                     [&](std::string_view op) { return token.is(op); });
}

bool is_field(const Token& token) {
  return token.kind == TokenKind::kAttribute || token.kind == TokenKind::kIntrinsic ||
         (token.kind == TokenKind::kWord && find_intrinsic(token.text) != nullptr);
}

// Where a condition is over.
bool is_border(const Token& token) {
  return token.kind == TokenKind::kEnd || token.is("&&") || token.is("||") || token.is("}") || token.is(")");
}

// The query with `true` for every condition that is not complete, and closed.
std::string completed(std::string_view text) {
  const std::vector<Token> tokens = lex(text).list;
  std::string out;
  std::string open;  // what closes the brackets that are open, the last one first
  bool operand_due = true;
  const auto add = [&](std::string_view part) {
    out += part;
    out += ' ';
  };
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    const auto at = [&](std::size_t ahead) -> const Token& { return tokens[std::min(i + ahead, tokens.size() - 1)]; };
    if (is_border(token)) {
      if (operand_due && !open.empty() && !(token.is("}") && at(0).offset > 0 && tokens[i - 1].is("{"))) add("true");
      if (token.kind == TokenKind::kEnd) break;
      operand_due = token.is("&&") || token.is("||");
      if (!operand_due && !open.empty()) open.erase(open.begin());
      add(token.text);
      continue;
    }
    if (token.is("{") || token.is("(")) {
      if (open.size() > kDepthMax) return "";  // the parser would refuse it
      open.insert(0, token.is("{") ? "}" : ")");
      operand_due = true;
      add(token.text);
      continue;
    }
    if (operand_due && is_field(token) && (is_border(at(1)) || (is_comparison(at(1)) && is_border(at(2))))) {
      add("true");
      i += is_border(at(1)) ? 0 : 1;
    } else {
      add(token.text);
    }
    operand_due = token.is("!") || token.is("-");
  }
  return out + open;
}

}  // namespace

std::optional<Query> filter_of_incomplete(std::string_view text) {
  if (text.size() > kQueryBytesMax) return std::nullopt;
  Result<Query> query = parse_query(text);
  if (!query) query = parse_query(completed(text));
  if (!query) return std::nullopt;
  const Ast& ast = *query->ast_;
  const std::vector<Stage>& stages = ast.pipelines[ast.root];
  const bool one =
      stages.size() == 1 && stages[0].kind == StageKind::kSet && ast.sets[stages[0].set].kind == SetKind::kFilter;
  if (!one) return std::nullopt;
  return *query;
}

}  // namespace tailgate::traceql
