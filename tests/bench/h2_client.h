// SPDX-License-Identifier: Apache-2.0
// A gRPC client that costs as little as possible: one HTTP/2 connection, requests already encoded, frames written by
// hand (RFC 9113), answers read with nghttp2's HPACK decoder. For load tests; one thread.
#pragma once

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tailgate::bench {

class H2Client {
 public:
  // `encoding`: the grpc-encoding that requests announce, if any. `tls`: over TLS, ALPN h2.
  H2Client(std::uint16_t port, std::string_view path, std::string_view encoding = {}, SSL_CTX* tls = nullptr);
  ~H2Client();
  H2Client(const H2Client&) = delete;
  H2Client& operator=(const H2Client&) = delete;

  int fd() const { return fd_; }
  std::size_t in_flight() const { return in_flight_; }
  bool wants_write() const { return body_ != nullptr || out_at_ < out_.size() || !record_.empty(); }

  // Begins a request if nothing is being written. `body` must stay unchanged until wants_write() is false again.
  bool start(std::string_view body);

  // Writes and reads what the socket takes; false when the connection is lost.
  bool pump();

  std::uint64_t answered_ok = 0;
  std::map<int, std::uint64_t> answered_other;  // by grpc-status
  std::uint64_t other_with_retry = 0;           // of those, with grpc-status-details-bin
  std::vector<float> answer_ms;                 // of each request, from start() to its answer

 private:
  bool flush();
  bool read();
  ssize_t write(const iovec* parts, int count);
  bool write_record();
  bool frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload);
  void frame_header(std::size_t size, std::uint8_t type, std::uint8_t flags, std::uint32_t stream);
  void grant(std::uint32_t bytes);

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string record_;   // handed to TLS, not yet taken by the socket
  std::string headers_;  // encoded once: literals, nothing indexed
  std::string out_;
  std::size_t out_at_ = 0;
  const char* body_ = nullptr;
  std::size_t body_left_ = 0;
  std::size_t frame_left_ = 0;  // of the DATA frame whose header is out
  std::uint32_t next_stream_ = 1;
  std::uint32_t stream_ = 0;
  std::int64_t window_ = 65535;
  std::int64_t stream_window_start_ = 65535;
  struct Stream {
    std::int64_t window;
    std::chrono::steady_clock::time_point begun;
  };
  std::map<std::uint32_t, Stream> streams_;
  std::size_t max_frame_ = 16384;
  std::size_t in_flight_ = 0;
  std::uint32_t received_ = 0;  // bytes of answers not yet granted again
  std::string in_;
  std::string block_;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace tailgate::bench
