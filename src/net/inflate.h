// Inflating with a cap: gzip (also several members) and zlib's deflate, never past what the limits allow.
//
// Cost: about 3.4 CPU seconds per GB of output. The state of zlib (some 40 KiB) is kept per thread. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "net/body_buffer.h"
#include "net/limits.h"

namespace tailgate {

enum class InflateResult {
  kOk,
  kTooLarge,  // more output than allowed, or a ratio no honest sender reaches
  kNoMemory,  // the budget has no room: the same bytes may pass later
  kCorrupt,   // no gzip, a bad checksum, or an end too early
};

enum class Coding { kGzip, kDeflate };

// Appends to `out`, whose charge grows with it. On failure `out` holds part of the output.
InflateResult inflate_body(Coding coding, ByteView in, const ServerLimits& limits, std::size_t output_max,
                           BodyBuffer& out);

}  // namespace tailgate
