// SPDX-License-Identifier: Apache-2.0
// Prefix: what all spans of a ResourceSpans or ScopeSpans share. It is the fields of that message without the repeated
// ones (scope_spans or spans), tags included, as one run of bytes. Belongs to one scan.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "base/bytes.h"
#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

namespace tailgate {

class Prefix {
 public:
  // The tag of the repeated field, which is the same in both messages.
  static constexpr std::uint32_t kElementTag = pb::tag_of(otlp::resource_spans::kScopeSpans, pb::kLen);
  static_assert(kElementTag == pb::tag_of(otlp::scope_spans::kSpans, pb::kLen));

  // Finds the prefix of `message`, which must outlive this object's use. False: malformed.
  bool find(ByteView message) {
    message_ = message;
    return find_again();
  }

  // The same message once more, since the memory of a copy is gone.
  bool find_again() {
    view_ = {};
    gathered_ = true;
    const char* p = message_.data();
    const char* const end = p + message_.size();
    const char* run = nullptr;  // the prefix lies in [run, run_end) as long as it is contiguous
    const char* run_end = nullptr;
    while (p < end) {
      const char* const field = p;
      std::uint32_t tag = 0;
      if (!pb::read_tag(p, end, tag) || !pb::skip_value(p, end, tag)) return false;
      if (tag == kElementTag) continue;
      if (run == nullptr) {
        run = field;
      } else if (run_end != field) {
        gathered_ = false;
      }
      run_end = p;
    }
    if (run != nullptr && gathered_) view_ = ByteView(run, static_cast<std::size_t>(run_end - run));
    return true;
  }

  // Fields that do not lie together are copied to `scratch`. Call this only once a span is taken: a message without
  // spans must cost no memory.
  ByteView bytes(std::deque<std::string>& scratch) {
    if (gathered_) return view_;
    std::string& copy = scratch.emplace_back();
    const char* p = message_.data();
    const char* const end = p + message_.size();
    while (p < end) {
      const char* const field = p;
      std::uint32_t tag = 0;
      pb::read_tag(p, end, tag);  // cannot fail: find() has read these bytes
      pb::skip_value(p, end, tag);
      if (tag != kElementTag) copy.append(field, p);
    }
    view_ = copy;
    gathered_ = true;
    return view_;
  }

 private:
  ByteView message_, view_;
  bool gathered_ = true;  // view_ is good
};

}  // namespace tailgate
