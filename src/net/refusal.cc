#include "net/refusal.h"

namespace tailgate {

RefusalAnswer refusal_answer(const Refusal& refusal) {
  const std::uint32_t retry = refusal.retry_seconds;
  const std::string_view reason = kRefuseWhyNames[static_cast<std::size_t>(refusal.why)];
  switch (refusal.why) {
    case RefuseWhy::kTooLarge:
      return {reason, 413, {RpcCode::kResourceExhausted, "the request is too large", 0}};
    case RefuseWhy::kNoMemory:
      return {reason, 503, {RpcCode::kUnavailable, "no room for the request, try again", retry}};
    case RefuseWhy::kNoCredentials:
      return {reason, 401, {RpcCode::kUnauthenticated, "credentials are wanted", 0}};
    case RefuseWhy::kBadCredentials:
      return {reason, 401, {RpcCode::kUnauthenticated, "the credentials are not right", 0}};
    case RefuseWhy::kAuthBusy:
      return {reason, 503, {RpcCode::kUnavailable, "too many credentials are being checked, try again", retry}};
    case RefuseWhy::kClientConnections:
      return {reason, 429, {RpcCode::kUnavailable, "too many connections of this client", retry}};
    case RefuseWhy::kClientHeldBytes:
      return {reason, 429, {RpcCode::kUnavailable, "too many unfinished requests of this client", retry}};
    case RefuseWhy::kClientBytes:
      return {reason, 429, {RpcCode::kUnavailable, "too many bytes a second from this client", retry}};
    case RefuseWhy::kHeaders:
      return {reason, 431, {RpcCode::kResourceExhausted, "the headers are too large", 0}};
    case RefuseWhy::kSlowBody:
      return {reason, 408, {RpcCode::kUnavailable, "the body comes too slowly", retry}};
    case RefuseWhy::kInternal:
      return {reason, 500, {RpcCode::kInternal, "an error of the server", 0}};
    case RefuseWhy::kClientSpans:
      break;
  }
  return {reason, 429, {RpcCode::kUnavailable, "too many spans a second from this client", retry}};
}

}  // namespace tailgate
