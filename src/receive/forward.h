// SPDX-License-Identifier: Apache-2.0
// SpanForwarder: takes out of a request what another daemon is to have, in a cluster of them (docs/cluster.md).
//
// Threads: any; called a few times for each request or slice of one, never per span. From begin() to end() what belongs
// to whom does not change.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "model/kept_trace.h"
#include "model/span_batch.h"

namespace tailgate {

// How often the spans of a request have been forwarded, as the header says.
enum class Hop : std::uint8_t {
  kStart,  // they come from a sender
  kFirst,  // who gets them says where they belong
  kSecond,
  kLast,  // are taken here
};
inline constexpr std::size_t kHops = 3;                         // of forwarded spans
inline constexpr std::string_view kHopHeader = "tailgate-hop";  // "1" to "3"
// With kHopHeader: the member that sends it. Signals are counted where spans first reach a member.
inline constexpr std::string_view kFromHeader = "tailgate-from";

struct Forwarded {
  Hop hop = Hop::kStart;
  bool by_member = false;
};

// Whether it can be told here which traces are open or remembered.
enum class Known : std::uint8_t {
  kAll,
  kNotYet,  // some are still in the journal: where it matters, it cannot be told yet whose a trace is
  kFirst,   // it can, and what is known stays here whatever else speaks for another
};

// Of a request, what goes to another daemon; or (`unsure`) what waits until it is known where it goes.
using WritePart = std::function<void(const std::shared_ptr<KeptTrace>& part, bool unsure)>;

class SpanForwarder {
 public:
  virtual ~SpanForwarder() = default;

  virtual void begin() = 0;
  virtual void end() = 0;

  enum class Split : std::uint8_t { kAllHere, kSome, kNoRoom };
  // Takes the traces of other members out of `slice`, and makes room for them in the members' queues. After kSome comes
  // send() or cancel(), on the same thread, before the next split(). The spans of `slice` must live until then.
  virtual Split split(SpanBatch& slice, Hop hop, Known known) = 0;
  // Hands them to the queues. How many spans. `write` is called with each before; it may be empty, but after
  // Known::kNotYet: what is unsure is nowhere else.
  virtual std::uint64_t send(TimePoint now, const WritePart& write) = 0;
  virtual void cancel() = 0;

  // One request's turn.
  class Turn {
   public:
    explicit Turn(SpanForwarder* forwarder) : forwarder_(forwarder) {
      if (forwarder_ != nullptr) forwarder_->begin();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (forwarder_ != nullptr) forwarder_->end();
    }

   private:
    SpanForwarder* const forwarder_;
  };
};

// Appends what is left in `slice`, framed again, to `otlp`.
void append_framed(const SpanBatch& slice, std::string& otlp);

}  // namespace tailgate
