// SPDX-License-Identifier: Apache-2.0
#include "net/client/host_lookup.h"

#include "base/mutex.h"

#include <fmt/format.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <deque>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace tailgate {
namespace asio = boost::asio;

Result<HostAddresses> ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (const int rv = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); rv != 0)
    return fail(ErrorKind::kUnavailable, ::gai_strerror(rv));
  HostAddresses out;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    if (one->ai_family == AF_INET) {
      sockaddr_in at{};
      std::memcpy(&at, one->ai_addr, sizeof at);
      out.push_back(asio::ip::address_v4(ntohl(at.sin_addr.s_addr)).to_string());
    } else if (one->ai_family == AF_INET6) {
      sockaddr_in6 at{};
      std::memcpy(&at, one->ai_addr, sizeof at);
      asio::ip::address_v6::bytes_type bytes{};
      std::memcpy(bytes.data(), &at.sin6_addr, bytes.size());
      out.push_back(asio::ip::address_v6(bytes, at.sin6_scope_id).to_string());
    }
  }
  ::freeaddrinfo(list);
  if (out.empty()) return fail(ErrorKind::kUnavailable, "it has no address");
  return out;
}

// What the detached thread and its HostLookup share. The thread posts under the mutex and only while there is an owner,
// so that the io_context cannot end in between.
struct HostLookup::Shared {
  Mutex mutex;
  HostLookup* owner;  // null: gone. Written under the mutex by the owner's thread, which reads it without
  const Ask ask;
  std::deque<std::string> hosts TAILGATE_GUARDED_BY(mutex);
  bool running TAILGATE_GUARDED_BY(mutex) = false;  // the thread

  Shared(HostLookup* o, Ask a) : owner(o), ask(std::move(a)) {}

  static void run(const std::shared_ptr<Shared>& self) {
    while (std::optional<std::string> host = self->next()) {
      Result<HostAddresses> addresses = self->ask(*host);
      const MutexLock lock(self->mutex);
      if (self->owner == nullptr) continue;  // there is no next one either
      asio::post(self->owner->io_, [self, host = std::move(*host), addresses = std::move(addresses)] {
        if (self->owner != nullptr) self->owner->found(host, addresses);
      });
    }
  }

  // Nothing: the thread ends.
  std::optional<std::string> next() {
    const MutexLock lock(mutex);
    running = owner != nullptr && !hosts.empty();
    if (!running) return std::nullopt;
    std::string host = std::move(hosts.front());
    hosts.pop_front();
    return host;
  }
};

struct HostLookup::Asked {
  asio::executor_work_guard<asio::io_context::executor_type> work;  // io_context::run() stays for the answer
  std::vector<std::pair<std::uint64_t, Found>> waiting = {};
};

HostLookup::HostLookup(asio::io_context& io, Ask ask) : io_(io), shared_(new Shared(this, std::move(ask))) {}

HostLookup::~HostLookup() {
  const MutexLock lock(shared_->mutex);
  shared_->owner = nullptr;
}

std::uint64_t HostLookup::look_up(const std::string& host, Found found) {
  const auto [it, fresh] = asked_.try_emplace(host, Asked{asio::make_work_guard(io_)});
  it->second.waiting.emplace_back(++numbers_, std::move(found));
  if (!fresh) return numbers_;
  const MutexLock lock(shared_->mutex);
  shared_->hosts.push_back(host);
  if (shared_->running) return numbers_;
  try {
    std::thread thread([shared = shared_] { Shared::run(shared); });
    pthread_setname_np(thread.native_handle(), "look up");
    thread.detach();
    shared_->running = true;
  } catch (const std::system_error& e) {
    shared_->hosts.clear();
    asio::post(io_, [shared = shared_, host, why = std::string(e.what())] {
      if (shared->owner != nullptr) shared->owner->found(host, fail(ErrorKind::kUnavailable, "no thread: " + why));
    });
  }
  return numbers_;
}

void HostLookup::forget(std::uint64_t number) {
  const auto has_number = [number](const auto& one) { return one.first == number; };
  for (auto& [host, asked] : asked_) std::erase_if(asked.waiting, has_number);
  std::erase_if(answering_, has_number);
}

void HostLookup::found(const std::string& host, const Result<HostAddresses>& addresses) {
  const auto it = asked_.find(host);
  if (it == asked_.end()) return;
  answering_ = std::move(it->second.waiting);
  asked_.erase(it);
  // A callback may ask again, forget others of them, or end this object.
  const std::shared_ptr<Shared> shared = shared_;
  while (shared->owner != nullptr && !answering_.empty()) {
    const Found call = std::move(answering_.front().second);
    answering_.erase(answering_.begin());
    call(addresses);
  }
}

}  // namespace tailgate
