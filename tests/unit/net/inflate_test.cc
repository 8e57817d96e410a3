#include "net/inflate.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace tailgate;

namespace {

std::string deflated(std::string_view in, int bits) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, in.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string gzip(std::string_view in) { return deflated(in, 16 + MAX_WBITS); }

std::string noise(std::size_t n) {
  std::mt19937 random(1);
  std::string out;
  while (out.size() < n) out.push_back("0123456789abcdef"[random() % 16]);
  return out;
}

}  // namespace

TEST_CASE("gzip and deflate inflate to what went in", "[net][inflate]") {
  const ServerLimits limits;
  for (const std::size_t n : {0, 1, 1000, 65536, 65537, 3'000'000}) {
    const std::string text = noise(n);
    BodyBuffer a;
    REQUIRE(inflate_body(Coding::kGzip, gzip(text), limits, n, a) == InflateResult::kOk);
    CHECK((a.view() == text));
    BodyBuffer b;
    REQUIRE(inflate_body(Coding::kDeflate, deflated(text, MAX_WBITS), limits, n, b) == InflateResult::kOk);
    CHECK((b.view() == text));
    if (n > 0) {
      BodyBuffer c;
      CHECK(inflate_body(Coding::kGzip, gzip(text), limits, n - 1, c) == InflateResult::kTooLarge);
      CHECK(c.size() <= n);
    }
  }
  BodyBuffer two;
  REQUIRE(inflate_body(Coding::kGzip, gzip("one,") + gzip("two"), limits, 100, two) == InflateResult::kOk);
  CHECK(two.view() == "one,two");
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
  BodyBuffer more;
  CHECK(inflate_body(Coding::kGzip, good + "tail", limits, 10'000, more) == InflateResult::kCorrupt);
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
