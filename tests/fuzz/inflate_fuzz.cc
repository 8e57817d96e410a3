// SPDX-License-Identifier: Apache-2.0
// Content encodings against their caps. The first byte chooses the coding and the cap; what comes out is never more
// than the cap and one byte, all of it is charged, and the same bytes give the same again (a decoder keeps state per
// thread). gzip and deflate give what zlib gives.
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/http/inflate.h"
#include "support/zlib_inflate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  if (size == 0) return 0;
  constexpr Coding kCodings[] = {Coding::kGzip, Coding::kDeflate, Coding::kZstd, Coding::kZstd};
  const Coding coding = kCodings[data[0] & 3];
  const std::size_t cap = std::size_t{1} << (data[0] >> 2) % 21;  // up to 1 MiB
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ServerLimits limits;
  limits.inflate_ratio_from = 64 << 10;
  ByteBudget budget({(data[0] & 3) == 3 ? std::size_t{512 << 10} : std::size_t{64 << 20}, 0, 0, 0});
  std::string first;
  InflateResult before = InflateResult::kCorrupt;
  for (int i = 0; i < 2; ++i) {
    BodyBuffer out(&budget);
    const InflateResult result = inflate_body(coding, bytes, limits, cap, out);
    if (out.size() > cap + 1 || (result == InflateResult::kOk && out.size() > cap)) __builtin_trap();
    if (budget.used(Holder::kRequests) < out.size()) __builtin_trap();
    if (i == 0) {
      first = out.view();
      before = result;
    } else if (result != before || out.view() != first) {
      __builtin_trap();
    }
  }
  if (budget.used(Holder::kRequests) != 0) __builtin_trap();
  if (coding != Coding::kZstd) {  // the twin knows no ratio
    const test::ZlibAnswer twin = test::inflate_by_zlib(coding, bytes, cap);
    if (!agrees(twin, before, first) && !(twin.ok && twin.out.size() > limits.inflate_ratio_from)) __builtin_trap();
  }
  return 0;
}
