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
      : charge_(budget != nullptr ? Charge(*budget, Holder::kRequests) : Charge()) {}
  bool grow(std::size_t bytes) override { return charge_.try_grow(bytes, bytes > kLargeBody ? kReserveParts : 0); }

 private:
  Charge charge_;
};

}  // namespace tailgate
