#include "export/s3_credentials.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "export/s3_reply.h"

namespace tailgate {
namespace {

// Of an hour at least that they are good for.
constexpr Duration kFresh = std::chrono::minutes(10);
constexpr Duration kTimeout = std::chrono::seconds(10);

// The text of the first member `name` of a flat JSON object; keys and tokens have nothing to escape but '/'.
std::string json_text(std::string_view json, std::string_view name) {
  const std::size_t at = json.find(fmt::format("\"{}\"", name));
  if (at == std::string_view::npos) return "";
  const std::size_t open = json.find('"', json.find(':', at + name.size() + 2));
  if (open == std::string_view::npos) return "";
  const std::size_t close = json.find('"', open + 1);
  if (close == std::string_view::npos) return "";
  std::string out(json.substr(open + 1, close - open - 1));
  std::erase(out, '\\');
  return out;
}

}  // namespace

AwsCredentials read_credentials_reply(const std::string& body, bool web_identity) {
  if (web_identity)
    return {xml_text(body, "AccessKeyId"), xml_text(body, "SecretAccessKey"), xml_text(body, "SessionToken")};
  return {json_text(body, "AccessKeyId"), json_text(body, "SecretAccessKey"), json_text(body, "Token")};
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
  }
  std::string path = options_.url.path;
  HttpHeaders headers = {{"Accept", "*/*"}};
  if (options_.web_identity) {
    path += "&WebIdentityToken=" + uri_encoded(token, false);
  } else if (!token.empty()) {
    headers.emplace_back("Authorization", token);
  }
  client_.send("GET", std::move(path), std::move(headers), nullptr, kTimeout,
               [this](const Result<HttpReply>& reply) { answered(reply); });
}

void S3Credentials::answered(const Result<HttpReply>& reply) {
  AwsCredentials got;
  if (reply && reply->status == 200) got = read_credentials_reply(reply->body, options_.web_identity);
  const bool good = !got.access_key.empty() && !got.secret_key.empty();
  if (good) {
    known_ = std::move(got);
    fresh_until_ = asked_ + kFresh;
  }
  // Those at hand may be good for a while yet; the store knows.
  Result<AwsCredentials> out = known_;
  if (known_.access_key.empty()) {
    const std::string why = !reply ? reply.error().text
                                   : fmt::format("{} answers with status {} and no keys: {}", options_.url.authority(),
                                                 reply->status, xml_text(reply->body, "Code"));
    out = fail(ErrorKind::kUnavailable, "no credentials: " + why);
  }
  for (const Take& take : std::exchange(waiting_, {})) take(out);
}

}  // namespace tailgate
