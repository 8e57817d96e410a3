// SPDX-License-Identifier: Apache-2.0
// SendQueue: traces that leave it as if they had never been pushed, for a durable queue or for other queues.
#include <algorithm>
#include <utility>

#include "export/queue/send_queue.h"

namespace tailgate {

void SendQueue::park_excess() {
  if (options_.durable.directory.empty()) return;
  while (slots_.aside_bytes() > options_.durable.window_max) {
    std::optional<BatchSlot> slot = slots_.take_last_aside();
    if (!park(*slot)) return slots_.set_aside(std::move(*slot));
  }
}

void SendQueue::count_as_never_pushed(const KeptTrace& trace) {
  stats_.routed_spans -= trace.spans;
  stats_.queued_spans -= trace.spans;
  stats_.queued_bytes -= trace.bytes();
}

// The traces leave this queue as if they had never been pushed. Pieces do not: others of their trace may have ended.
bool SendQueue::park(const BatchSlot& slot) {
  const std::vector<KeptTracePtr>& traces = slot.batch->traces;
  if (std::any_of(traces.begin(), traces.end(), [](const KeptTracePtr& t) { return t->whole != nullptr; }))
    return false;
  for (const KeptTracePtr& t : traces) {
    count_as_never_pushed(*t);
    parked_.push_back(t);
  }
  return true;
}

std::vector<KeptTracePtr> SendQueue::take_parked() { return std::exchange(parked_, {}); }

std::vector<KeptTracePtr> SendQueue::take_waiting() {
  std::vector<KeptTracePtr> out;
  const auto take = [&](const std::optional<BatchSlot>& slot) {
    if (slot) out.insert(out.end(), slot->batch->traces.begin(), slot->batch->traces.end());
    return slot.has_value();
  };
  while (take(slots_.take_waiting()) || take(slots_.take_last_aside())) {
  }
  while (oldest() != nullptr) out.push_back(take_oldest());
  for (const KeptTracePtr& t : out) {
    count_as_never_pushed(*t);
    gone(t);
  }
  return out;
}

}  // namespace tailgate
