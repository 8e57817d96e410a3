// SPDX-License-Identifier: Apache-2.0
// SpanWatcher: sees every span that a scan puts into a batch, for what is counted over all spans and not by trace.
//
// A scan may end in a refusal, so a watcher keeps what it saw until it is told what became of the spans. One watcher
// belongs to one thread at a time; views are valid until taken() or refused().
#pragma once

#include "base/clock.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

class SpanWatcher {
 public:
  virtual ~SpanWatcher() = default;

  // The spans that follow have this resource. `attributes` are the resource's, in the slots of the plan.
  virtual void on_resource(const ByteView* attributes) = 0;
  // A span with good ids; called per span, in the order of the request.
  virtual void on_span(const SpanFields& span) = 0;
};

// A watcher with an end, as receivers use it: begin() of a request's first scan, then, for each slice, one of taken()
// and refused(). Threads: any; each has a watcher of its own.
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
