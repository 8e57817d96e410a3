// SPDX-License-Identifier: Apache-2.0
#include "net/http/grpc_health.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "codec/field_reader.h"
#include "net/http/grpc.h"

namespace tailgate {
namespace {

// HealthCheckResponse: 1 status.
constexpr ByteView kServing = "\x08\x01", kNotServing = "\x08\x02", kServiceUnknown = "\x08\x03";

}  // namespace

std::optional<HealthMethod> health_method_of(std::string_view path) {
  if (path == "/grpc.health.v1.Health/Check") return HealthMethod::kCheck;
  if (path == "/grpc.health.v1.Health/Watch") return HealthMethod::kWatch;
  return std::nullopt;
}

Response health_answer(HealthMethod method, ByteView message, const std::vector<std::string_view>& services,
                       bool serving) {
  ByteView name;  // HealthCheckRequest: 1 service
  FieldReader fields(message);
  while (fields.next()) {
    if (fields.is_len(1)) name = fields.bytes;
  }
  if (!fields.ok()) return grpc_response({RpcCode::kInvalidArgument, "the HealthCheckRequest does not parse", 0});
  const bool known = name.empty() || std::find(services.begin(), services.end(), name) != services.end();
  if (!known && method == HealthMethod::kCheck) {
    return grpc_response({RpcCode::kNotFound,
                          fmt::format("unknown service, expected one of {}, or none", fmt::join(services, ", ")), 0});
  }
  Response out = grpc_response({}, !known ? kServiceUnknown : serving ? kServing : kNotServing);
  if (method == HealthMethod::kWatch && serving) out.at_drain = known ? grpc_frame(kNotServing) : std::string();
  return out;
}

}  // namespace tailgate
