// SPDX-License-Identifier: Apache-2.0
#include "net/rpc_status.h"

#include <fmt/format.h>

#include "codec/json_text.h"
#include "codec/protobuf.h"

namespace tailgate {
namespace {

std::string retry_info(std::uint32_t seconds) {
  std::string duration;
  pb::append_varint(duration, pb::tag_of(1, pb::kVarint));
  pb::append_varint(duration, seconds);
  std::string info;
  pb::append_len(info, 1, duration);
  return info;
}

constexpr std::string_view kRetryInfoType = "type.googleapis.com/google.rpc.RetryInfo";

}  // namespace

std::string rpc_status_proto(const RpcStatus& status) {
  std::string out;
  pb::append_varint(out, pb::tag_of(1, pb::kVarint));
  pb::append_varint(out, static_cast<std::uint64_t>(status.code));
  if (!status.message.empty()) pb::append_len(out, 2, status.message);
  if (status.retry_seconds != 0) {
    std::string any;
    pb::append_len(any, 1, kRetryInfoType);
    pb::append_len(any, 2, retry_info(status.retry_seconds));
    pb::append_len(out, 3, any);
  }
  return out;
}

std::string rpc_status_json(const RpcStatus& status) {
  std::string out =
      fmt::format("{{\"code\":{},\"message\":{}", static_cast<int>(status.code), json_quoted(status.message));
  if (status.retry_seconds != 0) {
    out +=
        fmt::format(",\"details\":[{{\"@type\":\"{}\",\"retryDelay\":\"{}s\"}}]", kRetryInfoType, status.retry_seconds);
  }
  return out + "}";
}

}  // namespace tailgate
