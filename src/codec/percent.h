// SPDX-License-Identifier: Apache-2.0
// Percent-encoding (RFC 3986, section 2.1). Pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace tailgate {

// Which bytes percent_encoded() leaves as they are.
enum class PercentKeep {
  kUnreserved,  // A-Z a-z 0-9 - . _ ~: for a part of a URI, and what an AWS signature is made of
  kPath,        // the same and '/'
  kPrintable,   // printable ASCII but '%': the grpc-message trailer (gRPC over HTTP/2, section Responses)
};

// Each other byte becomes '%' and two capital hex digits.
std::string percent_encoded(ByteView text, PercentKeep keep);

// Empty when a '%' is not followed by two hex digits. The result may hold any bytes. '+' stays a '+'.
std::optional<std::string> percent_decoded(ByteView text);

// The same, but such a '%' stays a '%': for what people type into an address bar.
std::string percent_decoded_leniently(ByteView text);

}  // namespace tailgate
