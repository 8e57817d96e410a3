// SPDX-License-Identifier: Apache-2.0
// What a gRPC status other than OK means: whether the request is sent again (OTLP specification, "Failures" of
// OTLP/gRPC, whose table names every code; RESOURCE_EXHAUSTED is sent again only with a RetryInfo).
// `retry_on_failure.also` names further codes. Statuses that gRPC itself makes up, because a proxy answered or the
// stream broke, are not the backend's and are sent again. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "config/config_node.h"
#include "export/queue/batch.h"

namespace tailgate {

// Bit n: the code with number n.
using GrpcCodes = std::uint32_t;

// `retry_on_failure.also`, before read_queue(): names of codes, such as INTERNAL.
GrpcCodes read_also_codes(const ConfigNode& node);

// `details`: google.rpc.Status as protobuf, or nothing.
SendResult grpc_failure(int code, std::string_view message, ByteView details, GrpcCodes also);

}  // namespace tailgate
