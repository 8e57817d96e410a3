// SPDX-License-Identifier: Apache-2.0
// KeptTrace: a trace (or late spans of one) on its way out. Immutable once made and shared by every exporter's queue;
// its bytes are charged to the budget's `queues` until the last queue lets go of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/byte_budget.h"
#include "model/delivery.h"
#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

// The facts of a kept trace as a whole.
struct TraceSummary {
  TraceId id;
  std::uint64_t start_ns = 0;  // first start and last end over its spans, Unix nanoseconds by the senders' clocks
  std::uint64_t end_ns = 0;
  std::uint32_t errors = 0;
  std::string root_service;  // service.name and name of the root span; of the first span when no root arrived
  std::string root_name;
  bool has_root = false;
  bool late = false;  // these spans arrived after the verdict
  bool own = false;   // one of the daemon's own traces
  Verdict verdict;
  std::string policy;           // name of the policy that kept it
  std::uint64_t exporters = 0;  // bit i: exporter i of the configuration, in its order, gets it
  // A trace of more than 2 MiB goes out in parts, since backends refuse requests over some size (4 MiB is gRPC's
  // default): number `part` of `parts`, from 0.
  std::uint32_t part = 0, parts = 1;
};

struct KeptTrace : TraceSummary {
  // `resource_spans` fields of an ExportTraceServiceRequest, tags included: requests are made by concatenation.
  std::string otlp;
  std::uint32_t spans = 0;  // in otlp
  Charge charge;
  // An exporter's queue made this out of some spans of `whole`, for a backend that takes smaller requests; or null. The
  // bytes are charged there.
  std::shared_ptr<const KeptTrace> whole = nullptr;
  DeliveryShare delivery;

  std::size_t bytes() const { return otlp.capacity() + sizeof(KeptTrace) + 64; }
};

using KeptTracePtr = std::shared_ptr<const KeptTrace>;

}  // namespace tailgate
