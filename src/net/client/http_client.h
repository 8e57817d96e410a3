// SPDX-License-Identifier: Apache-2.0
// HttpClient: one HTTP/1.1 connection to one server, for exporters. It opens the connection at the first post, keeps it
// alive, and opens it again after the server closed it. One post at a time: the caller waits for the callback before
// the next one.
//
// Threads: all calls and callbacks on the thread that runs the io_context. Ownership: the callback is called exactly
// once per post, never from inside post(). Destroying the client drops a post in flight without calling back.
// Errors: kUnavailable for resolving, connecting, TLS, timeouts and resets (try again); kBadInput for an answer that is
// not HTTP or has a body over the cap. Any HTTP status is a success here; the exporter knows what it means.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace tailgate {

class HostLookup;

struct HttpUrl {
  bool tls = false;
  std::string host;              // without the brackets of an IPv6 address
  std::string port;              // "80", "443" or as given
  std::string path;              // begins with '/', query included
  std::string socket_path = {};  // of a Unix socket; then the host is localhost

  std::string authority() const;  // for the Host header: brackets back, default ports left out
};

// "http://host:port/path?query" or https; "unix:///path/of/socket", whose `path` is "/". User info and fragments are
// refused.
Result<HttpUrl> parse_http_url(std::string_view text);

struct HttpReply {
  int status = 0;
  std::string retry_after;  // header values, "" when absent
  std::string content_type;
  std::string content_encoding;
  std::string body;
  std::string etag = {};
};

struct HttpClientOptions {
  std::string ca_file;                                 // PEM; "": the system's default paths
  std::string ca_pem = {};                             // its content, instead
  std::string cert_pem = {}, key_pem = {};             // our own certificate, or none
  bool insecure_skip_verify = false;                   // takes any certificate
  std::string server_name;                             // for SNI and verification; "": the URL's host
  std::string address = {};                            // numeric address to connect to; "": the addresses of the host
  Duration connect_timeout = std::chrono::seconds(5);  // to one address, TLS included; then the next is tried
  HostLookup* names = nullptr;                         // of the same io_context, outlives the client; null: its own
  std::size_t response_bytes_max = 4 << 20;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

class HttpClient {
 public:
  using Callback = std::function<void(Result<HttpReply>)>;

  HttpClient(boost::asio::io_context& io, HttpUrl url, HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sets Host, Content-Length and Connection; the caller passes content-type and the rest in `headers`. `timeout`
  // bounds resolving, connecting, sending and receiving together. When a kept-alive connection turns out to be closed
  // before the first byte of the answer, the post is sent again on a new one, once.
  void post(HttpHeaders headers, std::shared_ptr<const std::string> body, Duration timeout, Callback done);

  // The same with another method ("PUT") and another path of that server.
  void send(std::string method, std::string path, HttpHeaders headers, std::shared_ptr<const std::string> body,
            Duration timeout, Callback done);

  // Ends the post in flight, if any, with kUnavailable "cancelled", and closes the connection.
  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tailgate
