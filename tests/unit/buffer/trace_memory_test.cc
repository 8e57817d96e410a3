// SPDX-License-Identifier: Apache-2.0
// How much memory open traces take, against the bytes that came for them.
#include <catch2/catch.hpp>
#include <cmath>

#include "support/buffer_fixture.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct Traffic {
  double mean_bytes;       // of a trace's spans
  double spread;           // sizes are log-uniform between mean / spread and mean * spread
  std::size_t span_bytes;  // about
  std::size_t spans_each;  // of a trace in one request
};

// What the budget is charged for open traces, for each byte of the requests that brought them.
double memory_per_wire_byte(const Traffic& t) {
  Random r(5);
  BufferFixture f({.decision_wait = 600s});
  double wire = 0;
  std::uint64_t trace = 0;
  while (wire < 6e6) {
    // Some traces at a time, whose spans come in turn.
    struct Open {
      std::uint64_t id;
      std::size_t spans, sent = 0;
    };
    std::vector<Open> open;
    for (int i = 0; i < 20; ++i) {
      const double low = std::log(t.mean_bytes / t.spread), high = std::log(t.mean_bytes * t.spread);
      const double size = std::exp(low + (high - low) * static_cast<double>(r.below(1000)) / 1000);
      open.push_back(
          {++trace, static_cast<std::size_t>(std::max(1.0, std::round(size / static_cast<double>(t.span_bytes))))});
    }
    for (bool more = true; more;) {
      more = false;
      std::vector<SpanSpec> spans;
      for (Open& o : open) {
        for (std::size_t n = 0; n < t.spans_each && o.sent < o.spans; ++n) {
          ++o.sent;
          const std::size_t text = t.span_bytes - 75 + r.below(20) - 10;
          spans.push_back(
              {.trace = o.id, .id = o.sent, .parent = o.sent / 2, .attributes = {{"k", std::string(text, 'x')}}});
        }
        more |= o.sent < o.spans;
      }
      if (spans.empty()) break;
      std::string bytes = request(spans);
      wire += static_cast<double>(bytes.size());
      f.add_request(std::move(bytes), 1s);
      f.requests.clear();
    }
  }
  return static_cast<double>(f.budget.used(Holder::kTraces)) / wire;
}

}  // namespace

// A trace has a header of 112 bytes, an entry of 8 bytes for each span, and a place in the table of traces. Beyond
// about 1 KB that is less than what leaving out the ids and storing resources once saves.
TEST_CASE("open traces take little more memory than their bytes on the wire, whatever their size", "[buffer]") {
  struct Bound {
    double mean_bytes, most;
  };
  for (const std::size_t span_bytes : {280u, 1000u}) {
    for (const std::size_t spans_each : {1u, 4u, 40u}) {
      for (const auto& [mean, most] :
           {Bound{300, 1.8}, Bound{500, 1.45}, Bound{700, 1.4}, Bound{1000, 1.35}, Bound{1500, 1.25}, Bound{2100, 1.2},
            Bound{3000, 1.15}, Bound{7000, 1.12}, Bound{20'000, 1.08}, Bound{100'000, 1.06}}) {
        if (mean < static_cast<double>(span_bytes)) continue;
        CAPTURE(mean, span_bytes, spans_each);
        CHECK(memory_per_wire_byte({mean, 1.2, span_bytes, spans_each}) < most);
      }
      // Mixes, log-uniform over a factor of 64.
      for (const auto& [mean, most] : {Bound{1000, 1.2}, Bound{3000, 1.12}, Bound{10'000, 1.1}}) {
        CAPTURE(mean, span_bytes, spans_each);
        CHECK(memory_per_wire_byte({mean, 8, span_bytes, spans_each}) < most);
      }
    }
  }
}
