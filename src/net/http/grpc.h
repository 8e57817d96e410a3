// SPDX-License-Identifier: Apache-2.0
// gRPC's framing of a unary call over HTTP/2: request messages in, status and trailers out.
//
//   body = one message:  | flag 0 or 1 | length, 4 bytes big endian | message |
//
// Source: grpc/doc/PROTOCOL-HTTP2.md. Any number of calls on any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "net/http/http.h"
#include "net/limits.h"
#include "net/rpc_status.h"

namespace tailgate {

// True for "application/grpc" and "application/grpc+proto", with any parameters after ';'. Other subtypes are not
// protobuf.
bool is_grpc(std::string_view content_type);

// Takes the one message out of a request's body, and inflates it into `scratch` when it is compressed. On failure the
// status says why: 12 for an unknown grpc-encoding, 8 past `message_max`, 14 without memory, 13 for a body that is not
// one whole message or does not inflate.
struct GrpcMessage {
  RpcStatus status;  // kOk: `bytes` is the message; lives as long as body and scratch
  ByteView bytes;
};
GrpcMessage read_grpc_message(const RequestHead& head, ByteView body, const ServerLimits& limits,
                              std::size_t message_max, BodyBuffer& scratch);

// A message with its prefix, not compressed.
std::string grpc_frame(ByteView message);

// The parts of an answer with several messages: its head, and the trailers at its end.
Response grpc_head();
std::vector<std::pair<std::string, std::string>> grpc_trailers(const RpcStatus& status);

// The whole answer: message and trailers on success, otherwise only trailers, with the retry time in
// grpc-status-details-bin.
Response grpc_response(const RpcStatus& status, ByteView message = {});

}  // namespace tailgate
