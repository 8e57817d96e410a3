// SPDX-License-Identifier: Apache-2.0
// The files that say who may send, and the header that says who sends, as pure functions over text.
//
//   bearer tokens   NAME: TOKEN   or   TOKEN     a line; '#' begins a comment line. Names may repeat: an old and a new
//                                                token of one sender while it changes them
//   htpasswd        USER:$2y$10$...              bcrypt only
//
// No error message contains a secret. Sources: RFC 6750 section 2.1, RFC 7617, crypt(5). Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tailgate {

struct Secret {
  std::string name;  // who it belongs to
  std::string text;  // a token, or the hash of a password
};

// Errors: kConfig, with the number of the line.
Result<std::vector<Secret>> parse_bearer_tokens(std::string_view text);
Result<std::vector<Secret>> parse_htpasswd(std::string_view text);

enum class AuthScheme { kBearer, kBasic, kOther };
struct Authorization {
  AuthScheme scheme = AuthScheme::kOther;
  std::string_view credentials;  // part of the header
};
Authorization parse_authorization(std::string_view header);

struct UserPassword {
  std::string user, password;
};
// The user and password in the credentials of Basic. Empty when they are not canonical base64 of USER:PASSWORD, contain
// a NUL, or are longer than bcrypt reads (72 bytes); otherwise many texts would stand for one password.
std::optional<UserPassword> parse_basic(std::string_view base64);

}  // namespace tailgate
