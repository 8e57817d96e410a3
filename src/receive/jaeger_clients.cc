// SPDX-License-Identifier: Apache-2.0
#include "receive/jaeger_clients.h"

#include "base/hash.h"

namespace tailgate {

std::uint64_t JaegerClients::new_seed() { return random_seed(); }

JaegerClients::Client& JaegerClients::find(std::uint64_t key) {
  if (const auto it = young_.find(key); it != young_.end()) return it->second;
  if (young_.size() >= kGeneration) {
    old_ = std::move(young_);
    young_.clear();
  }
  Client& client = young_[key];
  if (const auto it = old_.find(key); it != old_.end()) client = it->second;
  return client;
}

void JaegerClients::record(const JaegerClient& batch, std::uint64_t sender) {
  if (!batch.seq_no && !batch.lost) return;
  const std::uint64_t key =
      batch.uuid.empty() ? hash_bytes(batch.service_name, seed_ ^ sender) : hash_bytes(batch.uuid, seed_);
  const MutexLock lock(mutex_);
  Client& client = find(key);
  if (batch.seq_no && *batch.seq_no >= 0) {
    // A step of more than one: the batches in between are lost. A small step back: late or repeated. A large step: a
    // new client.
    const std::int64_t step = *batch.seq_no - client.seq_no;
    if (client.seq_no >= 0 && step > 1 && step <= kGapMax) lost_.batches += static_cast<std::uint64_t>(step - 1);
    if (client.seq_no < 0 || step > 0 || step < -1000) client.seq_no = *batch.seq_no;
  }
  if (batch.lost) {
    // By ClientLoss.
    const std::array<std::int64_t, kClientLossNames.size()> now = {batch.lost->full_queue, batch.lost->too_large,
                                                                   batch.lost->failed_to_emit};
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] < 0) continue;
      const std::int64_t more = now[i] - client.spans[i];
      // Counting begins with the first report, and again when a report goes back.
      if (client.has_spans && more > 0 && more <= 1'000'000'000) lost_.spans[i] += static_cast<std::uint64_t>(more);
      client.spans[i] = now[i];
    }
    client.has_spans = true;
  }
}

JaegerClients::Lost JaegerClients::lost() const {
  const MutexLock lock(mutex_);
  return lost_;
}

}  // namespace tailgate
