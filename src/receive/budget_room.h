// SPDX-License-Identifier: Apache-2.0
// BudgetRoom: the memory that a conversion to OTLP takes, charged to the budget's `requests` and given back with this
// object. Belongs to one thread.
#pragma once

#include "base/byte_budget.h"
#include "codec/byte_sink.h"
#include "net/body_buffer.h"

namespace tailgate {

class BudgetRoom final : public ConversionRoom {
 public:
  // A null budget has room for everything.
  explicit BudgetRoom(ByteBudget* budget)
      : cap_(budget != nullptr ? budget->cap(Holder::kRequests) : SIZE_MAX),
        charge_(budget != nullptr ? Charge(*budget, Holder::kRequests) : Charge()) {}
  bool grow(std::size_t bytes) override {
    const std::size_t parts = bytes > kLargeBody ? kReserveParts : 0;
    if (charge_.try_grow(bytes, parts)) return true;
    refused_ = charge_.bytes() + bytes + (parts != 0 ? cap_ / parts : 0);
    return false;
  }
  // What was refused would not fit either if nobody but the holder of `taken` bytes had any.
  bool never(std::size_t taken) const { return refused_ + taken > cap_; }

 private:
  const std::size_t cap_;
  std::size_t refused_ = 0;  // with what was granted before it
  Charge charge_;
};

}  // namespace tailgate
