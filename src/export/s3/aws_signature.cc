// SPDX-License-Identifier: Apache-2.0
#include "export/s3/aws_signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/invariant.h"
#include "codec/calendar.h"
#include "codec/hex.h"

namespace tailgate {
namespace {

using Digest = std::array<unsigned char, 32>;

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
  const UtcTime t = utc_time(static_cast<std::int64_t>(unix_ns / 1'000'000'000));
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", t.year, t.month, t.day, t.hour, t.minute, t.second);
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
  return to_hex(bytes_of(out));
}

std::string sha256_hex(const std::vector<std::string>& pieces) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Digest out;
  unsigned size = 0;
  INVARIANT(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const std::string& piece : pieces) INVARIANT(EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1);
  INVARIANT(EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1);
  return to_hex(bytes_of(out));
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
                               credentials.access_key, scope, names, to_hex(bytes_of(hmac(bytes_of(key), to_sign)))));
  return out;
}

}  // namespace tailgate
