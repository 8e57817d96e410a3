// SPDX-License-Identifier: Apache-2.0
// CannedBackend: an HTTP server for the tests of exporters. It answers what the test says and remembers what it was
// sent.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tailgate::test {

using CannedRequest = boost::beast::http::request<boost::beast::http::string_body>;

struct CannedAnswer {
  unsigned status = 200;
  std::string body = "";
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool close = false;  // the connection, behind the answer
  bool hang = false;   // no answer until the client goes
};

class CannedBackend {
 public:
  // Called for each request, one at a time.
  using Reply = std::function<CannedAnswer(const CannedRequest&)>;

  // On a free port, or on that of another backend on another address of loopback.
  explicit CannedBackend(Reply reply, const std::string& address = "127.0.0.1", std::uint16_t port = 0)
      : reply_(std::move(reply)),
        acceptor_(io_, boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(address), port)),
        thread_([this] { accept(); }) {}
  ~CannedBackend() {
    stopped_ = true;
    boost::beast::error_code ignored;
    boost::asio::ip::tcp::socket poke(io_);
    poke.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
    for (auto& socket : sockets_) socket->shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
    for (std::thread& connection : connections_) connection.join();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }
  std::vector<CannedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept() {
    while (true) {
      boost::beast::error_code ec;
      auto socket = std::make_shared<boost::asio::ip::tcp::socket>(io_);
      acceptor_.accept(*socket, ec);
      if (ec || stopped_) return;
      sockets_.push_back(socket);
      connections_.emplace_back([this, socket] { serve(*socket); });
    }
  }

  void serve(boost::asio::ip::tcp::socket& socket) {
    namespace http = boost::beast::http;
    boost::beast::flat_buffer buffer;
    boost::beast::error_code ec;
    while (true) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(64 << 20);
      http::read(socket, buffer, parser, ec);
      if (ec) return;
      CannedAnswer answer;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(parser.release());
        answer = reply_(requests_.back());
      }
      if (answer.hang) {
        char c = 0;
        socket.read_some(boost::asio::buffer(&c, 1), ec);
        return;
      }
      http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
      for (const auto& [name, value] : answer.headers) response.set(name, value);
      response.body() = std::move(answer.body);
      response.keep_alive(!answer.close);
      response.prepare_payload();
      http::write(socket, response, ec);
      if (answer.close) socket.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ec);
      if (ec || answer.close) return;
    }
  }

  const Reply reply_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  std::vector<CannedRequest> requests_;
  std::vector<std::shared_ptr<boost::asio::ip::tcp::socket>> sockets_;
  std::vector<std::thread> connections_;
  std::thread thread_;
};

// Gives each request the next of `list`, then `after`.
template <class Answer>
auto in_turn(std::deque<Answer> list, Answer after = {}) {
  return [list = std::make_shared<std::deque<Answer>>(std::move(list)), after = std::move(after)] {
    if (list->empty()) return after;
    Answer next = std::move(list->front());
    list->pop_front();
    return next;
  };
}

}  // namespace tailgate::test
