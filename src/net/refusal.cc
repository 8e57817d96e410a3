// SPDX-License-Identifier: Apache-2.0
#include "net/refusal.h"

#include <utility>

namespace tailgate {
namespace {

std::pair<int, RpcStatus> answer_of(const Refusal& refusal) {
  const std::uint32_t retry = refusal.retry_seconds;
  switch (refusal.why) {
    case RefuseWhy::kTooLarge:
      return {413, {RpcCode::kResourceExhausted, "the request is too large", 0}};
    case RefuseWhy::kNoMemory:
      return {503, {RpcCode::kUnavailable, "no room for the request, try again", retry}};
    case RefuseWhy::kNoCredentials:
      return {401, {RpcCode::kUnauthenticated, "credentials are wanted", 0}};
    case RefuseWhy::kBadCredentials:
      return {401, {RpcCode::kUnauthenticated, "the credentials are not right", 0}};
    case RefuseWhy::kAuthBusy:
      return {503, {RpcCode::kUnavailable, "too many credentials are being checked, try again", retry}};
    case RefuseWhy::kClientConnections:
      return {429, {RpcCode::kUnavailable, "too many connections of this client", retry}};
    case RefuseWhy::kClientHeldBytes:
      return {429, {RpcCode::kUnavailable, "too many unfinished requests of this client", retry}};
    case RefuseWhy::kClientBytes:
      return {429, {RpcCode::kUnavailable, "too many bytes a second from this client", retry}};
    case RefuseWhy::kHeaders:
      return {431, {RpcCode::kResourceExhausted, "the headers are too large", 0}};
    case RefuseWhy::kSlowBody:
      return {408, {RpcCode::kUnavailable, "the body comes too slowly", retry}};
    case RefuseWhy::kInternal:
      return {500, {RpcCode::kInternal, "an error of the server", 0}};
    case RefuseWhy::kProtocol:
      return {400, {RpcCode::kInvalidArgument, "the request breaks the rules of HTTP", 0}};
    case RefuseWhy::kSlowHeaders:
      return {408, {RpcCode::kUnavailable, "the headers come too slowly", retry}};
    case RefuseWhy::kClientSpans:
      break;
  }
  return {429, {RpcCode::kUnavailable, "too many spans a second from this client", retry}};
}

}  // namespace

RefusalAnswer refusal_answer(const Refusal& refusal) {
  auto [http, status] = answer_of(refusal);
  return {kRefuseWhyNames[static_cast<std::size_t>(refusal.why)], http, std::move(status)};
}

}  // namespace tailgate
