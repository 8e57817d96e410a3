// SPDX-License-Identifier: Apache-2.0
// What Tempo's query API gives, as the JSON of OTLP: {"batches": [...]}, or {"trace": {"resourceSpans": [...]}} in its
// second version. It is protobuf's own JSON: ids in base64, enums by name. For files that people judge offline: it
// builds a tree, so memory is some ten times the input. Pure; any thread.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace tailgate {

// Text for otlp_json_to_proto(). Fails (kBadInput) only on what is not JSON; what it does not know stays as it is.
Result<std::string> tempo_json_to_otlp_json(ByteView json);

}  // namespace tailgate
