// SPDX-License-Identifier: Apache-2.0
#include "export/s3/credentials.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fstream>
#include <iterator>
#include <utility>

#include "codec/percent.h"
#include "export/s3/reply.h"

namespace tailgate {
namespace {

// Keys are good for an hour at least; they are asked for again this long before their end.
constexpr Duration kFresh = std::chrono::minutes(10);
constexpr Duration kCredentialsTimeout = std::chrono::seconds(10);

// "" when there is no such text.
std::string json_text(const boost::json::value& object, std::string_view name) {
  const boost::json::object* const members = object.if_object();
  const boost::json::value* const member = members != nullptr ? members->if_contains(name) : nullptr;
  const boost::json::string* const text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : "";
}

}  // namespace

AwsCredentials read_credentials_reply(const std::string& body, bool web_identity) {
  if (web_identity)
    return {xml_text(body, "AccessKeyId"), xml_text(body, "SecretAccessKey"), xml_text(body, "SessionToken")};
  boost::system::error_code bad;
  const boost::json::value object = boost::json::parse(body, bad);
  if (bad) return {};
  return {json_text(object, "AccessKeyId"), json_text(object, "SecretAccessKey"), json_text(object, "Token")};
}

S3Credentials::S3Credentials(boost::asio::io_context& io, S3CredentialsOptions options)
    : options_(std::move(options)), client_(io, options_.url, options_.client), known_(options_.given) {}

S3Credentials::~S3Credentials() = default;

void S3Credentials::with(TimePoint now, Take take) {
  if (!options_.given.access_key.empty() || now < fresh_until_) return take(known_);
  waiting_.push_back(std::move(take));
  if (waiting_.size() > 1) return;
  asked_ = now;
  ask();
}

void S3Credentials::ask() {
  std::string token = options_.token;
  if (!options_.token_file.empty()) {
    std::ifstream in(options_.token_file, std::ios::binary);
    token.assign(std::istreambuf_iterator<char>(in), {});
    token.erase(token.find_last_not_of(" \t\r\n") + 1);
    if (token.empty() || !is_printable(token, true)) {
      return answered(fail(ErrorKind::kUnavailable,
                           fmt::format("expected a token in {}, of one line, printable ASCII", options_.token_file)));
    }
  }
  const auto take = [this](const Result<HttpReply>& reply) { answered(reply); };
  HttpHeaders headers = {{"Accept", "*/*"}};
  if (!options_.web_identity) {
    if (!token.empty()) headers.emplace_back("Authorization", token);
    return client_.send("GET", options_.url.path, std::move(headers), nullptr, kCredentialsTimeout, take);
  }
  const std::size_t query = options_.url.path.find('?');
  std::string form = query == std::string::npos ? "" : options_.url.path.substr(query + 1);
  form += "&WebIdentityToken=" + percent_encoded(token, PercentKeep::kUnreserved);
  headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  client_.send("POST", options_.url.path.substr(0, query), std::move(headers),
               std::make_shared<const std::string>(std::move(form)), kCredentialsTimeout, take);
}

void S3Credentials::answered(const Result<HttpReply>& reply) {
  AwsCredentials got;
  if (reply && reply->status == 200) got = read_credentials_reply(reply->body, options_.web_identity);
  const bool there = !got.access_key.empty() && !got.secret_key.empty();
  const bool good =
      there && is_printable(got.access_key) && is_printable(got.secret_key) && is_printable(got.session_token);
  if (good) {
    known_ = std::move(got);
    fresh_until_ = asked_ + kFresh;
  }
  // The keys that we have may still be good for a while; the store knows.
  Result<AwsCredentials> out = known_;
  if (known_.access_key.empty()) {
    const std::string why = !reply  ? reply.error().text
                            : there ? fmt::format("those of {} are not printable ASCII", options_.url.authority())
                                    : fmt::format("{} answers with status {} and no keys: {}", options_.url.authority(),
                                                  reply->status, xml_text(reply->body, "Code"));
    out = fail(ErrorKind::kUnavailable, "no credentials: " + why);
  }
  for (const Take& take : std::exchange(waiting_, {})) take(out);
}

}  // namespace tailgate
