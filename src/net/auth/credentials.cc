// SPDX-License-Identifier: Apache-2.0
#include "net/auth/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <functional>

#include "codec/base64.h"

namespace tailgate {
namespace {

constexpr std::size_t kTokenMin = 16;
constexpr std::size_t kTokenMax = 4096;
constexpr std::size_t kNameMax = 256;
constexpr std::size_t kBcryptSize = 60;  // "$2y$10$" and 53 characters
constexpr int kCostMax = 15;             // 2 s of CPU; each step doubles it
constexpr std::size_t kPasswordMax = 72;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// RFC 6750: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
bool is_token(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || std::string_view("-._~+/").find(c) != std::string_view::npos;
  });
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c != 0x7F; });
}

// Says why a hash cannot be checked here; null when it can.
const char* wrong_hash(std::string_view hash) {
  if (!hash.starts_with("$2y$") && !hash.starts_with("$2b$") && !hash.starts_with("$2a$")) {
    return "a bcrypt hash ($2y$ or $2b$), as `htpasswd -B` writes it";
  }
  const bool digits =
      hash.size() == kBcryptSize && std::isdigit(static_cast<unsigned char>(hash[4])) != 0 &&
      std::isdigit(static_cast<unsigned char>(hash[5])) != 0 && hash[6] == '$' &&
      std::all_of(hash.begin() + 7, hash.end(), [](char c) { return is_letter_or_digit(c) || c == '.' || c == '/'; });
  if (!digits) return "a whole bcrypt hash of 60 characters";
  const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
  if (cost < 4 || cost > kCostMax) return "a bcrypt cost from 4 to 15";
  return nullptr;
}

// One secret per line, except for comments. `parse` returns a problem, or null.
Result<std::vector<Secret>> parse_lines(std::string_view text,
                                        const std::function<const char*(std::string_view, int, Secret&)>& parse) {
  std::vector<Secret> out;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    Secret secret;
    if (const char* const want = parse(line, number, secret)) {
      return fail(ErrorKind::kConfig, fmt::format("line {}: expected {}", number, want));
    }
    out.push_back(std::move(secret));
  }
  if (out.empty()) return fail(ErrorKind::kConfig, "expected at least one line with a secret");
  return out;
}

}  // namespace

Result<std::vector<Secret>> parse_bearer_tokens(std::string_view text) {
  return parse_lines(text, [](std::string_view line, int number, Secret& out) -> const char* {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      out.name = fmt::format("token of line {}", number);
    } else {
      out.name = trimmed(line.substr(0, colon));
      if (!is_name(out.name)) return "a name of up to 256 characters without blanks before the colon";
      line = trimmed(line.substr(colon + 1));
    }
    if (line.size() < kTokenMin) return "a token of at least 16 characters";
    if (line.size() > kTokenMax) return "a token of at most 4096 characters";
    if (!is_token(line)) return "a token of letters, digits and -._~+/ with = at its end only";
    out.text = line;
    return nullptr;
  });
}

Result<std::vector<Secret>> parse_htpasswd(std::string_view text) {
  std::vector<std::string> names;
  Result<std::vector<Secret>> users = parse_lines(text, [&](std::string_view line, int, Secret& out) -> const char* {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return "USER:HASH";
    out.name = line.substr(0, colon);
    if (!is_name(out.name)) return "a user name of up to 256 characters without blanks";
    names.push_back(out.name);
    out.text = line.substr(colon + 1);
    return wrong_hash(out.text);
  });
  std::sort(names.begin(), names.end());
  if (users && std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return fail(ErrorKind::kConfig, fmt::format("expected each user once, '{}' is there again",
                                                *std::adjacent_find(names.begin(), names.end())));
  }
  return users;
}

Authorization parse_authorization(std::string_view header) {
  const std::size_t blank = header.find(' ');
  if (blank == std::string_view::npos) return {};
  const auto is = [&](std::string_view name) {
    return blank == name.size() && std::equal(name.begin(), name.end(), header.begin(), [](char a, char b) {
             return a == std::tolower(static_cast<unsigned char>(b));
           });
  };
  Authorization out;
  if (is("bearer")) out.scheme = AuthScheme::kBearer;
  if (is("basic")) out.scheme = AuthScheme::kBasic;
  out.credentials = trimmed(header.substr(blank));
  return out;
}

std::optional<UserPassword> parse_basic(std::string_view base64) {
  std::string text;
  if (!read_base64(base64, kBase64Strict, text) || text.find('\0') != std::string::npos) return std::nullopt;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || text.size() - colon - 1 > kPasswordMax) return std::nullopt;
  UserPassword out{text.substr(0, colon), text.substr(colon + 1)};
  return out;
}

}  // namespace tailgate
