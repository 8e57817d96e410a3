// SPDX-License-Identifier: Apache-2.0
#include "net/auth/credentials.h"

#include <catch2/catch.hpp>

#include "net/auth/password_checker.h"

using namespace tailgate;

namespace {

constexpr const char* kHash = "$2y$04$abcdefghijklmnopqrstuuZazDuc34jrqzt2fANrn92RUF/VSvllO";

std::string why(const Result<std::vector<Secret>>& parsed) { return parsed ? "" : parsed.error().text; }

}  // namespace

TEST_CASE("a file of bearer tokens has a token a line, with a name or without", "[net][auth]") {
  const auto tokens = parse_bearer_tokens(
      "# senders\nbilling: 0123456789abcdef\r\n\n  billing:fedcba9876543210==  \nABCdef-._~+/12345");
  REQUIRE(tokens);
  REQUIRE(tokens->size() == 3);
  CHECK(tokens->at(0).name == "billing");
  CHECK(tokens->at(0).text == "0123456789abcdef");
  CHECK(tokens->at(1).name == "billing");
  CHECK(tokens->at(1).text == "fedcba9876543210==");
  CHECK(tokens->at(2).name == "token of line 5");
}

TEST_CASE("a token file with a mistake says the line and never the secret", "[net][auth]") {
  const auto want = [](const std::string& line, const std::string& text) {
    const std::string message = why(parse_bearer_tokens("# first\n" + line));
    INFO(message);
    CHECK(message.find("line 2") == 0);
    CHECK(message.find(text) != std::string::npos);
    CHECK(message.find("secret") == std::string::npos);
  };
  want("secret", "at least 16");
  want("a: secretsecret", "at least 16");
  want("secretsecretsecret secret", "letters, digits");
  want("secret=secretsecret", "letters, digits");
  want("a b: secretsecretsecret", "name");
  want(": secretsecretsecret", "name");
  want(std::string(5000, 'x'), "at most 4096");
  CHECK(why(parse_bearer_tokens("# nothing\n\n")) == "expected at least one line with a secret");
}

TEST_CASE("an htpasswd file has users with bcrypt hashes", "[net][auth]") {
  const auto users = parse_htpasswd(std::string("alice:") + kHash + "\n# x\nbob:" + kHash + "\n");
  REQUIRE(users);
  CHECK(users->size() == 2);
  CHECK(users->at(1).name == "bob");
  CHECK(users->at(1).text == kHash);
  const std::string hash = kHash;
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"alice", "USER:HASH"},
      {"alice:$apr1$abc$secret", "bcrypt"},
      {"alice:{SHA}secret", "bcrypt"},
      {"alice:secret", "bcrypt"},
      {"alice:" + hash.substr(0, 59), "60 characters"},
      {"alice:" + hash + "x", "60 characters"},
      {"alice:$2y$16$" + hash.substr(7), "cost"},
      {"alice:$2y$03$" + hash.substr(7), "cost"},
      {"alice:$2y$0x$" + hash.substr(7), "60 characters"},
      {":" + hash, "user name"},
  };
  for (const auto& [line, text] : wrong) {
    const std::string message = why(parse_htpasswd(line));
    INFO(line << " -> " << message);
    CHECK(message.find(text) != std::string::npos);
    CHECK(message.find("secret") == std::string::npos);
  }
  CHECK(why(parse_htpasswd("a:" + hash + "\na:" + hash)).find("'a' is there again") != std::string::npos);
}

TEST_CASE("Authorization is read whatever the case of its scheme", "[net][auth]") {
  CHECK(parse_authorization("Bearer abc").scheme == AuthScheme::kBearer);
  CHECK(parse_authorization("bEARER   abc ").credentials == "abc");
  CHECK(parse_authorization("basic abc").scheme == AuthScheme::kBasic);
  for (const char* other : {"", "Bearer", "Bearerabc", "Digest abc", "abc", " Bearer abc"}) {
    CHECK(parse_authorization(other).scheme == AuthScheme::kOther);
  }
}

TEST_CASE("Basic credentials are canonical base64 of USER:PASSWORD", "[net][auth]") {
  const auto alice = parse_basic("YWxpY2U6b3BlbiBzZXNhbWU=");
  REQUIRE(alice);
  CHECK(alice->user == "alice");
  CHECK(alice->password == "open sesame");
  CHECK(parse_basic("YTo6Og==")->password == "::");
  for (const char* wrong : {"", "=", "====", "YWxpY2U", "YWxpY2U6b3BlbiBzZXNhbWV=",  // bits behind the end
                            "YWxpY2U=", "YTo*Og==", "YToAYg==", "Y To", "YTo6Og==\n"}) {
    INFO(wrong);
    CHECK_FALSE(parse_basic(wrong).has_value());
  }
  std::string triple;
  for (int i = 0; i < 25; ++i) triple += "eHh4";  // 75 x
  CHECK_FALSE(parse_basic("YTo6" + triple).has_value());
}

TEST_CASE("a user name that is not known costs as much as the costliest that is", "[net][auth]") {
  const std::string salted = "abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";
  const PasswordUsers users =
      password_users({{"a", "$2b$04$" + salted}, {"b", "$2b$10$" + salted}, {"c", "$2y$09$" + salted}});
  CHECK(users.hash_for("a") == "$2b$04$" + salted);
  CHECK(users.hash_for("b") == "$2b$10$" + salted);
  CHECK(users.hash_for("nobody") == "$2b$10$" + salted);
  CHECK(users.hash_for("") == "$2b$10$" + salted);
}
