// SPDX-License-Identifier: Apache-2.0
// Reread: what a receiver asks of the daemon whose spans stay where they came from until it says that it is through
// with them, as those of a topic of Kafka do. It hands them in, learns up to when all of them are settled, lets go of
// what somebody else is to have, and carries verdicts to whoever reads the same spans again.
//
// Settled: the trace is decided, and what was kept of it was delivered (model/delivery.h).
//
// Threads: one for each Reread. Called per batch of records and a few times a second, never per span.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/clock.h"
#include "model/ids.h"
#include "model/span_batch.h"
#include "model/verdict.h"
#include "receive/ingest.h"

namespace tailgate {

class Reread {
 public:
  virtual ~Reread() = default;

  // For what is forgotten at a time. 0: there is no number left.
  virtual SpanOrigin new_origin() = 0;

  virtual IngestResult ingest(SourceId source, ByteView otlp, SpanOrigin origin) = 0;
  // The memory for open traces or for kept ones, or the queue of an exporter, is nearly used up: whoever can wait
  // should, before traces are decided early, or kept ones shed. Also while what was pushed out is not read again.
  virtual bool memory_is_short() const = 0;
  // A full queue pushed a kept trace out, and there is room again: all that is not settled is to be read again. Until
  // reads_again() that trace is never settled.
  virtual bool should_read_again() const = 0;
  virtual void reads_again() = 0;

  struct Decided {
    TimePoint before{};          // every trace that began before this is decided, so far as the next is reached
    std::uint64_t verdicts = 0;  // of the whole process, made until then
  };
  virtual Decided decided(TimePoint now) = 0;
  // No trace that began before this was kept and is not delivered.
  virtual TimePoint delivered_before(TimePoint now) = 0;
  // Lets go of open traces that have spans of `origin` only; one that has others, too, is decided here.
  virtual void forget(SpanOrigin origin) = 0;

  struct Told {
    TraceId id;
    SpanOrigin origin = 0;
    Verdict verdict;
    std::string_view words;  // decide/verdict_words.h; until `take` returns
  };
  // Gives away the verdicts of traces that spans of this Reread opened. Of the process, so many verdicts were made and
  // given away, now or by an earlier call, as far as they are of this Reread.
  virtual std::uint64_t take_verdicts(const std::function<void(const Told&)>& take) = 0;
  // Spans of this trace are late from now on.
  virtual void remember(const TraceId& id, const Verdict& verdict, std::string_view words) = 0;
};

}  // namespace tailgate
