// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "codec/decimal.h"
#include "codec/go_escape.h"
#include "traceql/token.h"

namespace tailgate::traceql {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// What may stand in the name of an attribute without quotes.
bool in_name(char c) {
  return c != '\0' && !is_space(c) && std::string_view("{}()=~!<>&|^,\"`").find(c) == std::string_view::npos;
}

struct Unit {
  std::string_view name;
  double ns;
};
// Longer names first: "ms" must not be read as "m".
constexpr std::array kUnits = {Unit{"ns", 1},     Unit{"us", 1e3},       Unit{"µs", 1e3},        Unit{"μs", 1e3},
                               Unit{"ms", 1e6},   Unit{"s", 1e9},        Unit{"m", 60e9},        Unit{"h", 3600e9},
                               Unit{"d", 864e11}, Unit{"w", 7 * 864e11}, Unit{"y", 365 * 864e11}};

// Longest first.
constexpr std::array<std::string_view, 32> kOperators = {
    "&>>", "&<<", "!>>", "!<<", "&&", "||", "!=", "=~", "!~", "<=", ">=", "<<", ">>", "&>", "&<", "&~",
    "!>",  "!<",  "{",   "}",   "(",  ")",  ",",  "|",  "=",  "<",  ">",  "!",  "+",  "-",  "*",  "/"};
constexpr std::string_view kOneChar = "%^~";

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Tokens run() {
    while (out_.read) {
      out_.read = skip_space();
      if (!out_.read || at_ == text_.size()) break;
      Token token;
      token.offset = at_;
      out_.read = next(token);
      if (!out_.read) break;
      token.text = text_.substr(token.offset, at_ - token.offset);
      out_.list.push_back(std::move(token));
    }
    Token& end = out_.list.emplace_back();
    end.offset = text_.size();
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  std::string_view rest() const { return text_.substr(at_); }
  tl::unexpected<Error> wrong(std::size_t offset, std::string_view what) const { return error_at(text_, offset, what); }

  Result<void> skip_space() {
    while (at_ < text_.size()) {
      if (is_space(text_[at_])) {
        ++at_;
      } else if (rest().starts_with("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (rest().starts_with("/*")) {
        const std::size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return wrong(at_, "expected '*/' after this '/*'");
        at_ = end + 2;
      } else {
        break;
      }
    }
    return {};
  }

  Result<void> next(Token& token) {
    const char c = text_[at_];
    if (c == '"' || c == '`') {
      token.kind = TokenKind::kString;
      return string(token.value);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number(token);
    if (c == '.') return attribute(token, Scope::kAny);
    if (is_letter(c)) return word(token);
    for (const std::string_view op : kOperators) {
      if (!rest().starts_with(op)) continue;
      token.kind = TokenKind::kOperator;
      at_ += op.size();
      return {};
    }
    if (kOneChar.find(c) != std::string_view::npos) {
      token.kind = TokenKind::kOperator;
      ++at_;
      return {};
    }
    if (c == '\'') return wrong(at_, "expected a string in double quotes or backquotes, got a single quote");
    if (c > ' ' && c <= '~') return wrong(at_, fmt::format("'{}' has no meaning in TraceQL", c));
    return wrong(at_,
                 fmt::format("byte 0x{:02x} has no meaning outside of a string or name", static_cast<std::uint8_t>(c)));
  }

  Result<void> word(Token& token) {
    static constexpr std::pair<std::string_view, Scope> kScopes[] = {
        {"span", Scope::kSpan}, {"resource", Scope::kResource}, {"event", Scope::kEvent},
        {"link", Scope::kLink}, {"parent", Scope::kParent},     {"instrumentation", Scope::kInstrumentation}};
    const std::size_t begin = at_;
    while (is_letter(peek()) || is_digit(peek())) ++at_;
    token.kind = TokenKind::kWord;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (peek() == '.') {
      for (const auto& [name, scope] : kScopes) {
        if (word == name) return attribute(token, scope);
      }
      std::size_t end = at_;
      while (end < text_.size() && in_name(text_[end])) ++end;
      const std::string_view name = text_.substr(begin, end - begin);
      return wrong(begin, fmt::format("expected a scope before the name of an attribute, as in 'span.{0}', "
                                      "'resource.{0}' or '.{0}', got '{0}'",
                                      name));
    }
    if (peek() == ':' && is_letter(peek(1))) {
      token.kind = TokenKind::kIntrinsic;
      ++at_;
      while (is_letter(peek()) || is_digit(peek())) ++at_;
    }
    return {};
  }

  // Behind the scope, at the dot. Parts in quotes may mix with parts without.
  Result<void> attribute(Token& token, Scope scope) {
    token.kind = TokenKind::kAttribute;
    token.scope = scope;
    const std::size_t begin = ++at_;
    while (true) {
      if (peek() == '"' || peek() == '`') {
        if (Result<void> read = string(token.value); !read) return read;
      } else if (in_name(peek())) {
        token.value += text_[at_++];
      } else {
        break;
      }
    }
    if (token.value.empty()) return wrong(begin, "expected the name of an attribute after the dot");
    return {};
  }

  Result<void> string(std::string& value) {
    const std::size_t begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == quote) {
        ++at_;
        return {};
      }
      if (c == '\\' && quote == '"') {
        const std::string what = read_go_escape(text_, at_, value);
        if (!what.empty()) return wrong(at_, what);
      } else {
        value += c;
        ++at_;
      }
    }
    return wrong(begin, fmt::format("expected {} at the end of this string, got the end of the query", quote));
  }

  Result<void> number(Token& token) {
    const std::size_t begin = at_;
    const double first = digits(token.kind);
    if (!unit()) {
      const std::string_view text = text_.substr(begin, at_ - begin);
      if (is_letter(peek()) || peek() == '.')
        return wrong(begin, "expected a number such as 500 or 1.5, or a duration such as 300ms or 1h30m");
      if (token.kind == TokenKind::kDouble) {
        token.number = first;
        if (!std::isfinite(first)) return wrong(begin, "expected a number that fits into 64 bits");
        return {};
      }
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token.integer);
      if (error != std::errc()) return wrong(begin, "expected a whole number of at most 9223372036854775807");
      return {};
    }
    at_ = begin;
    token.kind = TokenKind::kDuration;
    double total = 0;
    while (is_digit(peek()) || peek() == '.') {
      TokenKind ignored = TokenKind::kInt;
      const double count = digits(ignored);
      const std::optional<Unit> found = unit();
      if (!found) return wrong(at_, "expected a unit: ns, us, ms, s, m, h, d, w or y");
      at_ += found->name.size();
      total += count * found->ns;
    }
    if (is_letter(peek())) return wrong(at_, "expected a unit: ns, us, ms, s, m, h, d, w or y");
    if (!(total < 9.2e18)) return wrong(begin, "expected a duration of at most 292 years");
    token.integer = std::llround(total);
    return {};
  }

  // Digits with a fraction and, where no unit can be meant, an exponent.
  double digits(TokenKind& kind) {
    const std::size_t begin = at_;
    kind = TokenKind::kInt;
    while (is_digit(peek())) ++at_;
    if (peek() == '.' && is_digit(peek(1))) {
      kind = TokenKind::kDouble;
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if (peek() == 'e' || peek() == 'E') {
      const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
      if (is_digit(peek(1 + sign))) {
        kind = TokenKind::kDouble;
        at_ += 1 + sign;
        while (is_digit(peek())) ++at_;
      }
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + begin, text_.data() + at_, value);
    if (error == std::errc::result_out_of_range) {
      const std::string_view text = text_.substr(begin, at_ - begin);
      return text.find("e-") == std::string_view::npos && text.find("E-") == std::string_view::npos ? HUGE_VAL : 0;
    }
    return value;
  }

  std::optional<Unit> unit() const {
    for (const Unit& u : kUnits) {
      if (!rest().starts_with(u.name)) continue;
      const std::size_t behind = at_ + u.name.size();
      if (behind < text_.size() && is_letter(text_[behind])) continue;
      return u;
    }
    return std::nullopt;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  Tokens out_;
};

}  // namespace

tl::unexpected<Error> error_at(std::string_view text, std::size_t offset, std::string_view what) {
  std::size_t line = 1, column = 1;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<std::uint8_t>(c) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return fail(ErrorKind::kBadInput, fmt::format("line {}, column {}: {}", line, column, what));
}

Tokens lex(std::string_view text) { return Lexer(text).run(); }

}  // namespace tailgate::traceql
