// SPDX-License-Identifier: Apache-2.0
#include "net/http/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/invariant.h"
#include "net/http/http.h"

namespace tailgate {
namespace {

constexpr std::size_t kStep = 64 << 10;
constexpr int kWindowLogMax = 23;                     // RFC 9659: 8 MiB, for zstd in HTTP
constexpr std::size_t kZstdKept = (1 << 20) + kStep;  // of a thread's decoder, between requests

// Both decoders write in steps: each step takes room in `out`, and the caps are checked after it.
class Output {
 public:
  Output(const ServerLimits& limits, std::size_t max, BodyBuffer& out)
      : limits_(limits), max_(max), out_(out), before_(out.size()) {}

  std::size_t total() const { return out_.size() - before_; }
  // Where to write next; null without memory. The step may go one byte over the cap, which tells "full" from "too
  // large".
  char* next() {
    step_ = std::min(kStep, max_ + 1 - total());
    return out_.room(step_);
  }
  std::size_t step() const { return step_; }
  // `eaten` bytes of input have given the output so far. Returns false past a cap.
  bool add(std::size_t written, std::size_t eaten) {
    out_.add(written);
    return total() <= max_ && (total() <= limits_.inflate_ratio_from ||
                               total() / std::max<std::size_t>(eaten, 1) <= limits_.inflate_ratio);
  }

 private:
  const ServerLimits& limits_;
  const std::size_t max_;
  BodyBuffer& out_;
  const std::size_t before_;
  std::size_t step_ = 0;
};

// RFC 1950 section 2.2: method 8, a window of up to 32 KiB, a check over both bytes. A bare deflate stream that begins
// so would be a stored block with padding that is not zero, which nobody writes.
bool has_zlib_header(ByteView in) {
  if (in.size() < 2) return false;
  const auto first = static_cast<unsigned char>(in[0]);
  const auto second = static_cast<unsigned char>(in[1]);
  return (first & 0x0F) == 8 && (first >> 4) <= 7 && (first << 8 | second) % 31 == 0;
}

// RFC 1952 section 2.3.1.2: the other bits of FLG must be zero. ISA-L does not look at them.
bool has_reserved_flags(ByteView member) { return member.size() > 3 && (member[3] & 0xE0) != 0; }

InflateResult run_isal(inflate_state& state, Coding coding, ByteView in, Output& out) {
  const auto begin = [&](std::size_t at) {
    isal_inflate_reset(&state);
    const ByteView rest = in.substr(at);
    state.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(rest.data()));
    state.avail_in = static_cast<std::uint32_t>(rest.size());
    return coding != Coding::kGzip || !has_reserved_flags(rest);
  };
  // Input that is still in the decoder's bit buffer is not eaten.
  const auto eaten = [&] {
    return in.size() - state.avail_in - static_cast<std::size_t>(std::max(state.read_in_length, 0)) / 8;
  };
  isal_inflate_init(&state);
  state.crc_flag = coding == Coding::kGzip ? ISAL_GZIP : has_zlib_header(in) ? ISAL_ZLIB : ISAL_DEFLATE;
  if (!begin(0)) return InflateResult::kCorrupt;
  for (;;) {
    char* const to = out.next();
    if (to == nullptr) return InflateResult::kNoMemory;
    state.next_out = reinterpret_cast<std::uint8_t*>(to);
    state.avail_out = static_cast<std::uint32_t>(out.step());
    const int rv = isal_inflate(&state);
    if (!out.add(out.step() - state.avail_out, eaten())) return InflateResult::kTooLarge;
    if (rv != ISAL_DECOMP_OK) return InflateResult::kCorrupt;
    if (state.block_state != ISAL_BLOCK_FINISH) {
      if (state.avail_out != 0) return InflateResult::kCorrupt;  // ends too early
    } else if (eaten() == in.size()) {
      return InflateResult::kOk;
    } else if (coding != Coding::kGzip || !begin(eaten())) {  // RFC 1952 section 2.2: members follow each other
      return InflateResult::kCorrupt;
    }
  }
}

InflateResult inflate_deflate(Coding coding, ByteView in, Output& out) {
  // A pointer, not the state itself, which every thread would clear at its start.
  thread_local const auto state = std::make_unique<inflate_state>();
  if (in.size() > UINT32_MAX) return InflateResult::kTooLarge;
  return run_isal(*state, coding, in, out);
}

struct ZstdState {
  ZSTD_DCtx* context = nullptr;

