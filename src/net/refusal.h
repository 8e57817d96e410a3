// Refusal: why a request is not taken before its handler has seen its body, and what every protocol says then.
#pragma once

#include <cstdint>
#include <string_view>

#include "net/rpc_status.h"

namespace tailgate {

enum class RefuseWhy : std::uint8_t {
  kTooLarge,
  kNoMemory,
  kNoCredentials,
  kBadCredentials,
  kAuthBusy,           // too many passwords are being checked
  kClientConnections,  // of one identity
  kClientHeldBytes,    // the rest: limits of one client (net/clients.h)
  kClientBytes,
  kClientSpans,
};

struct Refusal {
  Refusal(RefuseWhy w, std::uint32_t retry = 1) : why(w), retry_seconds(retry) {}  // NOLINT: meant to convert

  RefuseWhy why;
  std::uint32_t retry_seconds;  // where trying again makes sense
};

struct RefusalAnswer {
  std::string_view reason;  // label of tailgate_requests_refused_total
  int http;
  RpcStatus status;
};
RefusalAnswer refusal_answer(const Refusal& refusal);

}  // namespace tailgate
