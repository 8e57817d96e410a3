// SPDX-License-Identifier: Apache-2.0
#include "export/http/http_exporter.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/clock.h"
#include "base/invariant.h"
#include "export/export_config.h"
#include "net/endpoint.h"

namespace tailgate {
namespace {

constexpr Duration kLookUpAfterFailure = std::chrono::seconds(1);

// How much a compressor writes at a time. Room for the worst case would be as large as the text and is rarely needed.
constexpr std::size_t kStep = 256 << 10;

std::string gzip(const std::string& plain) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // window bits, with a gzip header
  INVARIANT(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  const std::size_t step = std::min<std::size_t>(kStep, deflateBound(&stream, plain.size()));
  int result = Z_OK;
  while (result == Z_OK) {
    const std::size_t have = out.size();
    out.resize(have + step);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream.avail_out = static_cast<uInt>(step);
    result = deflate(&stream, Z_FINISH);
    out.resize(out.size() - stream.avail_out);
  }
  INVARIANT(result == Z_STREAM_END);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& plain) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  INVARIANT(context != nullptr);
  INVARIANT(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, plain.size())));
  std::string out;
  const std::size_t step = std::min(kStep, ZSTD_compressBound(plain.size()));
  ZSTD_inBuffer in{plain.data(), plain.size(), 0};
  std::size_t left = 1;
  while (left != 0) {
    const std::size_t have = out.size();
    out.resize(have + step);
    ZSTD_outBuffer to{out.data() + have, step, 0};
    left = ZSTD_compressStream2(context, &to, &in, ZSTD_e_end);
    INVARIANT(!ZSTD_isError(left));
    out.resize(have + to.pos);
  }
  ZSTD_freeCCtx(context);
  return out;
}

std::string compressed(std::string plain, Compression how) {
  switch (how) {
    case Compression::kGzip:
      return gzip(plain);
    case Compression::kZstd:
      return zstd(plain);
    case Compression::kNone:
      break;
  }
  return plain;
}

}  // namespace

struct HttpExporter::Call {
  std::string method, path;
  HttpHeaders headers;
  std::shared_ptr<const std::string> body;
  Answer answer;
  std::vector<ServerTarget> targets;
  std::size_t tried = 0;
};

HttpExporter::HttpExporter(HttpExporterOptions options)
    : options_(std::move(options)),
      choice_(options_.urls.size()),
      names_(options_.urls.size()),
      work_(io_.get_executor()) {
  if (!options_.resolve) {
    options_.resolve = [this](const std::string& host, std::function<void(std::vector<std::string>)> found) {
      lookup_.look_up(host, [found = std::move(found)](const Result<HostAddresses>& addresses) {
        found(addresses.value_or(HostAddresses{}));
      });
    };
  }
  if (options_.compression != Compression::kNone) {
    options_.headers.emplace_back("Content-Encoding", options_.compression == Compression::kZstd ? "zstd" : "gzip");
  }
}

void HttpExporter::call(std::string method, std::string path, std::string content_type, std::string body,
                        Answer answer) {
  call(std::move(method), std::move(path), {{"Content-Type", std::move(content_type)}},
       std::make_shared<const std::string>(compressed(std::move(body), options_.compression)), std::move(answer));
}

void HttpExporter::call(std::string method, std::string path, HttpHeaders headers,
                        std::shared_ptr<const std::string> body, Answer answer) {
  auto made = std::make_shared<Call>();
  made->method = std::move(method);
  made->path = std::move(path);
  made->headers = std::move(headers);
  made->body = std::move(body);
  made->answer = std::move(answer);
  const TimePoint now = monotonic_now();
  made->targets = choice_.targets(now);
  for (const ServerTarget& target : made->targets) look_up(target.server, now);
  go(made);
}

void HttpExporter::look_up(std::size_t server, TimePoint now) {
  const HttpUrl& url = options_.urls[server];
  Name& name = names_[server];
  boost::system::error_code not_a_number;
  boost::asio::ip::make_address(url.host, not_a_number);
  if (!not_a_number || !url.socket_path.empty() || name.asked || now < name.due) return;
  name.asked = true;
  name.due = now + kBackendLookUpEvery;
  options_.resolve(url.host, [this, server](const std::vector<std::string>& addresses) {
    names_[server].asked = false;
    found(server, addresses);
  });
}

void HttpExporter::found(std::size_t server, const std::vector<std::string>& addresses) {
  choice_.resolved(server, addresses);
  std::erase_if(idle_, [&](const auto& entry) {
    if (entry.first.server != server || choice_.knows(entry.first)) return false;
    for (HttpClient* const client : entry.second) discard(client);
    return true;
  });
}

