// SPDX-License-Identifier: Apache-2.0
#include "net/http/incoming_request.h"

#include <algorithm>

namespace tailgate {
namespace {

constexpr std::size_t kGrpcPrefix = 5;  // a flag and the length, see net/http/grpc.h

}  // namespace

std::size_t IncomingRequest::body_max_of(const Admission& admission) const {
  return std::min(admission.body_bytes_max, context_.limits.body_bytes) + (admission.grpc ? kGrpcPrefix : 0);
}

void IncomingRequest::admit(const RequestHead& head, const Admission& admission, TimePoint now) {
  body_max_ = body_max_of(admission);
  if (admission.wait) {
    if (!waiting_) waiting_since_ = now;
  } else {
    if (waiting_) pace_.start(now);
    share_.begin(head.client, body_max_);
  }
  waiting_ = admission.wait;
  if (admitted_) return;
  admitted_ = true;
  grpc_ = admission.grpc;
  body_ = BodyBuffer(context_.budget);
  if (head.content_length) body_.expect(*head.content_length);
}

std::optional<RefuseWhy> IncomingRequest::take(ByteView bytes) {
  if (bytes.size() > body_max_ - body_.size()) return RefuseWhy::kTooLarge;
  if (grpc_ && !grpc_prefix_seen_ && body_.size() + bytes.size() >= kGrpcPrefix && !read_grpc_prefix(bytes)) {
    return RefuseWhy::kTooLarge;
  }
  if (!body_.append(bytes)) return RefuseWhy::kNoMemory;
  return std::nullopt;
}

// False when the message is longer than the body may get. Only odd senders split the prefix over several frames.
bool IncomingRequest::read_grpc_prefix(ByteView bytes) {
  char prefix[kGrpcPrefix];
  const std::size_t have = body_.size();
  std::copy_n(body_.view().data(), have, prefix);
  std::copy_n(bytes.data(), kGrpcPrefix - have, prefix + have);
  const std::uint32_t length = __builtin_bswap32(load_le<std::uint32_t>(prefix + 1));
  grpc_prefix_seen_ = true;
  if (length > body_max_ - kGrpcPrefix) return false;
  body_.expect(kGrpcPrefix + length);
  return true;
}

std::optional<Refusal> IncomingRequest::hold(TimePoint now) {
  body_.fit();
  const std::optional<Refusal> refusal = share_.hold(body_.size(), body_.charged(), now);
  if (refusal) return refusal;
  if (context_.held != nullptr && !held_.hold(*context_.held, body_.charged())) return RefuseWhy::kNoMemory;
  return std::nullopt;
}

void IncomingRequest::complete(TimePoint now) {
  held_.release();
  share_.complete(body_.size(), now);
}

void IncomingRequest::end() {
  body_.reset();
  held_.release();
  share_.release();
  body_max_ = 0;
  waiting_ = admitted_ = grpc_ = grpc_prefix_seen_ = false;
}

}  // namespace tailgate
