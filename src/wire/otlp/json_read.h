// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON to OTLP protobuf bytes, in one pass.
//
// Memory: the output (never larger than the input), its growth, and one string value. No tree is built, so 60 MB of
// tiny nodes cost no more than one string of 60 MB. Hence Boost.JSON's event parser and not simdjson, whose index and
// tape take 5 to 14 times such an input before the first value is read.
//
// Rules (OTLP specification, section JSON Protobuf Encoding): ids are hex of any case, enums integers, 64-bit integers
// strings or numbers, other bytes base64; unknown fields are ignored; null is the default. Depth is bounded: AnyValues
// nest 64 deep at most, anything else not much deeper. A pure function; any thread.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace tailgate {

inline constexpr int kAnyValueDepthMax = 64;

// The bytes of an ExportTraceServiceRequest. Errors: kBadInput with the place, as in
// "resourceSpans[0].scopeSpans[0].spans[3].kind: expected an integer, got a string" or "at byte 17: syntax error".
Result<std::string> otlp_json_to_proto(ByteView json);

}  // namespace tailgate
