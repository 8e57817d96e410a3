// SPDX-License-Identifier: Apache-2.0
// Splits a condition into tokens. Threads: none; a token's view refers to the condition's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate::condition {

enum class TokenKind : std::uint8_t {
  kEnd,
  kLower,  // name, http_method; also nil
  kUpper,  // IsMatch, SPAN_KIND_SERVER
  kAnd,
  kOr,
  kNot,
  kTrue,
  kFalse,
  kInt,
  kDouble,
  kDuration,  // 2s, 1h30m; only where asked for
  kBytes,     // 0x0102
  kString,
  kCompare,  // == != < <= > >=
  kPlusMinus,
  kTimesDivide,
  kAssign,  // =
  kPunct,   // ( ) [ ] { } , . :
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t column = 1;
  std::string_view text;   // as written
  std::string value = {};  // of kString and kBytes: what it stands for
};

// `durations`: a number directly followed by a unit is one token. Fails on a character, string or escape that is none.
Result<std::vector<Token>> lex_condition(std::string_view text, bool durations);

}  // namespace tailgate::condition
