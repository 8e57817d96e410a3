// Inflating with a cap: gzip (also several members), deflate (zlib's, and the bare stream some send by that name) and
// zstd (several frames too), never past what the limits allow.
//
// Cost: about 3 CPU seconds per GB of output for gzip, half of that for zstd. The state of a decoder is kept per
// thread; of zstd only what a window of 1 MiB takes. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "net/body_buffer.h"
#include "net/limits.h"

namespace tailgate {

enum class InflateResult {
  kOk,
  kTooLarge,  // more output than allowed, or a ratio no honest sender reaches
  kNoMemory,  // the budget has no room: the same bytes may pass later
  kCorrupt,   // not of this coding, a bad checksum, a window over 8 MiB, or an end too early
};

enum class Coding { kIdentity, kGzip, kDeflate, kZstd };

// As a Content-Encoding or grpc-encoding names it, in any case; empty is identity. Nothing for others.
std::optional<Coding> coding_of(std::string_view name);
inline constexpr std::string_view kCodingNames = "identity,gzip,deflate,zstd";  // for people, and grpc-accept-encoding

// Appends to `out`, whose charge grows with it. On failure `out` holds part of the output. Not for kIdentity.
InflateResult inflate_body(Coding coding, ByteView in, const ServerLimits& limits, std::size_t output_max,
                           BodyBuffer& out);

}  // namespace tailgate
