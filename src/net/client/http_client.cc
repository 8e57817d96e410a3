// SPDX-License-Identifier: Apache-2.0
#include "net/client/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <optional>

#include "base/invariant.h"
#include "net/client/host_lookup.h"
#include "net/endpoint.h"
#include "net/unix_socket.h"

namespace tailgate {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

bool is_ip(const std::string& host) {
  error_code ec;
  asio::ip::make_address(host, ec);
  return !ec;
}

}  // namespace

std::string HttpUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? "443" : "80") ? name : name + ":" + port;
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::kConfig,
                fmt::format("expected http://HOST[:PORT][/PATH] or https://..., got '{}': {}", text, why));
  };
  HttpUrl url;
  std::string_view rest = text;
  if (rest.starts_with(kUnixScheme)) {
    rest.remove_prefix(kUnixScheme.size());
    if (const std::string fault = unix_path_fault(rest); !fault.empty())
      return fail(ErrorKind::kConfig, fmt::format("{}, got '{}'", fault, text));
    return HttpUrl{false, "localhost", "80", "/", std::string(rest)};
  }
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("no http:// or https:// in front");
  }
  for (const char c : text) {
    if (c <= 0x20 || c == 0x7F) return bad("blanks and control characters have no place in it");
  }
  if (rest.find('#') != std::string_view::npos) return bad("a fragment is never sent");
  const auto slash = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, slash);
  url.path = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url.path.front() == '?') url.path.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return bad("credentials belong into headers");

  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return bad("the bracket is not closed");
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') return bad("expected a port behind the bracket");
    if (!authority.empty()) port = authority.substr(1);
    if (!authority.empty() && port.empty()) return bad("the port is missing");
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port.empty()) return bad("the port is missing");
    }
  }
  if (url.host.empty()) return bad("the host is missing");
  if (!port.empty()) {
    std::uint16_t number = 0;
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (ec != std::errc() || end != port.data() + port.size() || number == 0)
      return bad("the port is a number up to 65535");
  }
  url.port = port.empty() ? (url.tls ? "443" : "80") : std::string(port);
  return url;
}

// The chain: look up, connect, handshake, write, read. Every handler holds the Impl and its Link, and checks that its
// attempt is still the one in flight (`turn`), because the handlers of a cancelled attempt still run.
struct HttpClient::Impl : std::enable_shared_from_this<HttpClient::Impl> {
  using Request = http::request<http::span_body<const char>>;
  using Parser = http::response_parser<http::string_body>;

  // One connection and the operation on it. Cancelled operations still use it, so their handlers keep it alive.
  struct Link {
    Link(asio::io_context& context, ssl::context& tls_context) : stream(context, tls_context) {}
    ssl::stream<tcp::socket> stream;  // the TLS layer is left out for http://
    boost::beast::flat_buffer buffer;
    std::optional<Request> request;
    std::optional<Parser> parser;
    std::shared_ptr<const std::string> body;
  };

  Impl(asio::io_context& context, HttpUrl u, HttpClientOptions o)
      : io(context), url(std::move(u)), options(std::move(o)), timer(context), connecting(context) {
    if (options.names == nullptr) names.emplace(context);
  }

  bool current(std::uint64_t t) const { return t == turn && done; }

  void start() {
    reused = link != nullptr;
    if (reused) return write(turn);
    if (!url.socket_path.empty()) return connect_local();
    if (!options.address.empty()) return connect({options.address});
    if (is_ip(url.host)) return connect({url.host});
    asked = lookup().look_up(url.host, [self = shared_from_this(), t = turn](const Result<HostAddresses>& found) {
      if (!self->current(t)) return;
      if (!found) return self->failed(fmt::format("cannot resolve {}: {}", self->url.host, found.error().text));
      self->connect(*found);
    });
  }

  HostLookup& lookup() { return options.names != nullptr ? *options.names : *names; }

  void connect(const HostAddresses& to) {
    std::uint16_t port = 0;
    std::from_chars(url.port.data(), url.port.data() + url.port.size(),
                    port);  // parse_http_url has seen that it is one
    endpoints.clear();
    for (const std::string& text : to) {
      error_code ec;
      const asio::ip::address address = asio::ip::make_address(text, ec);
      if (ec) return failed(fmt::format("{} is not an address", text));
      endpoints.emplace_back(address, port);
    }
    next_endpoint({});
  }

  // The next address, after the one before failed for the reason `why`.
  void next_endpoint(std::string why) {
    if (endpoints.empty()) return failed(std::move(why));
    const tcp::endpoint to = endpoints.front();
    endpoints.pop_front();
    ++turn;
    close();
    if (const auto wrong = prepare()) return failed(*wrong);
    connecting.expires_after(options.connect_timeout);
    connecting.async_wait([self = shared_from_this(), t = turn](const error_code& ec) {
      if (ec || !self->current(t)) return;
      self->next_endpoint(fmt::format("no connection to {} in time", self->where()));
    });
    link->stream.next_layer().async_connect(to, [self = shared_from_this(), l = link, t = turn](const error_code& ec) {
      if (!self->current(t)) return;
      if (ec) return self->next_endpoint(fmt::format("cannot connect to {}: {}", self->where(), ec.message()));
      error_code ignored;
      l->stream.next_layer().set_option(tcp::no_delay(true), ignored);
      if (!self->url.tls) return self->connected();
      self->handshake(t);
    });
  }

