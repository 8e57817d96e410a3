// SPDX-License-Identifier: Apache-2.0
#include "wire/tempo/proto.h"

#include <span>

#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

// A message on the way from TracesData to Span.
struct Level {
  std::uint32_t wanted;  // the message that it must have, 0: none
  std::uint32_t inner;   // the messages that are the next level, 0: none
};
constexpr Level kLevels[] = {{0, otlp::request::kResourceSpans},
                             {otlp::resource_spans::kResource, otlp::resource_spans::kScopeSpans},
                             {otlp::scope_spans::kScope, otlp::scope_spans::kSpans},
                             {otlp::span::kStatus, 0}};

void append(std::string& out, ByteView message, std::span<const Level> levels) {
  const Level level = levels.front();
  const std::size_t begin = out.size();
  bool has_wanted = level.wanted == 0;
  std::string inner;
  const char* copied = message.data();
  const bool good = pb::each_field(message, [&](const char*& p, const char* end, std::uint32_t tag) {
    if (tag == pb::tag_of(level.wanted, pb::kLen)) has_wanted = true;
    if (level.inner == 0 || tag != pb::tag_of(level.inner, pb::kLen)) return pb::skip_value(p, end, tag);
    const char* const value = p;
    ByteView bytes;
    if (!pb::read_len(p, end, bytes)) return false;
    out.append(copied, value);
    copied = p;
    inner.clear();
    append(inner, bytes, levels.subspan(1));
    pb::append_varint(out, inner.size());
    out += inner;
    return true;
  });
  if (!good) {
    out.resize(begin);
    out += message;
    return;
  }
  out.append(copied, message.data() + message.size());
  if (!has_wanted) pb::append_len(out, level.wanted, {});
}

}  // namespace

void append_tempo_proto(std::string& out, ByteView otlp) { append(out, otlp, kLevels); }

}  // namespace tailgate
