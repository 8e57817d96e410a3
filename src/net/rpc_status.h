// SPDX-License-Identifier: Apache-2.0
// google.rpc.Status with RetryInfo, written by hand: the error body of OTLP/HTTP and the details of a gRPC status.
// Sources: google/rpc/{code,status,error_details}.proto; gRPC over HTTP/2, section Responses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailgate {

enum class RpcCode : int {
  kOk = 0,
  kInvalidArgument = 3,
  kNotFound = 5,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

struct RpcStatus {
  RpcCode code = RpcCode::kOk;
  std::string message;
  std::uint32_t retry_seconds = 0;  // 0: no RetryInfo
};

std::string rpc_status_proto(const RpcStatus& status);
std::string rpc_status_json(const RpcStatus& status);  // protobuf's JSON mapping

}  // namespace tailgate
