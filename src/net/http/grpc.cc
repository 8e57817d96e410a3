// SPDX-License-Identifier: Apache-2.0
#include "net/http/grpc.h"

#include <fmt/format.h>

#include "codec/base64.h"
#include "codec/percent.h"
#include "net/http/inflate.h"

namespace tailgate {
namespace {

constexpr std::size_t kPrefix = 5;

GrpcMessage failed(RpcCode code, std::string text) {
  GrpcMessage out;
  out.status = {code, std::move(text), code == RpcCode::kUnavailable ? 1U : 0U};
  return out;
}

}  // namespace

bool is_grpc(std::string_view type) {
  type = media_type_of(type);
  return equal_ignoring_case(type, "application/grpc") || equal_ignoring_case(type, "application/grpc+proto");
}

GrpcMessage read_grpc_message(const RequestHead& head, ByteView body, const ServerLimits& limits,
                              std::size_t message_max, BodyBuffer& scratch) {
  const std::string_view encoding = head.header("grpc-encoding");
  const std::optional<Coding> coding = coding_of(encoding);
  if (!coding) {
    return failed(RpcCode::kUnimplemented,
                  fmt::format("grpc-encoding '{}' is not supported, expected one of {}", encoding, kCodingNames));
  }
  if (body.size() < kPrefix) {
    return failed(RpcCode::kInternal, fmt::format("a unary call has one message, got a body of {} bytes", body.size()));
  }
  const auto flag = static_cast<unsigned char>(body[0]);
  const std::size_t length = __builtin_bswap32(load_le<std::uint32_t>(body.data() + 1));
  body.remove_prefix(kPrefix);
  if (flag > 1) return failed(RpcCode::kInternal, fmt::format("the message's flag byte is 0 or 1, got {}", flag));
  if (length > message_max) {
    return failed(RpcCode::kResourceExhausted, fmt::format("a message of {} bytes, {} are taken", length, message_max));
  }
  if (length != body.size()) {
    return failed(RpcCode::kInternal, fmt::format("a message of {} bytes was announced, {} came", length, body.size()));
  }
  GrpcMessage out;
  out.bytes = body;
  if (flag == 0) return out;
  if (*coding == Coding::kIdentity) return failed(RpcCode::kInternal, "a compressed message without grpc-encoding");
  switch (inflate_body(*coding, body, limits, message_max, scratch)) {
    case InflateResult::kOk:
      out.bytes = scratch.view();
      return out;
    case InflateResult::kTooLarge:
      return failed(RpcCode::kResourceExhausted,
                    fmt::format("the message inflates to more than {} bytes, or by more than {}:1", message_max,
                                limits.inflate_ratio));
    case InflateResult::kNoMemory:
      return failed(RpcCode::kUnavailable, "no room to inflate the message, try again");
    case InflateResult::kCorrupt:
      break;
  }
  return failed(RpcCode::kInternal, fmt::format("the message is no whole {}", encoding));
}

std::string grpc_frame(ByteView message) {
  std::string out;
  const auto n = static_cast<std::uint32_t>(message.size());
  out.reserve(kPrefix + message.size());
  out.push_back('\0');
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
  out.append(message);
  return out;
}

Response grpc_head() {
  Response r;
  r.headers.emplace_back("content-type", "application/grpc");
  r.headers.emplace_back("grpc-encoding", "identity");
  r.headers.emplace_back("grpc-accept-encoding", kCodingNames);
  return r;
}

std::vector<std::pair<std::string, std::string>> grpc_trailers(const RpcStatus& status) {
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("grpc-status", std::to_string(static_cast<int>(status.code)));
  if (!status.message.empty())
    out.emplace_back("grpc-message", percent_encoded(status.message, PercentKeep::kPrintable));
  if (status.retry_seconds != 0) {
    std::string details;
    append_base64(details, rpc_status_proto(status), Base64Padding::kWithout);
    out.emplace_back("grpc-status-details-bin", std::move(details));
  }
  return out;
}

Response grpc_response(const RpcStatus& status, ByteView message) {
  Response r;
  if (status.code == RpcCode::kOk) {
    r = grpc_head();
    r.body = grpc_frame(message);
  } else {
    r.headers.emplace_back("content-type", "application/grpc");
    if (status.code == RpcCode::kUnimplemented) r.headers.emplace_back("grpc-accept-encoding", kCodingNames);
  }
  r.trailers = grpc_trailers(status);
  return r;
}

}  // namespace tailgate
