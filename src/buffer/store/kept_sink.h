// SPDX-License-Identifier: Apache-2.0
// KeptSink: where kept traces go; the exporters' queues in the daemon.
//
// Threads: any, several at once, never with a shard's lock held. Called once per kept trace, not per span.
#pragma once

#include <cstddef>

#include "model/kept_trace.h"

namespace tailgate {

class KeptSink {
 public:
  virtual ~KeptSink() = default;
  virtual void push(KeptTracePtr kept) = 0;
  // May free queue memory by dropping what matters least: for a trace kept by chance, only others kept by chance. True:
  // `bytes` may fit now.
  virtual bool make_room(std::size_t bytes, bool by_chance) = 0;
};

}  // namespace tailgate
