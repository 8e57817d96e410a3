// SPDX-License-Identifier: Apache-2.0
// Credentials: files that an operator may have from elsewhere, and the header that strangers write. What is taken has
// the form it must have, no message says what a secret is, and Basic's text is the only one for what it says.
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/auth/credentials.h"

namespace {

std::string base64(std::string_view in) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < in.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < in.size() ? static_cast<std::uint8_t>(in[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out.push_back(i + k <= in.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto tokens = parse_bearer_tokens(text); tokens) {
    for (const Secret& token : *tokens) {
      if (token.text.size() < 16 || token.name.empty() || token.text.find_first_of(" :\r\n") != std::string::npos) {
        __builtin_trap();
      }
    }
  } else if (!tokens.error().text.starts_with("line ") && !tokens.error().text.starts_with("expected ")) {
    __builtin_trap();
  }
  if (const auto users = parse_htpasswd(text); users) {
    for (const Secret& user : *users) {
      if (user.text.size() != 60 || user.name.empty()) __builtin_trap();
    }
  }
  const Authorization given = parse_authorization(text);
  for (const std::string_view credentials : {text, given.credentials}) {
    if (const auto basic = parse_basic(credentials); basic) {
      if (base64(basic->user + ":" + basic->password) != credentials || basic->password.size() > 72) __builtin_trap();
    }
  }
  return 0;
}
