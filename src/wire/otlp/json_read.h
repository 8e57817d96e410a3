// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON to OTLP protobuf bytes, in one pass.
//
// Memory: the output (never larger than the input), its growth, and one string value. No tree is built, so 60 MB of
// tiny nodes cost no more than one string of 60 MB. Hence Boost.JSON's event parser and not simdjson, whose index and
// tape take 5 to 14 times such an input before the first value is read.
//
// Rules (OTLP specification, section JSON Protobuf Encoding): ids are hex of any case, enums integers, 64-bit integers
// strings or numbers, other bytes base64; unknown fields are ignored; null is the default. Besides the names in
// lowerCamelCase those of the .proto files are taken, as protobuf's own JSON and the Collector do. Strings that are not
// Unicode are repaired (codec/json_repair.h). Depth is bounded: AnyValues nest 64 deep at most, anything else not much
// deeper. A pure function; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "codec/byte_sink.h"

namespace tailgate {

inline constexpr int kAnyValueDepthMax = 64;

struct OtlpFromJson {
  std::string bytes;                 // of an ExportTraceServiceRequest
  std::uint64_t repaired_texts = 0;  // keys among them
  std::string unknown_field;         // the first one, with its place: "resourceLogs", "resourceSpans[0].libraries"
};

// Errors: kBadInput with the place, as in "resourceSpans[0].scopeSpans[0].spans[3].kind: expected an integer, got a
// string" or "at byte 17: syntax error"; kRefused when `room`, which is asked for all that is taken, has no more. Null:
// there is always room.
Result<OtlpFromJson> otlp_json_to_proto(ByteView json, ConversionRoom* room = nullptr);

}  // namespace tailgate
