// SPDX-License-Identifier: Apache-2.0
// Blocking clients for component tests, made by hand so that they can also misbehave: a TCP connection with deadlines,
// and HTTP/2 frames over it (header blocks as literals; answers decoded with nghttp2's HPACK decoder).
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailgate::test {

inline int milliseconds_left(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left);
}

inline std::size_t rss_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// A request of HTTP/1.1.
inline std::string http(std::string_view path, std::string_view type, std::string_view body, std::string_view more = "",
                        std::string_view method = "POST") {
  return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: t\r\n" +
         (type.empty() ? "" : "Content-Type: " + std::string(type) + "\r\n") + std::string(more) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class RawClient {
 public:
  // `from`: the last part of its own address, 127.0.0.N; 0: as the system has it.
  explicit RawClient(std::uint16_t port, std::uint32_t from = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(0x7F000000 + from);
    if (from != 0) ::bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof own);
    connected_ = fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    const int one = 1;
    if (fd_ >= 0) ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    timeval limit{5, 0};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool closed() const { return closed_; }

  // False when the server closed or did not read for 5 s.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // What comes within the time, at least one byte unless closed; "" on timeout or close.
  std::string receive(int timeout_ms) {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) <= 0) return {};
    char buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) closed_ = true;
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }

  // Everything until the server closes or the time is over.
  std::string receive_all(int timeout_ms = 5000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    std::string out;
    while (!closed_ && milliseconds_left(deadline) > 0) out += receive(milliseconds_left(deadline));
    return out;
  }

  // Until `count` responses with Content-Length are there.
  std::string receive_responses(int count, int timeout_ms = 5000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    std::string out;
    while (milliseconds_left(deadline) > 0) {
      int seen = 0;
      std::size_t at = 0;
      for (;;) {
        const auto end = out.find("\r\n\r\n", at);
        if (end == std::string::npos) break;
        const auto field = out.find("content-length: ", at);
        const std::size_t length = field < end ? std::stoul(out.substr(field + 16, 12)) : 0;
        if (out.size() < end + 4 + length) break;
        if (out.compare(at, 12, "HTTP/1.1 100") != 0) ++seen;
        at = end + 4 + length;
      }
      if (seen >= count || closed_) return out;
      out += receive(milliseconds_left(deadline));
    }
    return out;
  }

 private:
  int fd_;
  bool connected_ = false;
  bool closed_ = false;
};

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  const auto n = payload.size();
  std::string out;
  for (const std::uint64_t byte : {n >> 16, n >> 8, n}) out.push_back(static_cast<char>(byte));
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(stream >> shift));
  return out.append(payload);
}

inline void hpack_length(std::string& out, std::size_t n, std::size_t max, std::uint8_t first) {
  if (n < max) {
    out.push_back(static_cast<char>(first | n));
    return;
  }
  out.push_back(static_cast<char>(first | max));
  for (n -= max; n >= 128; n >>= 7) out.push_back(static_cast<char>(n | 128));
  out.push_back(static_cast<char>(n));
}

// Literals without indexing (RFC 7541 section 6.2.2).
inline std::string hpack(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out.push_back('\0');
    hpack_length(out, name.size(), 127, 0);
    out += name;
    hpack_length(out, value.size(), 127, 0);
    out += value;
  }
  return out;
}

inline std::string u32(std::uint32_t v) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(v >> shift));
  return out;
}

struct H2Reply {
  std::map<std::string, std::string> fields;  // headers and trailers
  std::string body;
  bool done = false;
  bool reset = false;
  std::uint32_t reset_code = 0;
};

class H2Client : public RawClient {
 public:
  explicit H2Client(std::uint16_t port) : RawClient(port) {
    nghttp2_hd_inflate_new(&inflater_);
    send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, {}));
    run(2000, [this] { return settings_; });
    send(frame(4, 1, 0, {}));
  }
  ~H2Client() { nghttp2_hd_inflate_del(inflater_); }

  static Fields post(std::string path, Fields more = {}) {
    Fields out = {{":method", "POST"}, {":scheme", "http"}, {":path", std::move(path)}, {":authority", "test"}};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  std::uint32_t open(const Fields& fields, bool end = false) {
    const std::uint32_t id = next_;
    next_ += 2;
    send(frame(1, static_cast<std::uint8_t>(4 | (end ? 1 : 0)), id, hpack(fields)));
    return id;
  }
  bool data(std::uint32_t id, std::string_view bytes, bool end) {
    do {
      const auto part = bytes.substr(0, 16384);
      bytes.remove_prefix(part.size());
      if (!send(frame(0, end && bytes.empty() ? 1 : 0, id, part))) return false;
    } while (!bytes.empty());
    return true;
  }
  std::uint32_t request(const Fields& fields, std::string_view body) {
    const std::uint32_t id = open(fields);
    data(id, body, true);
    return id;
  }
  H2Reply wait(std::uint32_t id, int timeout_ms = 5000) {
    run(timeout_ms, [&] { return replies[id].done || replies[id].reset; });
    return replies[id];
  }
  H2Reply call(const Fields& fields, std::string_view body) { return wait(request(fields, body)); }

  // Handles what comes until `until` or the time is over or the server closes.
  template <class Until>
  void run(int timeout_ms, Until until) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!until() && !closed() && milliseconds_left(deadline) > 0) {
      in_ += receive(milliseconds_left(deadline));
      while (take_frame()) {
      }
    }
  }
  void run_until_closed(int timeout_ms = 5000) {
    run(timeout_ms, [] { return false; });
  }

  std::uint32_t next_id() const { return next_; }

  std::map<std::uint32_t, H2Reply> replies;
  bool goaway = false;
  std::uint32_t goaway_code = 0;
  int pings = 0;

 private:
  static std::uint32_t number(std::string_view s) {
    std::uint32_t v = 0;
    for (const char c : s.substr(0, 4)) v = v << 8 | static_cast<unsigned char>(c);
    return v;
  }
  bool take_frame() {
    if (in_.size() < 9) return false;
    const std::size_t size = number(std::string(1, '\0') + in_.substr(0, 3));
    if (in_.size() < 9 + size) return false;
    const auto type = static_cast<std::uint8_t>(in_[3]);
    const auto flags = static_cast<std::uint8_t>(in_[4]);
    const std::uint32_t id = number(in_.substr(5, 4));
    const std::string payload = in_.substr(9, size);
    in_.erase(0, 9 + size);
    H2Reply& reply = replies[id];
    if (type == 4 && (flags & 1) == 0) settings_ = true;
    if (type == 6) ++pings;
    if (type == 7) {
      goaway = true;
      goaway_code = number(payload.substr(4));
    }
    if (type == 3) {
      reply.reset = true;
      reply.reset_code = number(payload);
    }
    if (type == 0) reply.body += payload;
    if (type == 1) headers(reply, payload);
    if (type <= 1 && (flags & 1) != 0) reply.done = true;
    return true;
  }
  void headers(H2Reply& reply, const std::string& block) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(block.data());
    std::size_t left = block.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t n = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
      if (n < 0) return;
      at += n;
      left -= static_cast<std::size_t>(n);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        reply.fields[std::string(reinterpret_cast<char*>(field.name), field.namelen)] =
            std::string(reinterpret_cast<char*>(field.value), field.valuelen);
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string in_;
  std::uint32_t next_ = 1;
  bool settings_ = false;
};

}  // namespace tailgate::test
