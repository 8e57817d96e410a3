// SPDX-License-Identifier: Apache-2.0
// Inflates gzip (also several members), deflate (zlib's format, and the bare stream that some senders call deflate) and
// zstd (also several frames), and stops at the limits.
//
// ISA-L reads gzip and deflate, and decides as zlib does but for one thing: a Huffman code that is incomplete is an
// error only where it is used.
//
// Cost: 1.3 CPU seconds per GB of output for gzip, a third of that for zstd. A body is inflated in one go when it is
// whole, so state is kept by threads (85 KiB for gzip; for zstd only the memory of a 1 MiB window), never by requests.
// Threads: any.
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
  kTooLarge,  // more output than allowed, or a ratio that no honest sender reaches
  kNoMemory,  // the budget has no room; the same bytes may pass later
  kCorrupt,   // another coding, a bad checksum, a window over 8 MiB, or an early end
};

enum class Coding { kIdentity, kGzip, kDeflate, kZstd };

// The coding that a Content-Encoding or grpc-encoding names, in any case; empty is identity, and x-gzip is gzip (RFC
// 9110 section 8.4.1.3). Nothing for other names.
std::optional<Coding> coding_of(std::string_view name);
inline constexpr std::string_view kCodingNames = "identity,gzip,deflate,zstd";  // for people, and grpc-accept-encoding

// Appends to `out`, whose charge grows with it. On failure `out` has the bytes that it had before: ISA-L has by then
// copied what its memory still held of another body, for a distance that RFC 1951 does not have. `coding` is not
// kIdentity.
InflateResult inflate_body(Coding coding, ByteView in, const ServerLimits& limits, std::size_t output_max,
                           BodyBuffer& out);

}  // namespace tailgate
