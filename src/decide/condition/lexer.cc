// SPDX-License-Identifier: Apache-2.0
#include "decide/condition/lexer.h"

#include <fmt/format.h>

#include "codec/decimal.h"
#include "codec/go_escape.h"
#include "codec/hex.h"
#include "decide/condition/ast.h"

namespace tailgate::condition {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_word(char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '_'; }

class Lexer {
 public:
  Lexer(std::string_view text, bool durations) : text_(text), durations_(durations) {}

  Result<std::vector<Token>> run() {
    while (true) {
      while (at_ < text_.size() && (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) ++at_;
      Token token;
      token.column = column();
      if (at_ == text_.size()) {
        tokens_.push_back(std::move(token));
        return std::move(tokens_);
      }
      const std::size_t begin = at_;
      if (const Result<void> read = next(token); !read) return tl::unexpected(read.error());
      token.text = text_.substr(begin, at_ - begin);
      tokens_.push_back(std::move(token));
    }
  }

 private:
  std::uint32_t column() const { return static_cast<std::uint32_t>(at_ + 1); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  Result<void> next(Token& token) {
    const char c = text_[at_];
    if (c == '"') return string(token);
    if (c == '0' && peek(1) == 'x') return bytes(token);
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number(token);
    if (is_lower(c) || is_upper(c)) return word(token);
    const char d = peek(1);
    if ((c == '=' || c == '!' || c == '<' || c == '>') && d == '=') return take(token, TokenKind::kCompare, 2);
    if (c == '<' || c == '>') return take(token, TokenKind::kCompare, 1);
    if (c == '=') return take(token, TokenKind::kAssign, 1);
    if (c == '+' || c == '-') return take(token, TokenKind::kPlusMinus, 1);
    if (c == '*' || c == '/') return take(token, TokenKind::kTimesDivide, 1);
    if (std::string_view("()[]{},.:").find(c) != std::string_view::npos) return take(token, TokenKind::kPunct, 1);
    if (c == '\'') return condition_error(column(), "strings stand in double quotes");
    if (c == '&' || c == '|') return condition_error(column(), "expected `and` / `or` in words");
    if (c == '!') return condition_error(column(), "expected `not` in words, or `!=`");
    if (c >= ' ' && c <= '~') return condition_error(column(), fmt::format("'{}' has no meaning here", c));
    return condition_error(column(), fmt::format("byte 0x{:02x} has no meaning here", static_cast<std::uint8_t>(c)));
  }

  Result<void> take(Token& token, TokenKind kind, std::size_t size) {
    token.kind = kind;
    at_ += size;
    return {};
  }

  Result<void> word(Token& token) {
    const std::size_t begin = at_;
    while (is_word(peek())) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    token.kind = is_upper(word[0]) ? TokenKind::kUpper
                 : word == "and"   ? TokenKind::kAnd
                 : word == "or"    ? TokenKind::kOr
                 : word == "not"   ? TokenKind::kNot
                 : word == "true"  ? TokenKind::kTrue
                 : word == "false" ? TokenKind::kFalse
                                   : TokenKind::kLower;
    return {};
  }

  Result<void> number(Token& token) {
    const std::uint32_t start = column();
    token.kind = TokenKind::kInt;
    while (is_digit(peek())) ++at_;
    if (peek() == '.' && is_digit(peek(1))) {
      token.kind = TokenKind::kDouble;
      ++at_;
      while (is_digit(peek())) ++at_;
      if (peek() == 'e' || peek() == 'E') {
        const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
        if (is_digit(peek(1 + sign))) {
          at_ += 2 + sign;
          while (is_digit(peek())) ++at_;
        }
      }
    }
    if (durations_ && (is_lower(peek()) || peek() == '\xc2')) {  // C2 B5: the sign of micro
      token.kind = TokenKind::kDuration;
      while (is_lower(peek()) || is_digit(peek()) || peek() == '.' || peek() == '\xc2' || peek() == '\xb5') ++at_;
      return {};
    }
    if (is_word(peek())) {
      return condition_error(start, durations_ ? "expected a number or a duration such as 300ms"
                                               : "expected a number such as 12, -3 or 1.5e3, or \"...\" for a string");
    }
    return {};
  }

  Result<void> bytes(Token& token) {
    const std::uint32_t start = column();
    token.kind = TokenKind::kBytes;
    at_ += 2;
    const std::size_t begin = at_;
    while (hex_digit(peek()) >= 0) ++at_;
    if (at_ == begin || (at_ - begin) % 2 != 0 || is_word(peek())) {
      return condition_error(start, "expected bytes as 0x and an even number of hexadecimal digits");
    }
    token.value.resize((at_ - begin) / 2);
    read_hex(text_.substr(begin, at_ - begin), token.value.data());
    return {};
  }

  Result<void> string(Token& token) {
    const std::uint32_t start = column();
    token.kind = TokenKind::kString;
    ++at_;
    while (true) {
      if (at_ == text_.size()) return condition_error(start, "the string has no closing '\"'");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return {};
      }
      if (c != '\\') {
        token.value += c;
        ++at_;
      } else if (Result<void> read = escape(token.value); !read) {
        return read;
      }
    }
  }

  Result<void> escape(std::string& out) {
    const std::string wrong = read_go_escape(text_, at_, out);
    if (!wrong.empty()) return condition_error(column(), wrong);
    return {};
  }

  const std::string_view text_;
  const bool durations_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

tl::unexpected<Error> condition_error(std::uint32_t column, std::string what) {
  return fail(ErrorKind::kConfig, fmt::format("column {}: {}", column, what));
}

Result<std::vector<Token>> lex_condition(std::string_view text, bool durations) { return Lexer(text, durations).run(); }

}  // namespace tailgate::condition