HttpClient* HttpExporter::client_for(const ServerTarget& target) {
  std::vector<HttpClient*>& idle = idle_[target];
  if (idle.empty()) {
    HttpClientOptions options = options_.client;
    options.address = target.address;
    options.names = &lookup_;
    clients_.push_back(std::make_unique<HttpClient>(io_, options_.urls[target.server], std::move(options)));
    return clients_.back().get();
  }
  HttpClient* const client = idle.back();
  idle.pop_back();
  return client;
}

void HttpExporter::done_with(HttpClient* client, const ServerTarget& target) {
  if (choice_.knows(target)) {
    idle_[target].push_back(client);
  } else {
    discard(client);
  }
}

void HttpExporter::discard(HttpClient* client) {
  std::erase_if(clients_, [&](const std::unique_ptr<HttpClient>& one) { return one.get() == client; });
}

void HttpExporter::go(const std::shared_ptr<Call>& call) {
  const ServerTarget& target = call->targets[call->tried];
  HttpClient* const client = client_for(target);
  std::string path = options_.urls[target.server].path;
  if (!call->path.empty() && path.ends_with('/')) path.pop_back();
  HttpHeaders headers = options_.headers;
  const std::string& authorization = options_.authorization.value();
  if (!authorization.empty()) headers.emplace_back("Authorization", authorization);
  headers.insert(headers.end(), call->headers.begin(), call->headers.end());
  client->send(call->method, path + call->path, std::move(headers), call->body, options_.timeout,
               [this, client, call](Result<HttpReply> reply) {
                 const ServerTarget& asked = call->targets[call->tried];
                 done_with(client, asked);
                 if (reply) {
                   choice_.answered(asked);
                 } else if (!cancelled_) {
                   const TimePoint now = monotonic_now();
                   choice_.failed(asked, now);
                   names_[asked.server].due = std::min(names_[asked.server].due, now + kLookUpAfterFailure);
                   if (++call->tried < call->targets.size()) {
                     log_failover(call->targets[call->tried], reply.error(), now);
                     return go(call);
                   }
                 }
                 call->answer(std::move(reply));
               });
}

void HttpExporter::log_failover(const ServerTarget& next, const Error& why, TimePoint now) {
  failovers_.fetch_add(1, std::memory_order_relaxed);
  const auto held = failovers_log_.pass(now);
  if (!held) return;
  std::string to = endpoint_of(options_.urls[next.server]);
  if (!next.address.empty()) to += " (" + next.address + ")";
  log_warn("a server did not answer, the next is asked", {{"detail", why.text}, {"next", to}, {"held_back", *held}});
}

void HttpExporter::wait(Duration timeout, std::vector<Completion>& done) {
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

void HttpExporter::wake() {
  boost::asio::post(io_, [this] { woken_ = true; });
}

void HttpExporter::cancel() {
  cancelled_ = true;
  for (const auto& client : clients_) client->cancel();
}

SendResult HttpExporter::failure(const HttpReply& reply, std::string_view detail) {
  SendResult result = failure_of(reply, detail, wall_now_ns(), options_.also);
  // Somebody may just have changed the token on both sides.
  const bool who = reply.status == 401 || reply.status == 403;
  if (who && options_.authorization.refused(monotonic_now())) result.kind = SendResult::Kind::kRetry;
  return result;
}

void read_http_tls(const ConfigNode& node, HttpClientOptions& options, const std::string& key) {
  const TlsConfig tls = read_tls_block(node.child(key));
  options.ca_pem = tls.ca_pem;
  options.insecure_skip_verify = tls.insecure_skip_verify;
  options.server_name = tls.server_name_override;
  options.cert_pem = tls.cert_pem;
  options.key_pem = tls.key_pem;
}

void read_http_exporter(const ConfigNode& node, HttpExporterOptions& options, std::string_view user_agent, bool zstd) {
  read_http_tls(node, options.client);
  options.headers = read_headers(node);
  for (const auto& [name, value] : options.headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    if (lower == "content-length" || lower == "content-type" || lower == "content-encoding" ||
        lower == "transfer-encoding" || lower == "connection" || lower == "host") {
      node.child("headers").error(fmt::format("expected headers that are not set here, not '{}'", name));
    }
  }
  options.headers.emplace_back("User-Agent", user_agent);
  options.also = read_also_statuses(node);
  options.compression = read_compression(node, zstd);
  options.timeout = node.duration("timeout", options.timeout, std::chrono::milliseconds(1));
  options.client.connect_timeout =
      node.duration("connect_timeout", options.client.connect_timeout, std::chrono::milliseconds(1));
  for (const char* key : {"auth", "proxy_url"}) {
    if (!node.child(key).is_null()) node.child(key).error("expected no such key: it is not supported here");
  }
}

std::string endpoint_of(const HttpUrl& url) {
  if (!url.socket_path.empty()) return fmt::format("{}{}", kUnixScheme, url.socket_path);
  const bool v6 = url.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", url.host, v6 ? "]" : "", url.port);
}

}  // namespace tailgate
