// SPDX-License-Identifier: Apache-2.0
#include "cluster/peer_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "export/export_config.h"
#include "receive/otlp.h"

namespace tailgate {
namespace {

constexpr std::size_t kWaitingMax = 1'000;
constexpr std::size_t kAnswerMax = 16 << 20;  // bytes: a page's, of which one about stored traces is the longest

}  // namespace

Result<std::unique_ptr<PeerClient>> PeerClient::make(boost::asio::io_context& io, HostLookup& names,
                                                     const std::string& endpoint, const ClusterConfig& config) {
  const TlsConfig tls = read_tls(config.node);
  const std::string scheme = tls.insecure ? "http" : "https";
  Result<HttpUrl> url = parse_http_url(fmt::format("{}://{}{}", scheme, endpoint, kClusterMessages));
  if (!url) return tl::unexpected(url.error());
  HttpClientOptions options;
  options.ca_pem = tls.ca_pem;
  options.cert_pem = tls.cert_pem;
  options.key_pem = tls.key_pem;
  options.insecure_skip_verify = tls.insecure_skip_verify;
  options.server_name = tls.server_name_override;
  options.names = &names;
  options.response_bytes_max = kAnswerMax;
  HttpHeaders headers = read_headers(config.node);
  const Authorization authorization = read_bearer_token(config.node, headers);
  headers.emplace_back("content-type", "application/x-protobuf");
  return std::unique_ptr<PeerClient>(
      new PeerClient(io, std::move(*url), std::move(options), std::move(headers), authorization));
}

PeerClient::PeerClient(boost::asio::io_context& io, HttpUrl url, HttpClientOptions options, HttpHeaders headers,
                       Authorization authorization)
    : headers_(std::move(headers)),
      authorization_(std::move(authorization)),
      client_(std::make_unique<HttpClient>(io, std::move(url), std::move(options))) {}

void PeerClient::ask(std::string message, Duration timeout, Answer answer) {
  if (waiting_.size() == kWaitingMax)
    return answer(fail(ErrorKind::kUnavailable, "too many questions wait for this member"));
  waiting_.push_back(
      {std::make_shared<const std::string>(std::move(message)), monotonic_now() + timeout, std::move(answer)});
  if (!busy_) next();
}

void PeerClient::next() {
  while (!waiting_.empty()) {
    Question question = std::move(waiting_.front());
    waiting_.pop_front();
    const Duration left = question.until - monotonic_now();
    if (left <= Duration::zero()) {
      question.answer(fail(ErrorKind::kUnavailable, "no answer in time"));
      continue;
    }
    busy_ = true;
    HttpHeaders headers = headers_;
    if (!authorization_.empty()) headers.emplace_back("authorization", authorization_.value());
    client_->post(std::move(headers), question.body, left,
                  [this, answer = std::move(question.answer)](const Result<HttpReply>& reply) {
                    busy_ = false;
                    answer(read(reply));
                    if (!busy_) next();
                  });
    return;
  }
}

Result<ClusterMessage> PeerClient::read(const Result<HttpReply>& reply) {
  if (!reply) return tl::unexpected(reply.error());
  if (reply->status == 401 || reply->status == 403) authorization_.refused(monotonic_now());
  if (reply->status != 200)
    return fail(ErrorKind::kUnavailable, fmt::format("HTTP status {}: {}", reply->status, reply->body.substr(0, 200)));
  return read_message(reply->body);
}

}  // namespace tailgate
