// SPDX-License-Identifier: Apache-2.0
#include "h2_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tailgate::bench {
namespace {

enum Frame : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindow = 8,
  kContinuation = 9
};

std::uint32_t be32(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, 4);
  return ntohl(v);
}

void literal(std::string& out, std::string_view name, std::string_view value) {
  out.push_back('\0');  // literal without indexing, new name (RFC 7541 6.2.2)
  out.push_back(static_cast<char>(name.size()));
  out.append(name);
  out.push_back(static_cast<char>(value.size()));
  out.append(value);
}

}  // namespace

H2Client::H2Client(std::uint16_t port, std::string_view path, std::string_view encoding, SSL_CTX* tls) {
  fd_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    std::perror("connect");
    std::exit(3);
  }
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (tls != nullptr) {
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, fd_);
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>("\x02h2"), 3);
    if (SSL_connect(ssl_) != 1) {
      std::fprintf(stderr, "TLS handshake failed\n");
      std::exit(3);
    }
  }
  fcntl(fd_, F_SETFL, O_NONBLOCK);
  nghttp2_hd_inflate_new(&inflater_);
  literal(headers_, ":method", "POST");
  literal(headers_, ":scheme", "http");
  literal(headers_, ":path", path);
  literal(headers_, ":authority", "localhost");
  literal(headers_, "content-type", "application/grpc");
  literal(headers_, "te", "trailers");
  if (!encoding.empty()) literal(headers_, "grpc-encoding", encoding);
  out_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  frame_header(0, kSettings, 0, 0);
  grant(1 << 30);
}

// Room for answers on the whole connection: each carries 5 bytes.
void H2Client::grant(std::uint32_t bytes) {
  frame_header(4, kWindow, 0, 0);
  const std::uint32_t value = htonl(bytes);
  out_.append(reinterpret_cast<const char*>(&value), 4);
}

H2Client::~H2Client() {
  SSL_free(ssl_);
  close(fd_);
  nghttp2_hd_inflate_del(inflater_);
}

void H2Client::frame_header(std::size_t size, std::uint8_t type, std::uint8_t flags, std::uint32_t stream) {
  const char header[9] = {
      static_cast<char>(size >> 16),   static_cast<char>(size >> 8),   static_cast<char>(size),
      static_cast<char>(type),         static_cast<char>(flags),       static_cast<char>(stream >> 24),
      static_cast<char>(stream >> 16), static_cast<char>(stream >> 8), static_cast<char>(stream)};
  out_.append(header, 9);
}

bool H2Client::start(std::string_view body) {
  if (body_ != nullptr) return false;
  stream_ = next_stream_;
  next_stream_ += 2;
  frame_header(headers_.size(), kHeaders, 4, stream_);
  out_ += headers_;
  body_ = body.data();
  body_left_ = body.size();
  streams_[stream_] = {stream_window_start_, std::chrono::steady_clock::now()};
  ++in_flight_;
  return true;
}

bool H2Client::flush() {
  for (;;) {
    if (body_ != nullptr && frame_left_ == 0) {  // the next DATA frame, as large as the windows allow
      std::int64_t& stream_window = streams_[stream_].window;
      const std::int64_t allowed = std::min({window_, stream_window, static_cast<std::int64_t>(max_frame_)});
      const std::size_t size = std::min(body_left_, static_cast<std::size_t>(std::max<std::int64_t>(0, allowed)));
      if (size != 0) {
        window_ -= static_cast<std::int64_t>(size);
        stream_window -= static_cast<std::int64_t>(size);
        frame_left_ = size;
        frame_header(size, kData, size == body_left_ ? 1 : 0, stream_);
      }
    }
    iovec parts[2];
    int count = 0;
    if (out_at_ < out_.size()) parts[count++] = {out_.data() + out_at_, out_.size() - out_at_};
    if (frame_left_ != 0) parts[count++] = {const_cast<char*>(body_), frame_left_};
    if (count == 0) return write_record();
    const ssize_t n = write(parts, count);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const auto from_out = std::min(static_cast<std::size_t>(n), out_.size() - out_at_);
    out_at_ += from_out;
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
    }
    const auto from_body = static_cast<std::size_t>(n) - from_out;
    body_ += from_body;
    body_left_ -= from_body;
    frame_left_ -= from_body;
    if (body_left_ == 0) body_ = nullptr;
  }
}

// As writev. Over TLS a record's worth is copied and counts as written: OpenSSL wants the same bytes again when the
// socket was full.
ssize_t H2Client::write(const iovec* parts, int count) {
  if (ssl_ == nullptr) return writev(fd_, parts, count);
  if (!write_record()) return -1;
  if (!record_.empty()) {
    errno = EAGAIN;
    return -1;
  }
  for (int i = 0; i < count; ++i) {
    const std::size_t room = SSL3_RT_MAX_PLAIN_LENGTH - record_.size();
    record_.append(static_cast<const char*>(parts[i].iov_base), std::min(room, parts[i].iov_len));
  }
  const auto taken = static_cast<ssize_t>(record_.size());
  return write_record() ? taken : -1;
}

