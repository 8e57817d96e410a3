// SPDX-License-Identifier: Apache-2.0
// A KeptSink that calls a function and never makes room.
#pragma once

#include <functional>
#include <utility>

#include "buffer/store/kept_sink.h"

namespace tailgate::test {

class FunctionSink final : public KeptSink {
 public:
  explicit FunctionSink(std::function<void(KeptTracePtr)> push) : push_(std::move(push)) {}

  void push(KeptTracePtr kept) override { push_(std::move(kept)); }
  bool make_room(std::size_t, bool) override { return false; }

 private:
  const std::function<void(KeptTracePtr)> push_;
};

}  // namespace tailgate::test