  void connected() {
    connecting.cancel();
    endpoints.clear();
    write(++turn);  // the timer's handler may be on its way
  }

  // At once: a Unix socket takes a connection or does not.
  void connect_local() {
    if (const auto wrong = prepare()) return failed(*wrong);
    const int fd = connect_unix(url.socket_path);
    if (fd < 0)
      return failed(fmt::format("cannot connect to {}{}: {}", kUnixScheme, url.socket_path, std::strerror(errno)));
    error_code ec;
    link->stream.next_layer().assign(tcp::v4(), fd, ec);  // the calls used here need nothing of TCP
    if (ec) return failed(ec.message());
    write(turn);
  }

  // A fresh stream; the TLS context is made once. The error's text, if any.
  std::optional<std::string> prepare() {
    error_code ec;
    if (!tls) {
      tls.emplace(ssl::context::tls_client);
      tls->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                           ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1,
                       ec);
      if (url.tls && !options.insecure_skip_verify) {
        if (!options.ca_pem.empty()) {
          tls->add_certificate_authority(asio::buffer(options.ca_pem), ec);
        } else if (options.ca_file.empty()) {
          tls->set_default_verify_paths(ec);
        } else {
          tls->load_verify_file(options.ca_file, ec);
        }
        if (ec) {
          tls.reset();
          return fmt::format("cannot load CA certificates {}: {}", options.ca_file, ec.message());
        }
      }
      if (url.tls && !options.cert_pem.empty()) {
        tls->use_certificate_chain(asio::buffer(options.cert_pem), ec);
        if (!ec) tls->use_private_key(asio::buffer(options.key_pem), ssl::context::pem, ec);
        if (ec) {
          tls.reset();
          return fmt::format("cannot use our own certificate: {}", ec.message());
        }
      }
    }
    link = std::make_shared<Link>(io, *tls);
    auto& stream = link->stream;
    if (!url.tls) return std::nullopt;
    const std::string& name = options.server_name.empty() ? url.host : options.server_name;
    if (!is_ip(name) && SSL_set_tlsext_host_name(stream.native_handle(), name.c_str()) != 1) return "cannot set SNI";
    if (options.insecure_skip_verify) {
      stream.set_verify_mode(ssl::verify_none, ec);
    } else {
      stream.set_verify_mode(ssl::verify_peer, ec);
      stream.set_verify_callback(ssl::host_name_verification(name), ec);
    }
    return std::nullopt;
  }

  void handshake(std::uint64_t t) {
    link->stream.async_handshake(ssl::stream_base::client,
                                 [self = shared_from_this(), l = link, t](const error_code& ec) {
                                   if (!self->current(t)) return;
                                   if (ec)
                                     return self->failed(fmt::format("TLS with {}: {}", self->where(), ec.message()));
                                   self->connected();
                                 });
  }

  template <class Next>
  auto handler(std::uint64_t t, const char* what, Next next) {
    return [self = shared_from_this(), l = link, t, what, next](const error_code& ec, std::size_t) {
      if (!self->current(t)) return;
      if (ec) return self->broken(what, ec);
      next(*self);
    };
  }

  void write(std::uint64_t t) {
    Link& l = *link;
    l.parser.reset();
    l.body = body;
    l.request.emplace(http::string_to_verb(method), path, 11);
    l.request->set(http::field::host, url.authority());
    for (const auto& [name, value] : headers) l.request->set(name, value);
    if (body) l.request->body() = boost::beast::span<const char>(body->data(), body->size());
    l.request->prepare_payload();
    auto next = handler(t, "sending to", [t](Impl& self) { self.read(t); });
    if (url.tls) {
      http::async_write(l.stream, *l.request, std::move(next));
    } else {
      http::async_write(l.stream.next_layer(), *l.request, std::move(next));
    }
  }

  void read(std::uint64_t t) {
    Link& l = *link;
    l.buffer.clear();
    l.parser.emplace();
    l.parser->body_limit(options.response_bytes_max);
    l.parser->header_limit(64 << 10);
    auto next = handler(t, "receiving from", [](Impl& self) { self.received(); });
    if (url.tls) {
      http::async_read(l.stream, l.buffer, *l.parser, std::move(next));
    } else {
      http::async_read(l.stream.next_layer(), l.buffer, *l.parser, std::move(next));
    }
  }

  // Only now does a kept-alive connection show that the server has closed it. The post is sent again on a new one,
  // once.
  void broken(const char* what, const error_code& ec) {
    const bool nothing_came = !link->parser || !link->parser->got_some();
    if (reused && nothing_came && ec != http::error::body_limit) {
      close();
      ++turn;
      return start();
    }
    const bool theirs = ec.category() == http::make_error_code(http::error::body_limit).category() &&
                        ec != http::error::end_of_stream && ec != http::error::partial_message;
    failed(fmt::format("{} {}: {}", what, where(), with_alert(ec).message()),
           theirs ? ErrorKind::kBadInput : ErrorKind::kUnavailable);
  }

  // When writing fails, a TLS alert of the server may still wait to be read. It says why, for example that a client
  // certificate is missing.
  error_code with_alert(const error_code& ec) {
    if (!url.tls || ec.category() != asio::error::get_system_category()) return ec;
    error_code alert, ignored;
    char byte = 0;
    link->stream.next_layer().non_blocking(true, ignored);
    link->stream.read_some(asio::buffer(&byte, 1), alert);
    return alert.category() == asio::error::get_ssl_category() ? alert : ec;
  }

  std::string where() const {
    return options.address.empty() || options.address == url.host
               ? url.authority()
               : fmt::format("{} ({})", url.authority(), options.address);
  }

  void received() {
    auto message = link->parser->release();
    const auto text = [&](http::field f) { return std::string(message[f].data(), message[f].size()); };
    HttpReply reply;
    reply.status = static_cast<int>(message.result_int());
    reply.retry_after = text(http::field::retry_after);
    reply.content_type = text(http::field::content_type);
    reply.content_encoding = text(http::field::content_encoding);
    reply.etag = text(http::field::etag);
    reply.body = std::move(message.body());
    if (!message.keep_alive()) close();
    finish(std::move(reply));
  }

  void failed(std::string text, ErrorKind kind = ErrorKind::kUnavailable) {
    close();
    finish(fail(kind, std::move(text)));
  }

  void finish(Result<HttpReply> result) {
    ++turn;
    timer.cancel();
    connecting.cancel();
    endpoints.clear();
    if (link) {
      link->request.reset();
      link->parser.reset();
      link->body.reset();
    }
    headers.clear();
    body.reset();
    const Callback call = std::move(done);
    done = nullptr;
    call(std::move(result));
  }

  void close() {
    lookup().forget(std::exchange(asked, 0));
    if (!link) return;
    error_code ignored;
    link->stream.next_layer().close(ignored);
    link.reset();
  }

  asio::io_context& io;
  const HttpUrl url;
  const HttpClientOptions options;
  std::optional<HostLookup> names;      // with none in the options
  std::uint64_t asked = 0;              // of a lookup under way
  asio::steady_timer timer;             // of the whole
  asio::steady_timer connecting;        // to one address
  std::deque<tcp::endpoint> endpoints;  // not tried yet
  std::optional<ssl::context> tls;
  std::shared_ptr<Link> link;  // null: not connected
  std::string method, path;
  HttpHeaders headers;
  std::shared_ptr<const std::string> body;
  Callback done;
  std::uint64_t turn = 0;  // attempts
  std::uint64_t posts = 0;
  bool reused = false;
};

