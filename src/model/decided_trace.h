// SPDX-License-Identifier: Apache-2.0
// DecidedTrace: that a trace was decided, or went elsewhere to be decided, and with which of its spans, for a log of
// decisions. A plain value.
#pragma once

#include <cstdint>

#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

struct DecidedTrace {
  TraceId id;
  Verdict verdict;
  // It has the spans of requests whose own order is lower; or, when `upto` is not 0, those that came out of a journal
  // before this position.
  std::uint64_t order = 0;
  std::uint64_t upto = 0;
  bool moved = false;        // it was not decided: it went to another daemon, which decides
  std::uint16_t origin = 0;  // SpanOrigin of the spans that opened it
};

}  // namespace tailgate
