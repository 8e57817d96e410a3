// SPDX-License-Identifier: Apache-2.0
// A kept trace for queues, which do not read its bytes.
#pragma once

#include <memory>

#include "model/kept_trace.h"

namespace tailgate::test {

// Of `wire` OTLP bytes; bytes() is larger by a constant.
inline KeptTracePtr kept_trace(std::size_t wire, bool by_chance = false, std::uint32_t spans = 1,
                               const char* policy = "errors") {
  auto t = std::make_shared<KeptTrace>();
  t->otlp.assign(wire, 'x');
  t->spans = spans;
  t->policy = policy;
  t->verdict.chance = by_chance;
  return t;
}

}  // namespace tailgate::test