HttpClient::HttpClient(asio::io_context& io, HttpUrl url, HttpClientOptions options)
    : impl_(std::make_shared<Impl>(io, std::move(url), std::move(options))) {}

HttpClient::~HttpClient() {
  ++impl_->turn;
  impl_->done = nullptr;
  impl_->timer.cancel();
  impl_->connecting.cancel();
  impl_->close();
  impl_->names.reset();  // handlers keep the rest for a while, maybe until the io_context ends
}

void HttpClient::post(HttpHeaders headers, std::shared_ptr<const std::string> body, Duration timeout, Callback done) {
  send("POST", impl_->url.path, std::move(headers), std::move(body), timeout, std::move(done));
}

void HttpClient::send(std::string method, std::string path, HttpHeaders headers,
                      std::shared_ptr<const std::string> body, Duration timeout, Callback done) {
  Impl& self = *impl_;
  self.method = std::move(method);
  self.path = std::move(path);
  INVARIANT(!self.done);
  ++self.turn;
  ++self.posts;
  self.done = std::move(done);
  self.headers = std::move(headers);
  self.body = std::move(body);

  // Posted, so that no callback ever runs inside this call.
  asio::post(self.io, [impl = impl_, turn = self.turn] {
    if (impl->current(turn)) impl->start();
  });
  self.timer.expires_after(timeout);
  self.timer.async_wait([impl = impl_, number = self.posts](const error_code& ec) {
    if (ec || !impl->done || impl->posts != number) return;
    impl->failed(fmt::format("no answer from {} in time", impl->where()));
  });
}

void HttpClient::cancel() {
  if (!impl_->done) return;
  asio::post(impl_->io, [impl = impl_, number = impl_->posts] {
    if (impl->done && impl->posts == number) impl->failed("cancelled");
  });
}

}  // namespace tailgate
