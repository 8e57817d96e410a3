// SPDX-License-Identifier: Apache-2.0
// What an OTLP backend answers: partial success, and how long to wait. Read by hand; unknown parts are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"

namespace tailgate {

struct PartialSuccess {
  std::uint64_t rejected_spans = 0;  // 0 with a message is a warning
  std::string message;
};

// ExportTraceServiceResponse. Malformed bytes read as a plain success: the backend took the request.
PartialSuccess read_partial_success(ByteView response);

// google.rpc.Status with a google.rpc.RetryInfo among its details (grpc-status-details-bin, or the body of an HTTP
// error).
struct StatusDetails {
  std::string message;
  std::optional<Duration> retry_delay;
};
StatusDetails read_status_details(ByteView status);

}  // namespace tailgate
