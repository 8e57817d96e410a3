// SPDX-License-Identifier: Apache-2.0
// Refusal: why a server refuses a request for reasons that its handler does not see, and what every protocol answers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/enum_names.h"
#include "net/rpc_status.h"

namespace tailgate {

enum class RefuseWhy : std::uint8_t {
  kTooLarge,
  kNoMemory,
  kNoCredentials,
  kBadCredentials,
  kAuthBusy,           // too many passwords are being checked
  kClientConnections,  // of one identity
  kClientHeldBytes,    // this and the next two: limits of one client (net/http/clients.h)
  kClientBytes,
  kClientSpans,
  kHeaders,  // over the limit
  kSlowBody,
  kInternal,     // its handler failed
  kProtocol,     // it breaks HTTP's rules. This and the next are for HTTP/1.1 and end the connection
  kSlowHeaders,  // they began and did not end in time
};
// By RefuseWhy; label values of tailgate_requests_refused_total.
inline constexpr std::array<std::string_view, 14> kRefuseWhyNames = {"limit",
                                                                     "no_memory",
                                                                     "no_credentials",
                                                                     "bad_credentials",
                                                                     "auth_busy",
                                                                     "client_connections",
                                                                     "client_held_bytes",
                                                                     "client_bytes",
                                                                     "client_spans",
                                                                     "headers",
                                                                     "slow_body",
                                                                     "internal",
                                                                     "protocol",
                                                                     "slow_headers"};
static_assert(names_end_with(kRefuseWhyNames, RefuseWhy::kSlowHeaders, "slow_headers"));

struct Refusal {
  Refusal(RefuseWhy w, std::uint32_t retry = 1) : why(w), retry_seconds(retry) {}  // NOLINT: meant to convert

  RefuseWhy why;
  std::uint32_t retry_seconds;  // for reasons that pass
  std::string_view text = {};   // for people, in place of what is said for `why`; lives until the call returns
};

struct RefusalAnswer {
  std::string_view reason;  // of kRefuseWhyNames
  int http;
  RpcStatus status;
};
RefusalAnswer refusal_answer(const Refusal& refusal);

}  // namespace tailgate
