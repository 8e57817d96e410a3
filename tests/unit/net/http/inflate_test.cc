// SPDX-License-Identifier: Apache-2.0
#include "net/http/inflate.h"

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>

#include "support/gzip.h"
#include "support/random_otlp.h"
#include "support/zlib_inflate.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::string zstd(std::string_view in, int window_log = 0, bool with_size = true) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, with_size ? 1 : 0);
  if (window_log != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(in.size()) + 64, '\0');
  ZSTD_inBuffer from{in.data(), in.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // In two parts where the window matters: a frame that knows its size needs no more than that.
  if (window_log != 0) {
    from.size /= 2;
    ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
    from.size = in.size();
  }
  REQUIRE(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end) == 0);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string noise(std::size_t n) {
  std::mt19937 random(1);
  std::string out;
  while (out.size() < n) out.push_back("0123456789abcdef"[random() % 16]);
  return out;
}

// Bytes of several kinds: noise, long repeats near and far, text like spans.
std::string some_bytes(Random& r, std::size_t size) {
  std::string out;
  const std::uint64_t kind = r.below(4);
  while (out.size() < size) {
    if (kind == 0 || out.size() < 10) {
      out.push_back(static_cast<char>(r.next()));
    } else if (kind == 1) {
      out.append(r.below(400) + 1, static_cast<char>(r.below(3)));
    } else if (kind == 2) {
      const std::size_t from = out.size() - 1 - r.below(std::min<std::size_t>(out.size(), 32'768));
      for (std::size_t i = 0, n = r.below(300) + 1; i < n; ++i) out.push_back(out[from + i]);
    } else {
      out += "http.route /api/v1/orders/" + std::to_string(r.below(1000));
    }
  }
  out.resize(size);
  return out;
}

// By all that zlib can write: levels, strategies, windows, flushed blocks, the fields of a gzip header.
std::string compressed(Random& r, const std::string& in, Coding coding) {
  constexpr int kFlushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_BLOCK};
  z_stream z{};
  const int bits = static_cast<int>(9 + r.below(7));
  deflateInit2(&z, static_cast<int>(r.below(10)), Z_DEFLATED,
               coding == Coding::kGzip ? 16 + bits
               : r.one_in(2)           ? bits
                                       : -bits,
               static_cast<int>(1 + r.below(9)), static_cast<int>(r.below(5)));
  gz_header header{};
  Bytef name[] = "spans", extra[] = "an extra field";
  header.hcrc = static_cast<int>(r.below(2));
  if (r.one_in(2)) header.name = name;
  if (r.one_in(2)) header.comment = name;
  if (r.one_in(2)) {
    header.extra = extra;
    header.extra_len = static_cast<uInt>(r.below(sizeof extra));
  }
  if (r.one_in(2)) deflateSetHeader(&z, &header);
  std::string out(in.size() * 2 + 4096, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  std::size_t left = in.size();
  for (std::uint64_t parts = r.below(4); parts > 0; --parts) {
    const std::size_t part = r.below(left + 1);
    z.avail_in += static_cast<uInt>(part);
    left -= part;
    deflate(&z, kFlushes[r.below(4)]);
  }
  z.avail_in += static_cast<uInt>(left);
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// Cuts it, lengthens it, or turns bits: anywhere, in the first header, or in the trailer.
void damage(Random& r, std::string& body) {
  const auto turn = [&](std::size_t at) { body[at] = static_cast<char>(body[at] ^ 1 << r.below(8)); };
  switch (r.below(8)) {
    case 0:
      return body.resize(r.below(body.size()));
    case 1:
      for (std::uint64_t n = r.below(20) + 1; n > 0; --n) body.push_back(static_cast<char>(r.one_in(2) ? 0 : r.next()));
      return;
    case 2:
      return turn(r.below(body.size()));
    case 3:
      return turn(r.below(std::min<std::size_t>(body.size(), 60)));
    case 4:
      return turn(body.size() - 1 - r.below(std::min<std::size_t>(body.size(), 12)));
    default:
      return;
  }
}

// Bytes that end where memory ends: one byte read beyond them is a fault.
class AtTheEdge {
 public:
  explicit AtTheEdge(std::size_t room) : room_((room + kPage - 1) / kPage * kPage) {
    memory_ =
        static_cast<char*>(mmap(nullptr, room_ + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(mprotect(memory_ + room_, kPage, PROT_NONE) == 0);
  }
  ~AtTheEdge() { munmap(memory_, room_ + kPage); }
  std::string_view put(std::string_view bytes) {
    REQUIRE(bytes.size() <= room_);
    char* const to = memory_ + room_ - bytes.size();
    std::memcpy(to, bytes.data(), bytes.size());
    return {to, bytes.size()};
  }

 private:
  static constexpr std::size_t kPage = 65'536;  // at least a page, on every machine
  const std::size_t room_;
  char* memory_;
};

}  // namespace

TEST_CASE("gzip and deflate inflate to what went in", "[net][inflate]") {
  const ServerLimits limits;
  for (const std::size_t n : std::initializer_list<std::size_t>{0, 1, 1000, 65536, 65537, 3'000'000}) {
    const std::string text = noise(n);
    BodyBuffer a;
    REQUIRE(inflate_body(Coding::kGzip, gzip(text), limits, n, a) == InflateResult::kOk);
    CHECK((a.view() == text));
    BodyBuffer b;
    REQUIRE(inflate_body(Coding::kDeflate, deflated(text, MAX_WBITS), limits, n, b) == InflateResult::kOk);
    CHECK((b.view() == text));
    BodyBuffer bare;  // without zlib's header, as some send it
    REQUIRE(inflate_body(Coding::kDeflate, deflated(text, -MAX_WBITS), limits, n, bare) == InflateResult::kOk);
    CHECK((bare.view() == text));
    for (const bool with_size : {true, false}) {
      BodyBuffer z;
      REQUIRE(inflate_body(Coding::kZstd, zstd(text, 0, with_size), limits, n, z) == InflateResult::kOk);
      CHECK((z.view() == text));
    }
    if (n > 0) {
      BodyBuffer d, e;
      CHECK(inflate_body(Coding::kDeflate, deflated(text, -MAX_WBITS), limits, n - 1, d) == InflateResult::kTooLarge);
      CHECK(inflate_body(Coding::kZstd, zstd(text), limits, n - 1, e) == InflateResult::kTooLarge);
      CHECK(e.size() <= n);
      BodyBuffer c;
      CHECK(inflate_body(Coding::kGzip, gzip(text), limits, n - 1, c) == InflateResult::kTooLarge);
      CHECK(c.size() <= n);
    }
  }
  BodyBuffer two;
  REQUIRE(inflate_body(Coding::kGzip, gzip("one,") + gzip("two"), limits, 100, two) == InflateResult::kOk);
  CHECK(two.view() == "one,two");
  const std::string skippable("\x50\x2A\x4D\x18\x03\0\0\0abc", 11);  // RFC 8878 section 3.1.2
  BodyBuffer frames;
  REQUIRE(inflate_body(Coding::kZstd, zstd("one,") + skippable + zstd("two"), limits, 100, frames) ==
          InflateResult::kOk);
  CHECK(frames.view() == "one,two");
}

TEST_CASE("what is no whole gzip is corrupt", "[net][inflate]") {
  const ServerLimits limits;
  const std::string good = gzip(noise(1000));
  for (std::size_t n = 0; n < good.size(); n += 13) {
    BodyBuffer out;
    CHECK(inflate_body(Coding::kGzip, std::string_view(good).substr(0, n), limits, 10'000, out) ==
          InflateResult::kCorrupt);
  }
  std::string bad = good;
  bad[bad.size() - 6] ^= 1;  // the checksum
  BodyBuffer out;
  CHECK(inflate_body(Coding::kGzip, bad, limits, 10'000, out) == InflateResult::kCorrupt);
  const std::string small = zstd(noise(1000));
  for (std::size_t n = 0; n < small.size(); n += 7) {
    BodyBuffer part;
    CHECK(inflate_body(Coding::kZstd, std::string_view(small).substr(0, n), limits, 10'000, part) ==
          InflateResult::kCorrupt);
  }
  bad = small;
  bad[bad.size() - 1] ^= 1;  // the checksum
  BodyBuffer z, tail, bare;
  CHECK(inflate_body(Coding::kZstd, bad, limits, 10'000, z) == InflateResult::kCorrupt);
  CHECK(inflate_body(Coding::kZstd, small + "tail", limits, 10'000, tail) == InflateResult::kCorrupt);
  CHECK(inflate_body(Coding::kDeflate, "no deflate", limits, 10'000, bare) == InflateResult::kCorrupt);
  BodyBuffer more;
  CHECK(inflate_body(Coding::kGzip, good + "tail", limits, 10'000, more) == InflateResult::kCorrupt);
}

TEST_CASE("gzip and deflate answer as zlib does, whatever is done to them", "[net][inflate]") {
  ServerLimits limits;
  limits.inflate_ratio = 100'000;  // the twin knows no ratio
  Random r(15);
  AtTheEdge edge(1 << 20);
  std::size_t whole = 0, not_whole = 0, bad_codes = 0;
  for (int i = 0; i < 4000; ++i) {
    const Coding coding = r.one_in(3) ? Coding::kDeflate : Coding::kGzip;
    const std::size_t sizes[] = {r.below(10), r.below(1000), r.below(70'000), 65'534 + r.below(5), r.below(250'000)};
    std::string text = some_bytes(r, sizes[r.below(i % 8 == 0 ? 5 : 2)]);
    std::string body = compressed(r, text, coding);
    for (; coding == Coding::kGzip && r.one_in(3); text += "two") body += compressed(r, "two", coding);
    damage(r, body);
    const std::size_t cap = r.one_in(3) ? r.below(text.size() + 3) : 1 << 20;
    const ZlibAnswer twin = inflate_by_zlib(coding, body, cap);
    BodyBuffer out;
    const InflateResult result = inflate_body(coding, edge.put(body), limits, cap, out);
    INFO("input " << i << " result " << static_cast<int>(result));
    REQUIRE(agrees(twin, result, out.view()));
    REQUIRE(out.size() <= cap + 1);
    (twin.ok ? whole : twin.bad_code ? bad_codes : not_whole) += 1;
  }
  CHECK(whole > 1000);
  CHECK(not_whole > 1000);
  CHECK(bad_codes > 0);
}

TEST_CASE("a body that cannot be inflated leaves nothing behind", "[net][inflate]") {
  const std::string text = noise(200'000);
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate, Coding::kZstd}) {
    std::string body = coding == Coding::kGzip      ? gzip(text)
                       : coding == Coding::kDeflate ? deflated(text, MAX_WBITS)
                                                    : zstd(text);
    BodyBuffer out;
    REQUIRE(out.append("before"));
    CHECK(inflate_body(coding, body, {}, text.size() - 1, out) == InflateResult::kTooLarge);
    CHECK(out.view() == "before");
    body.resize(body.size() - 1);
    CHECK(inflate_body(coding, body, {}, text.size(), out) == InflateResult::kCorrupt);
    CHECK(out.view() == "before");
  }
}

TEST_CASE("a gzip header says no more than RFC 1952 knows", "[net][inflate]") {
  const ServerLimits limits;
  for (int bit = 5; bit < 8; ++bit) {
    std::string reserved = gzip("one,");
    reserved[3] = static_cast<char>(reserved[3] | 1 << bit);
    BodyBuffer first, second;
    CHECK(inflate_body(Coding::kGzip, reserved, limits, 100, first) == InflateResult::kCorrupt);
    CHECK(inflate_body(Coding::kGzip, gzip("one,") + reserved, limits, 100, second) == InflateResult::kCorrupt);
  }
}

TEST_CASE("the ratio guard and the budget stop what the cap would let through", "[net][inflate]") {
  ServerLimits limits;
  const std::string zeros = gzip(std::string(32 << 20, '\0'));
  ByteBudget budget({64 << 20, 0, 0, 0});
  {
    BodyBuffer out(&budget);
    CHECK(inflate_body(Coding::kGzip, zeros, limits, 64 << 20, out) == InflateResult::kTooLarge);
    CHECK(out.size() < 5 << 20);
    CHECK(budget.used(Holder::kRequests) < 5 << 20);
  }
  CHECK(budget.used(Holder::kRequests) == 0);
  limits.inflate_ratio = 100'000;
  BodyBuffer fits(&budget);
  CHECK(inflate_body(Coding::kGzip, zeros, limits, 64 << 20, fits) == InflateResult::kOk);
  ByteBudget small({1 << 20, 0, 0, 0});
  BodyBuffer out(&small);
  CHECK(inflate_body(Coding::kGzip, zeros, limits, 64 << 20, out) == InflateResult::kNoMemory);
}

TEST_CASE("a zstd window is limited, and charged while it is there", "[net][inflate]") {
  const ServerLimits limits;
  const std::string text = noise(20 << 20);
  ByteBudget budget({64 << 20, 0, 0, 0});
  {
    BodyBuffer fits(&budget);
    CHECK(inflate_body(Coding::kZstd, zstd(text, 23), limits, 64 << 20, fits) == InflateResult::kOk);
    BodyBuffer wide(&budget);
    CHECK(inflate_body(Coding::kZstd, zstd(text, 24), limits, 64 << 20, wide) == InflateResult::kCorrupt);
  }
  CHECK(budget.used(Holder::kRequests) == 0);
  ByteBudget small({4 << 20, 0, 0, 0});
  BodyBuffer out(&small);
  CHECK(inflate_body(Coding::kZstd, zstd(text, 23), limits, 64 << 20, out) == InflateResult::kNoMemory);
  CHECK(out.size() <= 64 << 10);  // found at once, not when the room is used up
}

TEST_CASE("a zstd frame of before RFC 8878 is corrupt, wherever it stands", "[net][inflate]") {
  const ServerLimits limits;
  const std::string skippable("\x5F\x2A\x4D\x18\x03\0\0\0abc", 11);
  for (const char version : {'\x25', '\x26', '\x27'}) {
    // A window of 2^27 bytes in the format of v0.7; its pages were taken before anything was charged.
    const std::string legacy = version + std::string("\xB5\x2F\xFD\x00\x88\xC0\0\0", 8);
    for (const std::string& before : {std::string(), zstd("one,"), skippable, zstd(noise(70'000)) + skippable}) {
      ByteBudget budget({64 << 20, 0, 0, 0});
      BodyBuffer out(&budget);
      CHECK(inflate_body(Coding::kZstd, before + legacy, limits, 1 << 20, out) == InflateResult::kCorrupt);
      CHECK(budget.used(Holder::kRequests) < 1 << 20);
      BodyBuffer more(&budget);
      CHECK(inflate_body(Coding::kZstd, before + legacy + zstd("two"), limits, 1 << 20, more) ==
            InflateResult::kCorrupt);
    }
  }
}

TEST_CASE("zstd bombs end as gzip's do", "[net][inflate]") {
  const ServerLimits limits;
  const std::string zeros = zstd(std::string(32 << 20, '\0'));
  ByteBudget budget({64 << 20, 0, 0, 0});
  BodyBuffer out(&budget);
  CHECK(inflate_body(Coding::kZstd, zeros, limits, 64 << 20, out) == InflateResult::kTooLarge);
  CHECK(out.size() < 5 << 20);
  // A header that claims 2^62 bytes takes nothing (RFC 8878 section 3.1.1.1).
  BodyBuffer liar(&budget);
  CHECK(inflate_body(Coding::kZstd, std::string("\x28\xB5\x2F\xFD\xE0\0\0\0\0\0\0\0\x40\x01\0\0", 16), limits, 64 << 20,
                     liar) == InflateResult::kCorrupt);
}

TEST_CASE("encodings go by their names in any case", "[net][inflate]") {
  CHECK(coding_of("") == Coding::kIdentity);
  CHECK(coding_of("Identity") == Coding::kIdentity);
  CHECK(coding_of("GZIP") == Coding::kGzip);
  CHECK(coding_of("X-GZip") == Coding::kGzip);
  CHECK(coding_of("deflate") == Coding::kDeflate);
  CHECK(coding_of("zstd") == Coding::kZstd);
  for (const char* other : {"br", "snappy", "gzip, gzip", "zst"}) CHECK_FALSE(coding_of(other).has_value());
}