  bool begin() {
    if (context == nullptr) {
      context = ZSTD_createDCtx();
      if (context == nullptr) return false;
      INVARIANT(!ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kWindowLogMax)));
    }
    return !ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_only));
  }
  // A large window is freed at once, because it is charged as long as it exists.
  void end() {
    if (ZSTD_sizeof_DCtx(context) <= kZstdKept) return;
    ZSTD_freeDCtx(context);
    context = nullptr;
  }
  ~ZstdState() { ZSTD_freeDCtx(context); }
};

// RFC 8878 sections 3.1.1 and 3.1.2. libzstd may also read frames older than the RFC (v0.5 to 0.7), whose windows are
// neither held to the limit nor counted by ZSTD_sizeof_DCtx().
bool starts_zstd_frame(ByteView in) {
  if (in.size() < sizeof(std::uint32_t)) return false;
  const auto magic = load_le<std::uint32_t>(in.data());
  return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

InflateResult run_zstd(ZSTD_DCtx* context, ByteView in, Charge& window, Output& out) {
  ZSTD_inBuffer from{in.data(), in.size(), 0};
  bool between_frames = true;
  for (;;) {
    if (between_frames && !starts_zstd_frame(in.substr(from.pos))) return InflateResult::kCorrupt;
    char* const to = out.next();
    if (to == nullptr) return InflateResult::kNoMemory;
    ZSTD_outBuffer into{to, out.step(), 0};
    const std::size_t rv = ZSTD_decompressStream(context, &into, &from);
    if (!out.add(into.pos, from.pos)) return InflateResult::kTooLarge;
    if (ZSTD_isError(rv)) {
      return ZSTD_getErrorCode(rv) == ZSTD_error_memory_allocation ? InflateResult::kNoMemory : InflateResult::kCorrupt;
    }
    // The frame's header has made the decoder allocate. The memory is charged before its pages are touched.
    const std::size_t taken = ZSTD_sizeof_DCtx(context);
    if (taken > kZstdKept && taken > window.bytes() && !window.try_grow(taken - window.bytes())) {
      return InflateResult::kNoMemory;
    }
    between_frames = rv == 0;
    if (between_frames && from.pos == from.size) return InflateResult::kOk;  // else another frame follows
    if (rv != 0 && from.pos == from.size && into.pos < into.size) return InflateResult::kCorrupt;  // ends too early
  }
}

InflateResult inflate_zstd(ByteView in, Charge window, Output& out) {
  thread_local ZstdState state;
  if (!state.begin()) return InflateResult::kNoMemory;
  const InflateResult result = run_zstd(state.context, in, window, out);
  state.end();
  return result;
}

}  // namespace

std::optional<Coding> coding_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, Coding>, 6> kCodings = {{{"", Coding::kIdentity},
                                                                            {"identity", Coding::kIdentity},
                                                                            {"gzip", Coding::kGzip},
                                                                            {"x-gzip", Coding::kGzip},
                                                                            {"deflate", Coding::kDeflate},
                                                                            {"zstd", Coding::kZstd}}};
  for (const auto& [known, coding] : kCodings) {
    if (equal_ignoring_case(name, known)) return coding;
  }
  return std::nullopt;
}

InflateResult inflate_body(Coding coding, ByteView in, const ServerLimits& limits, std::size_t output_max,
                           BodyBuffer& out) {
  if (in.empty()) return InflateResult::kCorrupt;
  out.expect(std::min(out.size() + in.size() * 8, output_max));
  Output output(limits, output_max, out);
  const InflateResult result =
      coding == Coding::kZstd ? inflate_zstd(in, out.another_charge(), output) : inflate_deflate(coding, in, output);
  if (result != InflateResult::kOk) out.take_back(output.total());
  return result;
}

}  // namespace tailgate
