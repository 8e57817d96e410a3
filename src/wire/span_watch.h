// SPDX-License-Identifier: Apache-2.0
// SpanWatch: a SpanWatcher as receivers use it. A request may be refused after it was scanned, so what a thread's
// watcher saw counts only once the spans are taken: begin() for a request, then, for each of its slices, taken() or
// refused().
//
// Threads: any; each has a watcher of its own.
#pragma once

#include "base/clock.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

class SpanWatch {
 public:
  virtual ~SpanWatch() = default;

  // This thread's watcher, empty, for a request that is scanned by `plan`, which lives until the last slice is over.
  virtual SpanWatcher& begin(const ScanPlan& plan) = 0;
  // The spans that this thread's watcher has seen since begin() or the last slice were taken.
  virtual void taken(TimePoint now) = 0;
  // They were refused: forget them.
  virtual void refused() = 0;
};

}  // namespace tailgate
