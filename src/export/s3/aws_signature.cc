#include "export/s3/aws_signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>

#include "base/invariant.h"

namespace tailgate {
namespace {

using Digest = std::array<unsigned char, 32>;

std::string hex(const Digest& digest) {
  std::string out;
  for (const unsigned char byte : digest) out += fmt::format("{:02x}", byte);
  return out;
}

Digest hmac(ByteView key, ByteView text) {
  Digest out;
  unsigned size = 0;
  INVARIANT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                 reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size) != nullptr);
  return out;
}

ByteView bytes_of(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

// "20130524T000000Z"
std::string basic_time(std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::int64_t>(unix_ns / 1'000'000'000);
  const std::chrono::year_month_day date(std::chrono::sys_days(std::chrono::days(seconds / 86400)));
  const auto of_day = seconds % 86400;
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), of_day / 3600,
                     of_day / 60 % 60, of_day % 60);
}

}  // namespace

bool is_printable(std::string_view secret, bool blanks) {
  return std::all_of(secret.begin(), secret.end(),
                     [&](char c) { return (c > ' ' && c < 127) || (c == ' ' && blanks); });
}

std::string sha256_hex(ByteView bytes) {
  Digest out;
  unsigned size = 0;
  INVARIANT(EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr) == 1);
  return hex(out);
}

std::string sha256_hex(const std::vector<std::string>& pieces) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Digest out;
  unsigned size = 0;
  INVARIANT(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const std::string& piece : pieces) INVARIANT(EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1);
  INVARIANT(EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1);
  return hex(out);
}

std::string uri_encoded(std::string_view text, bool slash) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (c == '/' && slash);
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

HttpHeaders aws_headers(const AwsRequest& request, const AwsCredentials& credentials, std::string_view region,
                        std::uint64_t now_unix_ns) {
  const std::string time = basic_time(now_unix_ns), date = time.substr(0, 8);
  HttpHeaders out = {{"x-amz-content-sha256", sha256_hex(request.body)}, {"x-amz-date", time}};
  if (!credentials.session_token.empty()) out.emplace_back("x-amz-security-token", credentials.session_token);

  std::string headers = fmt::format("host:{}\n", request.host), names = "host";
  for (const auto& [name, value] : out) {  // in the order of their names
    headers += fmt::format("{}:{}\n", name, value);
    names += ";" + name;
  }
  const std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path, request.query, headers, names, out[0].second);
  const std::string scope = fmt::format("{}/{}/s3/aws4_request", date, region);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, scope, sha256_hex(canonical));
  Digest key = hmac("AWS4" + credentials.secret_key, date);
  for (const std::string_view part : {region, std::string_view("s3"), std::string_view("aws4_request")})
    key = hmac(bytes_of(key), part);
  out.emplace_back("Authorization",
                   fmt::format("AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                               credentials.access_key, scope, names, hex(hmac(bytes_of(key), to_sign))));
  return out;
}

}  // namespace tailgate
