#include "net/refusal.h"

namespace tailgate {

RefusalAnswer refusal_answer(const Refusal& refusal) {
  const std::uint32_t retry = refusal.retry_seconds;
  switch (refusal.why) {
    case RefuseWhy::kTooLarge:
      return {"limit", 413, {RpcCode::kResourceExhausted, "the request is too large", 0}};
    case RefuseWhy::kNoMemory:
      return {"no_memory", 503, {RpcCode::kUnavailable, "no room for the request, try again", retry}};
    case RefuseWhy::kNoCredentials:
      return {"no_credentials", 401, {RpcCode::kUnauthenticated, "credentials are wanted", 0}};
    case RefuseWhy::kBadCredentials:
      return {"bad_credentials", 401, {RpcCode::kUnauthenticated, "the credentials are not right", 0}};
    case RefuseWhy::kAuthBusy:
      return {"auth_busy", 503, {RpcCode::kUnavailable, "too many credentials are being checked, try again", retry}};
    case RefuseWhy::kClientConnections:
      return {"client_connections", 429, {RpcCode::kUnavailable, "too many connections of this client", retry}};
    case RefuseWhy::kClientHeldBytes:
      return {"client_held_bytes", 429, {RpcCode::kUnavailable, "too many unfinished requests of this client", retry}};
    case RefuseWhy::kClientBytes:
      return {"client_bytes", 429, {RpcCode::kUnavailable, "too many bytes a second from this client", retry}};
    case RefuseWhy::kClientSpans:
      break;
  }
  return {"client_spans", 429, {RpcCode::kUnavailable, "too many spans a second from this client", retry}};
}

}  // namespace tailgate
