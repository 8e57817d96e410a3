// SPDX-License-Identifier: Apache-2.0
#include "net/http/clients.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace tailgate {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kWaitMax = 30;  // seconds; a sender that is told more may give up
constexpr std::uint64_t kCountMax = std::uint64_t{1} << 32;

std::int64_t nanos(TimePoint t) { return t.time_since_epoch().count(); }

}  // namespace

std::uint32_t Client::wait_of(const std::atomic<std::int64_t>& due, TimePoint now) {
  const std::int64_t at = due.load(std::memory_order_relaxed);
  if (at <= nanos(now)) return 0;
  return static_cast<std::uint32_t>(std::min<std::int64_t>((at - nanos(now) + kSecond - 1) / kSecond, kWaitMax));
}

// Nanoseconds.
std::int64_t Client::cost_of(std::size_t count, std::uint64_t per_second) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(count, kCountMax) * kSecond / per_second);
}

bool Client::owes_more_than(std::size_t count, TimePoint now) const {
  if (limits_.bytes_per_second == 0) return false;
  return bytes_due_.load(std::memory_order_relaxed) > nanos(now) + cost_of(count, limits_.bytes_per_second);
}

void Client::take(std::atomic<std::int64_t>& due, std::size_t count, std::uint64_t per_second, TimePoint now) {
  if (per_second == 0 || count == 0) return;
  const std::int64_t cost = cost_of(count, per_second);
  const std::int64_t from = nanos(now) - limits_.burst.count();
  std::int64_t before = due.load(std::memory_order_relaxed);
  while (!due.compare_exchange_weak(before, std::max(before, from) + cost, std::memory_order_relaxed)) {
  }
}

ClientPtr ClientTable::find(Kind kind, std::string_view name) {
  const std::uint64_t key = hash_bytes(name, seed_ ^ static_cast<std::uint64_t>(kind)) | 1;  // 0 is an empty slot
  const std::size_t at = (key >> 32) % kSets;
  const MutexLock lock(locks_[at % kLocks]);
  if (sets_[at] == nullptr) sets_[at] = std::make_unique<Set>();
  Set& set = *sets_[at];
  const std::uint64_t use = uses_.fetch_add(1, std::memory_order_relaxed) + 1;
  Slot* quietest = nullptr;
  for (Slot& slot : set.slots) {
    if (slot.key == key) {
      slot.used = use;
      return slot.client;
    }
    // References are made under the lock or copied from existing ones, so a single reference is the table's own.
    const bool free = slot.client == nullptr || slot.client.use_count() == 1;
    if (free && (quietest == nullptr || slot.used < quietest->used)) quietest = &slot;
  }
  if (quietest == nullptr) {
    if (set.others == nullptr) set.others = std::make_shared<Client>(limits_);
    return set.others;
  }
  *quietest = {key, use, std::make_shared<Client>(limits_)};
  return quietest->client;
}

std::string client_of_address(std::string_view address) {
  std::string text(address);
  in6_addr v6{};
  if (text.find(':') == std::string::npos || ::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
  char out[INET6_ADDRSTRLEN] = "";
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    ::inet_ntop(AF_INET, v6.s6_addr + 12, out, sizeof out);
    return out;
  }
  std::memset(v6.s6_addr + 8, 0, 8);
  ::inet_ntop(AF_INET6, &v6, out, sizeof out);
  return std::string(out) + "/64";
}

std::optional<Refusal> ClientShare::hold(std::size_t bytes, std::size_t memory, TimePoint now) {
  if (client_ == nullptr) return std::nullopt;
  paid(bytes, now);
  if (!ahead_ && client_->owes_more_than(body_max_, now)) {
    // If all were refused, a sender that sends them all again would never get one through.
    if (client_->owes_more_than(2 * body_max_, now) || client_->ahead_.exchange(true, std::memory_order_relaxed))
      return Refusal(RefuseWhy::kClientBytes, client_->bytes_wait(now));
    ahead_ = true;
  }
  if (!hold_memory(memory)) return RefuseWhy::kClientHeldBytes;
  return std::nullopt;
}

bool ClientShare::hold_memory(std::size_t memory) {
  if (client_ == nullptr) return true;
  if (memory <= held_) {
    client_->held_.fetch_sub(held_ - memory, std::memory_order_relaxed);
    held_ = memory;
    return true;
  }
  const std::size_t more = memory - held_;
  const std::size_t all = client_->held_.fetch_add(more, std::memory_order_relaxed) + more;
  held_ = memory;
  const std::size_t max = client_->limits_.held_bytes;
  return max == 0 || all <= max || all == memory;
}

void ClientShare::paid(std::size_t bytes, TimePoint now) {
  if (client_ == nullptr || bytes <= paid_) return;
  client_->took_bytes(bytes - paid_, now);
  paid_ = bytes;
}

void ClientShare::release() {
  if (client_ != nullptr && held_ != 0) client_->held_.fetch_sub(held_, std::memory_order_relaxed);
  if (ahead_) client_->ahead_.store(false, std::memory_order_relaxed);
  client_.reset();
  held_ = paid_ = 0;
  ahead_ = false;
}

bool ClientConnection::take(const ClientPtr& client) {
  if (client == client_) return true;
  const std::size_t max = client->limits_.connections;
  if (client->connections_.fetch_add(1, std::memory_order_relaxed) >= max && max != 0) {
    client->connections_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  leave();
  client_ = client;
  return true;
}

void ClientConnection::leave() {
  if (client_ != nullptr) client_->connections_.fetch_sub(1, std::memory_order_relaxed);
  client_.reset();
}

}  // namespace tailgate