bool H2Client::write_record() {
  if (record_.empty()) return true;
  const int n = SSL_write(ssl_, record_.data(), static_cast<int>(record_.size()));
  if (n > 0) {
    record_.clear();
    return true;
  }
  errno = EPIPE;
  return SSL_get_error(ssl_, n) == SSL_ERROR_WANT_WRITE;
}

bool H2Client::pump() { return flush() && read() && flush(); }

bool H2Client::read() {
  char buffer[16384];
  for (;;) {
    ssize_t n = 0;
    if (ssl_ != nullptr) {
      n = SSL_read(ssl_, buffer, sizeof buffer);
      if (n <= 0) return SSL_get_error(ssl_, static_cast<int>(n)) == SSL_ERROR_WANT_READ;
    } else {
      n = recv(fd_, buffer, sizeof buffer, 0);
      if (n == 0) return false;
      if (n < 0) return errno == EAGAIN || errno == EINTR;
    }
    in_.append(buffer, static_cast<std::size_t>(n));
    std::size_t at = 0;
    while (in_.size() - at >= 9) {
      const std::size_t size = be32(in_.data() + at) >> 8;
      if (in_.size() - at < 9 + size) break;
      const char* p = in_.data() + at;
      if (!frame(static_cast<std::uint8_t>(p[3]), static_cast<std::uint8_t>(p[4]), be32(p + 5) & 0x7fffffff,
                 {p + 9, size})) {
        return false;
      }
      at += 9 + size;
    }
    in_.erase(0, at);
  }
}

bool H2Client::frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  switch (type) {
    case kData:
      received_ += static_cast<std::uint32_t>(payload.size());
      if (received_ > 1 << 20) {
        grant(received_);
        received_ = 0;
      }
      return true;
    case kSettings:
      if ((flags & 1) != 0) return true;
      for (std::size_t i = 0; i + 6 <= payload.size(); i += 6) {
        const int id = static_cast<std::uint8_t>(payload[i]) << 8 | static_cast<std::uint8_t>(payload[i + 1]);
        const std::uint32_t value = be32(payload.data() + i + 2);
        if (id == 4) {
          for (auto& [s, one] : streams_) one.window += static_cast<std::int64_t>(value) - stream_window_start_;
          stream_window_start_ = value;
        }
        if (id == 5) max_frame_ = value;
      }
      frame_header(0, kSettings, 1, 0);
      return true;
    case kPing:
      if ((flags & 1) == 0) {
        frame_header(8, kPing, 1, 0);
        out_ += payload;
      }
      return true;
    case kWindow:
      if (stream == 0) {
        window_ += be32(payload.data());
      } else if (auto it = streams_.find(stream); it != streams_.end()) {
        it->second.window += be32(payload.data());
      }
      return true;
    case kHeaders: {
      int status = -1;
      bool retry = false;
      auto* in = reinterpret_cast<const std::uint8_t*>(payload.data());
      std::size_t left = payload.size();
      for (;;) {
        nghttp2_nv nv;
        int inflate_flags = 0;
        const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &nv, &inflate_flags, in, left, 1);
        if (used < 0) return false;
        in += used;
        left -= static_cast<std::size_t>(used);
        if ((inflate_flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
          const std::string_view name(reinterpret_cast<char*>(nv.name), nv.namelen);
          if (name == "grpc-status")
            status = std::atoi(std::string(reinterpret_cast<char*>(nv.value), nv.valuelen).c_str());
          if (name == "grpc-status-details-bin") retry = true;
        }
        if ((inflate_flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
          nghttp2_hd_inflate_end_headers(inflater_);
          break;
        }
        if ((inflate_flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) break;
      }
      if ((flags & 1) == 0) return true;  // the trailers end a stream
      --in_flight_;
      if (const auto it = streams_.find(stream); it != streams_.end()) {
        const auto took = std::chrono::steady_clock::now() - it->second.begun;
        answer_ms.push_back(std::chrono::duration<float, std::milli>(took).count());
        streams_.erase(it);
      }
      if (status == 0) {
        ++answered_ok;
      } else {
        ++answered_other[status];
        other_with_retry += retry;
      }
      if (stream == stream_ && body_ != nullptr && frame_left_ == 0) {  // refused before it was all sent
        body_ = nullptr;
        body_left_ = 0;
        frame_header(4, kReset, 0, stream);
        out_.append("\0\0\0\x08", 4);
      }
      return true;
    }
    case kReset:
      // After a full answer the server may reset what it did not read (RFC 9113 8.1); otherwise the request failed.
      if (streams_.erase(stream) != 0) {
        --in_flight_;
        ++answered_other[-2];
      }
      return true;
    case kGoAway:
      return false;
    default:
      return true;
  }
}

}  // namespace tailgate::bench
