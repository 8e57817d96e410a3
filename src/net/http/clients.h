// Clients: what each sender takes of one endpoint, so that one that floods is refused while others are served. A client
// is who it says it is (an identity: token, user, certificate), or its address; of IPv6 a /64, of a Unix socket the
// user at its other end.
//
//   ClientTable   4,096 clients at most, 512 sets of 8; the one of a set that has been quiet longest goes. Where all of
//                 a set are at work, the rest of it shares one account: strangers can use up the table, not memory
//   Client        an account: bytes held, bytes and spans a second
//
// Rates are paid afterwards: what is taken moves a due time (GCRA), and nothing is taken while it lies in the future.
// So a request is taken whole, however large, and the rate holds on average; `client_burst` is what may come at once.
// Of several bodies that arrive together, once more is owed than the largest could cost, one at a time goes on and the
// others are refused; none begins to go on while twice as much is owed. So a client is ahead of its rate by burst +
// three such bodies + one read of each of its connections at most. Threads: any. A lock and a few atomics per request,
// none per span.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/limits.h"
#include "net/refusal.h"

namespace tailgate {

class Client {
 public:
  explicit Client(const ClientLimits& limits) : limits_(limits) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Seconds until it may send again; 0: now. Of spans it counts from the first request that was refused for them, so
  // that one of each such period is read and its spans are counted.
  std::uint32_t bytes_wait(TimePoint now) const { return wait_of(bytes_due_, now); }
  std::uint32_t spans_wait(TimePoint now) const { return wait_of(spans_closed_until_, now); }

  // More is owed than `count` bytes cost.
  bool owes_more_than(std::size_t count, TimePoint now) const;

  void took_bytes(std::size_t count, TimePoint now) { take(bytes_due_, count, limits_.bytes_per_second, now); }
  void took_spans(std::size_t count, TimePoint now) { take(spans_due_, count, limits_.spans_per_second, now); }
  // Asked before spans are taken. 0: they may be; else seconds to wait, and it has to.
  std::uint32_t refuse_spans(TimePoint now) {
    const std::uint32_t wait = wait_of(spans_due_, now);
    if (wait != 0) spans_closed_until_.store(spans_due_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return wait;
  }

 private:
  friend class ClientShare;
  friend class ClientSeat;

  static std::uint32_t wait_of(const std::atomic<std::int64_t>& due, TimePoint now);
  static std::int64_t cost_of(std::size_t count, std::uint64_t per_second);
  void take(std::atomic<std::int64_t>& due, std::size_t count, std::uint64_t per_second, TimePoint now);

  const ClientLimits& limits_;
  std::atomic<std::int64_t> bytes_due_{INT64_MIN}, spans_due_{INT64_MIN}, spans_closed_until_{INT64_MIN};
  std::atomic<std::size_t> held_{0};
  std::atomic<bool> ahead_{false};  // a request of it goes on whatever is owed
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
  std::array<std::mutex, kLocks> locks_;    // of every sixteenth set
  std::vector<std::unique_ptr<Set>> sets_;  // made when first asked for
  std::atomic<std::uint64_t> uses_{0};
};

// What an address counts as: itself, an IPv6 address as its /64, one that maps IPv4 as that. Other text stays.
std::string client_of_address(std::string_view address);

// A request's part of its client's account. Belongs to the request's thread; gone with it.
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
  // The body is incomplete and holds `bytes` in all. A refusal when the client holds or owes too much; one request
  // alone never gets one.
  std::optional<Refusal> hold(std::size_t bytes, TimePoint now);
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
  std::size_t held_ = 0;
  std::size_t paid_ = 0;
  bool ahead_ = false;  // ours is the one of Client::ahead_
};

// A connection's place among those of one identity.
class ClientSeat {
 public:
  ClientSeat() = default;
  ~ClientSeat() { leave(); }
  ClientSeat(const ClientSeat&) = delete;
  ClientSeat& operator=(const ClientSeat&) = delete;

  // False when there is no place; then it is as before.
  bool take(const ClientPtr& client);

 private:
  void leave();
  ClientPtr client_;
};

}  // namespace tailgate
