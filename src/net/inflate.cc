#include "net/inflate.h"

#include <zlib.h>

#include <algorithm>

namespace tailgate {
namespace {

constexpr std::size_t kStep = 64 << 10;

struct ZlibState {
  z_stream z{};
  bool ready = false;

  // gzip: 16 + window bits; deflate: a zlib header (RFC 9110 section 8.4.1.2).
  bool begin(Coding coding) {
    const int bits = coding == Coding::kGzip ? 16 + MAX_WBITS : MAX_WBITS;
    if (!ready) {
      ready = inflateInit2(&z, bits) == Z_OK;
      return ready;
    }
    return inflateReset2(&z, bits) == Z_OK;
  }
  ~ZlibState() {
    if (ready) inflateEnd(&z);
  }
};

}  // namespace

InflateResult inflate_body(Coding coding, ByteView in, const ServerLimits& limits, std::size_t output_max,
                           BodyBuffer& out) {
  thread_local ZlibState state;
  if (in.empty()) return InflateResult::kCorrupt;
  if (!state.begin(coding)) return InflateResult::kNoMemory;
  z_stream& z = state.z;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(std::min<std::size_t>(in.size(), UINT32_MAX));
  const std::size_t before = out.size();
  out.expect(std::min(before + in.size() * 8, output_max));
  for (;;) {
    const std::size_t made = out.size() - before;
    // One byte over the cap tells "just full" from "more to come".
    const std::size_t step = std::min(kStep, output_max + 1 - made);
    char* to = out.room(step);
    if (to == nullptr) return InflateResult::kNoMemory;
    z.next_out = reinterpret_cast<Bytef*>(to);
    z.avail_out = static_cast<uInt>(step);
    const int rv = ::inflate(&z, Z_NO_FLUSH);
    out.add(step - z.avail_out);
    const std::size_t total = out.size() - before;
    const std::size_t eaten = in.size() - z.avail_in;
    if (total > output_max) return InflateResult::kTooLarge;
    if (total > limits.inflate_ratio_from && total / std::max<std::size_t>(eaten, 1) > limits.inflate_ratio) {
      return InflateResult::kTooLarge;
    }
    if (rv == Z_STREAM_END) {
      if (z.avail_in == 0) return InflateResult::kOk;
      if (coding != Coding::kGzip || inflateReset(&z) != Z_OK) return InflateResult::kCorrupt;
      continue;  // RFC 1952 section 2.2: members follow each other
    }
    if (rv == Z_MEM_ERROR) return InflateResult::kNoMemory;
    if (rv != Z_OK && rv != Z_BUF_ERROR) return InflateResult::kCorrupt;
    if (z.avail_in == 0 && z.avail_out != 0) return InflateResult::kCorrupt;  // ends too early
  }
}

}  // namespace tailgate
