// SPDX-License-Identifier: Apache-2.0
#include "net/http/grpc.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

GrpcMessage read(std::string_view body, std::string_view encoding = "", std::size_t max = 100) {
  static BodyBuffer scratch;
  scratch.reset();
  RequestHead head;
  if (!encoding.empty()) head.headers.add("grpc-encoding", encoding);
  static const ServerLimits limits;
  return read_grpc_message(head, body, limits, max, scratch);
}

}  // namespace

TEST_CASE("gRPC messages are framed by a flag and a length", "[net][grpc]") {
  using namespace std::string_view_literals;
  CHECK(read("\0\0\0\0\3abc"sv).bytes == "abc");
  CHECK(read("\0\0\0\0\0"sv).status.code == RpcCode::kOk);
  CHECK(read(""sv).status.code == RpcCode::kInternal);
  CHECK(read("\0\0\0\0"sv).status.code == RpcCode::kInternal);
  CHECK(read("\0\0\0\0\3ab"sv).status.code == RpcCode::kInternal);
  CHECK(read("\0\0\0\0\3abcd"sv).status.code == RpcCode::kInternal);
  CHECK(read("\2\0\0\0\3abc"sv).status.code == RpcCode::kInternal);
  CHECK(read("\1\0\0\0\3abc"sv).status.code == RpcCode::kInternal);
  CHECK(read("\1\0\0\0\3abc"sv, "gzip").status.code == RpcCode::kInternal);
  CHECK(read("\0\0\0\0\3abc"sv, "gzip").bytes == "abc");
  CHECK(read("\0\0\0\0\3abc"sv, "br").status.code == RpcCode::kUnimplemented);
  const auto large = read("\0\xff\xff\xff\xff"sv);
  CHECK(large.status.code == RpcCode::kResourceExhausted);
  CHECK(large.status.retry_seconds == 0);
}

TEST_CASE("gRPC content types", "[net][grpc]") {
  for (const char* yes :
       {"application/grpc", "application/grpc+proto", "application/grpc; charset=x", "application/grpc ;x"})
    CHECK(is_grpc(yes));
  for (const char* no : {"", "application/grpc+json", "application/grpc-web", "application/x-protobuf"})
    CHECK(!is_grpc(no));
}
