// SPDX-License-Identifier: Apache-2.0
// Repairs JSON whose strings, keys among them, hold what JSON does not allow there and senders write all the same: half
// of a surrogate pair (a text that JavaScript cut inside an emoji), bytes that are not UTF-8, and control characters
// without an escape. Everything outside of strings stays as it is.
//
// A parser finds such a place by itself, so readers parse first, and repair and parse again only after an error: JSON
// that is good costs nothing. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tailgate {

struct JsonRepair {
  std::uint64_t texts = 0;  // strings to repair; 0: the JSON needs none
  std::size_t size = 0;     // bytes of the repaired JSON
};
JsonRepair json_repair_of(ByteView json);

// U+FFFD for every half of a pair and every byte that is not part of a character; a control character gets its escape.
// `size` is that of json_repair_of.
std::string repaired_json(ByteView json, std::size_t size);

}  // namespace tailgate
