// SPDX-License-Identifier: Apache-2.0
// grpc.health.v1.Health, as probes (Kubernetes `grpc:`) and gRPC clients ask it. Pure functions, any thread.
// Source: grpc/doc/health-checking.md, grpc/health/v1/health.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "net/http/http.h"

namespace tailgate {

enum class HealthMethod : std::uint8_t { kCheck, kWatch };

inline constexpr std::size_t kHealthRequestMax = 1 << 10;  // bytes; it is the name of a service

// The method of that path, if it is one.
std::optional<HealthMethod> health_method_of(std::string_view path);

// The answer to the HealthCheckRequest `message`. The empty name stands for the whole server. A watch gets the status
// at once and stays open until the server drains, when it gets NOT_SERVING and ends.
Response health_answer(HealthMethod method, ByteView message, const std::vector<std::string_view>& services,
                       bool serving);

}  // namespace tailgate
