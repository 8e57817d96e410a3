// SPDX-License-Identifier: Apache-2.0
// A ConversionRoom that grants so many bytes in all.
#pragma once

#include "codec/byte_sink.h"

namespace tailgate::test {

class LimitedRoom final : public ConversionRoom {
 public:
  explicit LimitedRoom(std::size_t bytes) : left_(bytes) {}
  bool grow(std::size_t bytes) override {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }

 private:
  std::size_t left_;
};

}  // namespace tailgate::test
