// SPDX-License-Identifier: Apache-2.0
// What a strict protobuf parser (libprotobuf, Java's, prost) says of a kept span and what stands around it, and the
// repair of what it would refuse although the bytes are whole: a text that is not UTF-8, and messages nested too
// deeply. A backend refuses the whole request for one such span, and the spans of other traces with it. Runs over kept
// spans only. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "wire/otlp/schema_table.h"

namespace tailgate {

// libprotobuf, protobuf for Java and prost take 100 messages inside a request, Go's parser 10,000.
inline constexpr std::size_t kMaxNesting = 100;

enum class Form : std::uint8_t {
  kSound,
  kRepairable,  // repair() makes it sound
  kBroken,      // a length or a tag is wrong: nobody can say where a field begins
};

// The messages that the parts of a kept span are: the fields of a ResourceSpans but scope_spans, the fields of a
// ScopeSpans but spans, and a Span.
enum class Part : std::uint8_t { kResource, kScope, kSpan };

struct Repairs {
  std::uint64_t texts = 0;   // that got U+FFFD for each byte that is not part of a character
  std::uint64_t values = 0;  // messages that were left out, with all in them, because they were nested too deeply
};

// One pass over the bytes, without memory of its own.
Form form_of(ByteView bytes, Part part);

// Appends `bytes`, whose form is kRepairable, to `out`. All that a parser takes stays as it is, in its order, unknown
// fields included. The result is at most three times as large. The cost is one copy; a message whose length needs more
// or fewer bytes than before is moved once more.
void repair(ByteView bytes, Part part, std::string& out, Repairs& repairs);

}  // namespace tailgate
