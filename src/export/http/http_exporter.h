// SPDX-License-Identifier: Apache-2.0
// HttpExporter: what exporters that speak HTTP have in common: the loop that drives the calls, a connection for
// each call in flight (the most recently used first, so that few stay open when little is sent), and going to the next
// of several servers, or of the addresses behind one name, when one does not answer. Names are looked up again while
// calls are made: each half minute, and soon after a failure.
//
// Threads: the runner's thread runs the io_context; wake() posts to it.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config_node.h"
#include "export/authorization.h"
#include "export/export_config.h"
#include "export/exporter.h"
#include "export/http/http_answer.h"
#include "export/http/server_choice.h"
#include "net/client/host_lookup.h"
#include "net/client/http_client.h"
#include "telemetry/log.h"

namespace tailgate {

// Asks what addresses a name has; `found` is called later, by the thread that runs the calls.
using ResolveName = std::function<void(const std::string& host, std::function<void(std::vector<std::string>)> found)>;

struct HttpExporterOptions {
  std::vector<HttpUrl> urls;  // servers that stand for one another; at least one
  HttpClientOptions client;
  HttpHeaders headers;
  Authorization authorization = {};
  std::vector<int> also = {};  // statuses that are retried besides those of http_answer.h
  Compression compression = Compression::kGzip;
  Duration timeout = std::chrono::seconds(30);  // of a call to one server
  ResolveName resolve = {};                     // empty: the system is asked
};

class HttpExporter : public Exporter {
 public:
  explicit HttpExporter(HttpExporterOptions options);

  Result<void> start() override { return {}; }
  void wait(Duration timeout, std::vector<Completion>& done) final;
  void wake() final;
  void cancel() override;
  std::optional<std::uint64_t> failovers() const final { return failovers_.load(std::memory_order_relaxed); }

 protected:
  using Answer = std::function<void(Result<HttpReply>)>;

  const HttpExporterOptions& options() const { return options_; }
  boost::asio::io_context& io() { return io_; }
  // `path` is appended to that of the server's URL. The body is compressed as configured. `answer` is called once, from
  // wait(), with an error when none of the servers answered.
  void call(std::string method, std::string path, std::string content_type, std::string body, Answer answer);
  // The same for a body that is sent as it is, with headers of its own besides those of all calls.
  void call(std::string method, std::string path, HttpHeaders headers, std::shared_ptr<const std::string> body,
            Answer answer);
  // The failure that a status other than 2xx stands for. After 401 and 403 credentials that come from a file are read
  // again, and the request is sent again with them.
  SendResult failure(const HttpReply& reply, std::string_view detail);
  bool cancelled() const { return cancelled_; }
  void end(std::uint64_t batch_id, SendResult result) { done_.push_back({batch_id, std::move(result)}); }

 private:
  struct Call;
  void go(const std::shared_ptr<Call>& call);
  void log_failover(const ServerTarget& next, const Error& why, TimePoint now);
  HttpClient* client_for(const ServerTarget& target);
  void done_with(HttpClient* client, const ServerTarget& target);
  void discard(HttpClient* client);
  void look_up(std::size_t server, TimePoint now);
  void found(std::size_t server, const std::vector<std::string>& addresses);

  HttpExporterOptions options_;
  std::vector<Completion> done_;
  bool woken_ = false;      // set by a handler of io_, so by the runner's thread
  bool cancelled_ = false;  // for good
  std::atomic<std::uint64_t> failovers_{0};
  LogLimiter failovers_log_{std::chrono::seconds(10)};
  struct Name {  // of a server; a number is never looked up
    TimePoint due{};
    bool asked = false;
  };
  ServerChoice choice_;
  std::vector<Name> names_;
  boost::asio::io_context io_{1};
  HostLookup lookup_{io_};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::map<ServerTarget, std::vector<HttpClient*>> idle_;
  std::vector<std::unique_ptr<HttpClient>> clients_;  // go before lookup_ and io_
};

// `headers`, `retry_on_failure.also`, `tls`, `compression` (zstd where the protocol has it), `timeout`,
// `connect_timeout` and `auth`, which is an error.
void read_http_exporter(const ConfigNode& node, HttpExporterOptions& options, std::string_view user_agent,
                        bool zstd = false);
// Of these, `tls` alone, or the same under another key.
void read_http_tls(const ConfigNode& node, HttpClientOptions& options, const std::string& key = "tls");
// "http://host:port" or "unix:///path" of a URL, for messages and for telling our own receivers.
std::string endpoint_of(const HttpUrl& url);

}  // namespace tailgate
