// otlphttp: OTLP over HTTP/1.1. One POST per batch to {endpoint}/v1/traces, its body the kept bytes one after the
// other.
//     otlphttp/tempo: {endpoint: http://tempo:4318, headers: {x-scope: prod}, timeout: 30s, compression: gzip}
// 429, 502, 503 and 504 are tried again, with Retry-After; every other status but 2xx is final (OTLP specification,
// "OTLP/HTTP Response"). No answer is tried again.
//
// Threads: the runner's thread runs the io_context; wake() posts to it.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/invariant.h"
#include "export/export_config.h"
#include "export/otlp_response.h"
#include "export/registry.h"
#include "export/retry_after.h"
#include "net/http_client.h"
#include "net/listen.h"
#include "wire/otlp_json_write.h"

namespace tailgate {
namespace {

struct HttpExporterOptions {
  HttpUrl url;
  HttpClientOptions client;
  HttpHeaders headers;
  bool gzip = true;
  bool json = false;
  Duration timeout = std::chrono::seconds(30);
};

std::string gzip(const std::string& plain) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // window bits, with a gzip header
  INVARIANT(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  INVARIANT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

SendResult result_of(const Result<HttpReply>& reply) {
  if (!reply) {
    const bool late = reply.error().text.ends_with(" in time");  // HttpClient has one kind for all of these
    return SendResult::retry(late ? FailReason::kTimeout : FailReason::kUnavailable, reply.error().text);
  }
  const bool protobuf = reply->content_type.starts_with("application/x-protobuf");
  if (reply->status >= 200 && reply->status < 300) {
    if (!protobuf || !reply->content_encoding.empty()) return SendResult::done();
    PartialSuccess partial = read_partial_success(reply->body);
    SendResult result = SendResult::done(partial.rejected_spans);
    result.detail = std::move(partial.message);
    return result;
  }
  std::string text = fmt::format("HTTP status {}", reply->status);
  Duration after = parse_retry_after(reply->retry_after, wall_now_ns()).value_or(Duration::zero());
  if (protobuf && reply->content_encoding.empty()) {
    const StatusDetails details = read_status_details(reply->body);
    if (!details.message.empty()) text += ": " + details.message;
    if (details.retry_delay) after = std::max(after, *details.retry_delay);
  }
  switch (reply->status) {
    case 429:
      return SendResult::retry(FailReason::kRefused, std::move(text), after);
    case 502:
    case 503:
    case 504:
      return SendResult::retry(FailReason::kUnavailable, std::move(text), after);
    case 413:
      return SendResult::permanent(FailReason::kRefused, std::move(text));
    default:
      return SendResult::permanent(FailReason::kPermanent, std::move(text));
  }
}

class HttpExporter final : public Exporter {
 public:
  explicit HttpExporter(HttpExporterOptions options) : options_(std::move(options)), work_(io_.get_executor()) {
    options_.headers.emplace_back("Content-Type", options_.json ? "application/json" : "application/x-protobuf");
    if (options_.gzip) options_.headers.emplace_back("Content-Encoding", "gzip");
  }

  Result<void> start() override { return {}; }

  void send(BatchPtr batch) override {
    std::string body;
    body.reserve(batch->bytes);
    for (const KeptTracePtr& t : batch->traces) body += t->otlp;
    if (options_.json) {
      std::string text;
      append_otlp_json(text, body);
      body = std::move(text);
    }
    if (options_.gzip) body = gzip(body);
    // One connection per call in flight, the most recently used first, so that few stay open when little is sent.
    if (idle_.empty()) {
      clients_.push_back(std::make_unique<HttpClient>(io_, options_.url, options_.client));
      idle_.push_back(clients_.back().get());
    }
    HttpClient* client = idle_.back();
    idle_.pop_back();
    client->post(options_.headers, std::make_shared<const std::string>(std::move(body)), options_.timeout,
                 [this, client, id = batch->id](Result<HttpReply> reply) {
                   idle_.push_back(client);
                   done_.push_back({id, result_of(reply)});
                 });
  }

  void wait(Duration timeout, std::vector<Completion>& done) override {
    woken_ = false;
    const auto until = std::chrono::steady_clock::duration(timeout);
    TimePoint now = monotonic_now();
    const TimePoint end = now + until;
    while (done_.empty() && !woken_ && now < end) {
      io_.run_one_for(end - now);
      now = monotonic_now();
    }
    io_.poll();
    for (Completion& c : done_) done.push_back(std::move(c));
    done_.clear();
  }

  void wake() override {
    boost::asio::post(io_, [this] { woken_ = true; });
  }

  void cancel() override {
    for (const auto& client : clients_) client->cancel();
  }

 private:
  HttpExporterOptions options_;
  std::vector<Completion> done_;
  std::vector<HttpClient*> idle_;
  bool woken_ = false;  // set by a handler of io_, so by the runner's thread
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<HttpClient>> clients_;  // go before io_
};

void read_url(const ConfigNode& node, HttpExporterOptions& options) {
  const std::string own = node.text("traces_endpoint");
  std::string base = node.text("endpoint");
  while (base.ends_with('/')) base.pop_back();
  const std::string_view key = own.empty() ? "endpoint" : "traces_endpoint";
  if (own.empty() && base.empty()) {
    node.error("endpoint", "want http://host:port, https://host:port or unix:///path");
    return;
  }
  std::string wanted = own;
  if (own.empty()) wanted = base.starts_with(kUnixScheme) ? base : base + "/v1/traces";
  const Result<HttpUrl> url = parse_http_url(wanted);
  if (url) {
    options.url = *url;
    if (!url->socket_path.empty()) options.url.path = "/v1/traces";
  } else {
    node.error(key, fmt::format("want http://host:port, https://host:port or unix:///path ({})", url.error().text));
  }
}

}  // namespace

ExporterParts read_otlp_http_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  HttpExporterOptions options;
  read_url(node, options);
  const TlsConfig tls = read_tls(node);
  options.client.ca_file = tls.ca_file;
  options.client.insecure_skip_verify = tls.insecure_skip_verify;
  options.client.server_name = tls.server_name_override;
  if (!tls.ca_pem.empty() && tls.ca_file.empty()) node.child("tls").error("ca_pem", "want ca_file instead");
  if (!tls.cert_pem.empty())
    node.child("tls").error("want no client certificate: otlphttp cannot show one yet, otlp can");
  options.headers = read_headers(node);
  for (const auto& [name, value] : options.headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    if (lower == "content-length" || lower == "content-type" || lower == "content-encoding" ||
        lower == "transfer-encoding" || lower == "connection" || lower == "host") {
      node.child("headers").error(fmt::format("want headers that are not set here, not '{}'", name));
    }
  }
  options.headers.emplace_back("User-Agent", defaults.user_agent);
  options.gzip = read_gzip(node);
  options.json = node.choice("encoding", "proto", {"proto", "json"}) == "json";
  options.timeout = node.duration("timeout", options.timeout, std::chrono::milliseconds(1));
  for (const char* key : {"auth", "proxy_url"}) {
    if (!node.child(key).is_null()) node.child(key).error("want no such key, it is not supported here");
  }
  node.without_effect({"metrics_endpoint", "logs_endpoint", "profiles_endpoint", "compression_params",
                       "read_buffer_size", "write_buffer_size", "max_idle_conns", "max_idle_conns_per_host",
                       "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives", "http2_read_idle_timeout",
                       "http2_ping_timeout", "cookies", "force_attempt_http2", "middlewares"});
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  if (options.url.host.empty()) return parts;
  const bool v6 = options.url.host.find(':') != std::string::npos;
  parts.endpoint = !options.url.socket_path.empty()
                       ? fmt::format("{}{}", kUnixScheme, options.url.socket_path)
                       : fmt::format("{}{}{}:{}", v6 ? "[" : "", options.url.host, v6 ? "]" : "", options.url.port);
  parts.exporter = std::make_unique<HttpExporter>(std::move(options));
  return parts;
}

}  // namespace tailgate
