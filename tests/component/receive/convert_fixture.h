// SPDX-License-Identifier: Apache-2.0
// A receiver of a converted protocol over real sockets, and what it hands on.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <thread>

#include "otlp_twin.pb.h"
#include "receive/receiver.h"
#include "support/foreign_twin.h"
#include "support/gzip.h"
#include "support/raw_client.h"

namespace tailgate::test {

struct ConvertFixture {
  using Answer = std::function<Result<std::string>(ByteView)>;
  explicit ConvertFixture(std::unique_ptr<Receiver> r, std::size_t budget_bytes = 256 << 20,
                          Answer sampling_strategy = {})
      : budget({budget_bytes, 0, 0, 0}), receiver(std::move(r)) {
    threads.start();
    ReceiverContext context;
    context.threads = &threads;
    context.budget = &budget;
    context.ingest = [this](SourceId source, ByteView otlp, Client*) {
      const std::lock_guard lock(mutex);
      if (fails) throw std::bad_alloc();
      if (answer.kind != IngestResult::Kind::kAccepted) return answer;
      twin::TracesData data;
      good &= data.ParseFromArray(otlp.data(), static_cast<int>(otlp.size()));
      for (FlatSpan& span : flatten(data)) {
        taken.push_back(std::move(span));
        ++by_format[formats.at(source)];
      }
      return answer;
    };
    context.source = [this](std::string_view, std::string_view format) {
      formats.emplace_back(format);
      return static_cast<SourceId>(formats.size() - 1);
    };
    context.refused = [this](SourceId, RefusalReason reason) {
      const std::lock_guard lock(mutex);
      ++refused[std::string(reason.name)];
    };
    context.log_refused = [this](SourceId source, RefusalReason reason, std::string_view peer, std::string_view text) {
      const std::lock_guard lock(mutex);
      logged.push_back(formats.at(source) + " " + std::string(reason.name) + " " + std::string(peer) + " " +
                       std::string(text));
    };
    context.notice = [](std::string_view) {};
    context.sampling_strategy = std::move(sampling_strategy);
    const auto started = receiver->start(context);
    INFO((started ? "" : started.error().text));
    REQUIRE(started);
    for (const auto& e : receiver->endpoints()) {
      ports.push_back(static_cast<std::uint16_t>(std::stoi(e.substr(e.rfind(':') + 1))));
    }
  }
  ~ConvertFixture() { receiver->stop(std::chrono::milliseconds(0)); }

  std::string call(std::size_t port, const std::string& request) const {
    RawClient c(ports.at(port));
    c.send(request);
    return c.receive_responses(1);
  }
  std::string status(std::size_t port, const std::string& request) const { return call(port, request).substr(9, 3); }

  std::size_t count() {
    const std::lock_guard lock(mutex);
    return taken.size();
  }
  // Until so many spans are there, or five seconds are over.
  bool wait_for(std::size_t spans) {
    for (int i = 0; i < 5000 && count() < spans; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return count() == spans;
  }

  ByteBudget budget;
  IoThreads threads{2};
  std::unique_ptr<Receiver> receiver;
  std::vector<std::uint16_t> ports;
  std::mutex mutex;
  std::vector<std::string> formats;
  std::vector<FlatSpan> taken;
  std::map<std::string, int> by_format, refused;
  std::vector<std::string> logged;  // format, reason, peer and text of what is refused
  bool good = true;
  IngestResult answer;
  bool fails = false;  // throws
};

class UdpSender {
 public:
  explicit UdpSender(std::uint16_t port, bool v6 = false) : fd_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    to4.sin_port = htons(port);
    to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    to6.sin6_port = htons(port);
    to6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    const sockaddr* const to = v6 ? reinterpret_cast<sockaddr*>(&to6) : reinterpret_cast<sockaddr*>(&to4);
    connected_ = ::connect(fd_, to, v6 ? sizeof to6 : sizeof to4) == 0;
  }
  ~UdpSender() { ::close(fd_); }
  bool connected() const { return connected_; }
  bool send(std::string_view bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  }

 private:
  int fd_;
  bool connected_ = false;
};

}  // namespace tailgate::test
