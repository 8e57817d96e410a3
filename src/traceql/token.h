// SPDX-License-Identifier: Apache-2.0
// Splits a TraceQL query into tokens. A token's views refer to the query's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate::traceql {

inline constexpr std::size_t kQueryBytesMax = 128 * 1024;

enum class Scope : std::uint8_t { kAny, kSpan, kResource, kEvent, kLink, kInstrumentation, kParent };

enum class TokenKind : std::uint8_t {
  kEnd,
  kWord,       // name, true, count
  kIntrinsic,  // span:name
  kAttribute,  // span.x, .x: `scope`, and `value` is the name without quotes
  kString,     // `value` is what it stands for
  kInt,        // `integer`
  kDouble,     // `number`
  kDuration,   // `integer`, in nanoseconds
  kOperator,   // also brackets and commas
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Scope scope = Scope::kAny;
  std::size_t offset = 0;
  std::string_view text = {};  // as written
  std::string value = {};
  std::int64_t integer = 0;
  double number = 0;

  bool is(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
  bool is_word(std::string_view word) const { return kind == TokenKind::kWord && text == word; }
};

struct Tokens {
  std::vector<Token> list;  // those before the error, and kEnd
  Result<void> read = {};
};
Tokens lex(std::string_view text);

// "line 1, column 10: what". Columns count characters, from 1.
tl::unexpected<Error> error_at(std::string_view text, std::size_t offset, std::string_view what);

}  // namespace tailgate::traceql
