// SPDX-License-Identifier: Apache-2.0
// Clients: counts what each sender takes from one endpoint, so that a flooding sender is refused while others are
// served. A client is an identity (token, user, certificate) or, without one, an address: of IPv6 a /64, of a Unix
// socket the user at the other end.
//
//   ClientTable   4,096 clients at most, in 512 sets of 8. A new client replaces the one of its set that has been idle
//                 longest. When all of a set are busy, further clients share one account, so strangers can use up the
//                 table but not memory
//   Client        an account: memory held, bytes and spans a second
//
// A rate is paid afterwards: each request moves a due time (GCRA), and further requests are refused while the due time
// lies in the future. So a request is taken whole, however large, and the rate holds on average; `client_burst` says
// how much may arrive at once. When several bodies arrive together and the client owes more than the largest of them
// could cost, one body at a time continues and the others are refused; when it owes twice as much, no other body may
// start to continue. So a client is ahead of its rate by the burst, three such bodies, and one read of each of its
// connections at most. Threads: any. A lock and a few atomics per request, none per span.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "net/limits.h"
#include "net/refusal.h"

namespace tailgate {

class Client {
 public:
  explicit Client(const ClientLimits& limits) : limits_(limits) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Seconds until the client may send again; 0: now. The wait for spans starts with the first request that was refused
  // for them, so that one request of each period is read and its spans are counted.
  std::uint32_t bytes_wait(TimePoint now) const { return wait_of(bytes_due_, now); }
  std::uint32_t spans_wait(TimePoint now) const { return wait_of(spans_closed_until_, now); }

  // The client owes more than `count` bytes cost.
  bool owes_more_than(std::size_t count, TimePoint now) const;

  void took_bytes(std::size_t count, TimePoint now) { take(bytes_due_, count, limits_.bytes_per_second, now); }
  void took_spans(std::size_t count, TimePoint now) { take(spans_due_, count, limits_.spans_per_second, now); }
  // Called before spans are taken. 0: they may be taken; otherwise the seconds that the client must wait.
  std::uint32_t refuse_spans(TimePoint now) {
    const std::uint32_t wait = wait_of(spans_due_, now);
    if (wait != 0) spans_closed_until_.store(spans_due_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return wait;
  }

 private:
  friend class ClientShare;
  friend class ClientConnection;

  static std::uint32_t wait_of(const std::atomic<std::int64_t>& due, TimePoint now);
  static std::int64_t cost_of(std::size_t count, std::uint64_t per_second);
  void take(std::atomic<std::int64_t>& due, std::size_t count, std::uint64_t per_second, TimePoint now);

  const ClientLimits& limits_;
  std::atomic<std::int64_t> bytes_due_{INT64_MIN}, spans_due_{INT64_MIN}, spans_closed_until_{INT64_MIN};
  std::atomic<std::size_t> held_{0};
  std::atomic<bool> ahead_{false};  // one of its requests continues whatever the client owes
  std::atomic<std::size_t> connections_{0};
};

using ClientPtr = std::shared_ptr<Client>;

class ClientTable {
 public:
  // `limits` outlive the table and its clients.
  ClientTable(const ClientLimits& limits, std::uint64_t seed) : limits_(limits), seed_(seed), sets_(kSets) {}

  enum class Kind : char { kAddress = 'a', kIdentity = 'i' };
  ClientPtr find(Kind kind, std::string_view name);
  const ClientLimits& limits() const { return limits_; }

 private:
  static constexpr std::size_t kSets = 512, kWays = 8, kLocks = 16;
  struct Slot {
    std::uint64_t key = 0;
    std::uint64_t used = 0;  // the table's count when it was last asked for
    ClientPtr client;
  };
  struct Set {
    std::array<Slot, kWays> slots;
    ClientPtr others;
  };

  const ClientLimits& limits_;
  const std::uint64_t seed_;
  std::array<Mutex, kLocks> locks_;         // one for every sixteenth set
  std::vector<std::unique_ptr<Set>> sets_;  // made when first asked for
  std::atomic<std::uint64_t> uses_{0};
};

// The name that an address is counted under: the /64 of an IPv6 address, the IPv4 address that an IPv6 one maps, else
// the text itself.
std::string client_of_address(std::string_view address);

// A request's part of its client's account. Belongs to the request's thread; the destructor gives it back.
class ClientShare {
 public:
  ClientShare() = default;
  ~ClientShare() { release(); }
  ClientShare(const ClientShare&) = delete;
  ClientShare& operator=(const ClientShare&) = delete;

  // `body_max`: the body is never larger.
  void begin(ClientPtr client, std::size_t body_max) {
    release();
    client_ = std::move(client);
    body_max_ = body_max;
  }
  // The body is incomplete: `bytes` of it have come, and it takes `memory`. Returns a refusal when the client holds or
  // owes too much. A single request of a client is never refused.
  std::optional<Refusal> hold(std::size_t bytes, std::size_t memory, TimePoint now);
  // For memory that is no body. Returns false when the client holds too much.
  bool hold_memory(std::size_t memory);
  // The body has come to its end.
  void complete(std::size_t bytes, TimePoint now) {
    paid(bytes, now);
    release();
  }
  void release();

 private:
  void paid(std::size_t bytes, TimePoint now);

  ClientPtr client_;
  std::size_t body_max_ = 0;
  std::size_t held_ = 0;  // memory
  std::size_t paid_ = 0;  // bytes of the body
  bool ahead_ = false;    // this request set Client::ahead_
};

// One connection, counted among those of its identity. The destructor gives the place back.
class ClientConnection {
 public:
  ClientConnection() = default;
  ~ClientConnection() { leave(); }
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // Returns false and changes nothing when the identity has too many connections.
  bool take(const ClientPtr& client);

 private:
  void leave();
  ClientPtr client_;
};

}  // namespace tailgate
