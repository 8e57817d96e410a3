// SPDX-License-Identifier: Apache-2.0
// ExplainValues: some values of the attributes that policies ask for, as they stood in the spans of a decided trace. So
// that "why was it not kept" is answered with the value that did not match. Records of one size, written without
// allocation; they become words when somebody asks. Threads: the holder of the shard's lock, or of a copy.
#pragma once

#include <cstdint>
#include <string>

#include "wire/otlp/attribute_value.h"

namespace tailgate {

struct ExplainValues {
  static constexpr std::size_t kBytes = 248;
  static constexpr std::size_t kOfSlot = 2;      // different values of an attribute
  static constexpr std::size_t kTextBytes = 40;  // of a text

  std::uint32_t record = 0;  // number of the one it belongs to + 1
  std::uint8_t size = 0;     // of the bytes that are taken
  bool whole = false;        // all spans were looked at, and there was room for what they say
  char bytes[kBytes];        // entries: slot of the ScanPlan, kind, size; then a text, or 8 bytes of a number

  void add(std::size_t slot, const AttributeValue& value);
  // In words: `"/cart", "/home" and others`, "on no span"; "": not known.
  std::string words(std::size_t slot) const;
};
static_assert(sizeof(ExplainValues) == 256);

}  // namespace tailgate
