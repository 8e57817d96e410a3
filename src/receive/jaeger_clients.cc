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

void JaegerClients::saw(const JaegerClient& said, std::uint64_t sender) {
  if (!said.seq_no && !said.lost) return;
  const std::uint64_t key =
      said.uuid.empty() ? hash_bytes(said.service_name, seed_ ^ sender) : hash_bytes(said.uuid, seed_);
  const std::lock_guard lock(mutex_);
  Client& client = find(key);
  if (said.seq_no && *said.seq_no >= 0) {
    // Forward by more than one: what lies between is lost. A little backward: late or repeated. Far off: a new client.
    const std::int64_t step = *said.seq_no - client.seq_no;
    if (client.seq_no >= 0 && step > 1 && step <= kGapMax) lost_.batches += static_cast<std::uint64_t>(step - 1);
    if (client.seq_no < 0 || step > 0 || step < -1000) client.seq_no = *said.seq_no;
  }
  if (said.lost) {
    const std::array<std::int64_t, 3> now = {said.lost->full_queue, said.lost->too_large, said.lost->failed_to_emit};
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] < 0) continue;
      const std::int64_t more = now[i] - client.spans[i];
      // A first report, or one that has gone back, is where counting begins.
      if (client.has_spans && more > 0 && more <= 1'000'000'000) lost_.spans[i] += static_cast<std::uint64_t>(more);
      client.spans[i] = now[i];
    }
    client.has_spans = true;
  }
}

JaegerClients::Lost JaegerClients::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace tailgate
