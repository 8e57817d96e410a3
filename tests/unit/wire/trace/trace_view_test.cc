// SPDX-License-Identifier: Apache-2.0
#include "wire/trace/trace_view.h"

#include <catch2/catch.hpp>

#include "codec/protobuf.h"
#include "support/otlp_builder.h"
#include "support/query_fixture.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

TraceView read(const std::string& otlp, const TraceViewLimits& limits = {}) {
  Result<TraceView> trace = TraceView::read(otlp, limits);
  REQUIRE(trace);
  return std::move(*trace);
}
TraceView read(std::string&&, const TraceViewLimits& = {}) = delete;  // the view would outlive its bytes

// "1:1-6^-1 2:2-5^1": name, left, right and parent of each span.
std::string numbers_of(const std::string& otlp) {
  const TraceView trace = read(otlp);
  std::string out;
  for (const TraceView::Span& span : trace.spans()) {
    if (!out.empty()) out += ' ';
    out += std::string(span.name) + ':' + std::to_string(span.nested_left) + '-' + std::to_string(span.nested_right) +
           '^' + std::to_string(span.nested_parent);
  }
  return out;
}

SpanSpec spec(std::uint64_t id, std::uint64_t parent, std::uint64_t start_ms = 0) {
  return {.id = id, .parent = parent, .start_ms = start_ms, .end_ms = start_ms + 1, .name = std::to_string(id)};
}

}  // namespace

TEST_CASE("a trace says what a list of traces shows of it", "[wire]") {
  const auto traces = fixture_traces();
  const TraceView one = read(traces[0]);
  CHECK(one.id() == fixture_trace_id(1));
  CHECK(one.spans().size() == 5);
  CHECK(one.resources().size() == 2);
  CHECK(one.root_service() == "frontend");
  CHECK(one.root_name() == "GET /checkout");
  CHECK(one.start_ns() == 1'700'000'000'000'000'000ULL);
  CHECK(one.duration_ns() == 1'200'000'000);
  CHECK(one.errors() == 2);
  CHECK(one.orphans() == 0);
  REQUIRE(one.services().size() == 2);
  CHECK(one.services()[1].name == "payment");
  CHECK(one.services()[1].spans == 3);
  CHECK(one.services()[1].errors == 1);
  const TraceView three = read(traces[2]);
  CHECK(three.root() == nullptr);
  CHECK(three.orphans() == 1);
  CHECK(three.root_service().empty());
}

TEST_CASE("the nested set counts down from the parentless spans, in order of start", "[wire]") {
  CHECK(numbers_of(request({spec(1, 0), spec(3, 1, 2), spec(2, 1, 1), spec(4, 2, 3), spec(5, 9, 4)})) ==
        "1:1-8^-1 2:2-5^1 3:6-7^1 4:3-4^2 5:0-0^0");
  CHECK(numbers_of(request({spec(1, 0), spec(2, 0, 1), spec(3, 2, 2)})) == "1:1-2^-1 2:3-6^-1 3:4-5^3");
}

TEST_CASE("parent ids that run in a circle make no circle of spans", "[wire]") {
  const std::string otlp = request({spec(1, 3), spec(2, 1, 1), spec(3, 2, 2), spec(4, 4, 3), spec(5, 1, 4)});
  const TraceView trace = read(otlp);
  CHECK(numbers_of(otlp) == "1:0-0^0 2:0-0^0 3:0-0^0 4:0-0^0 5:0-0^0");
  CHECK(trace.orphans() == 0);
  CHECK(trace.spans()[0].parent == TraceView::kNone);
  CHECK(trace.spans()[1].parent == 0);
  CHECK(trace.spans()[2].parent == 1);
  CHECK(trace.spans()[3].parent == TraceView::kNone);
  CHECK(trace.spans()[0].children == 2);
}

TEST_CASE("a resend counts once, and spans that only share their id stay", "[wire]") {
  const std::string first = request({spec(1, 0), spec(2, 1)}), late = request({spec(2, 1), spec(2, 1, 7)});
  const std::string otlp = first + first + late;
  const TraceView trace = read(otlp);
  CHECK(trace.spans().size() == 3);
  CHECK(trace.spans_repeated() == 3);
  CHECK(trace.resources().size() == 1);
  CHECK(trace.spans()[0].children == 2);
}

TEST_CASE("of spans that share an id the server hangs under the client", "[wire]") {
  twin::TracesData data = traces({spec(1, 0), spec(2, 1, 1), spec(2, 1, 2), spec(3, 2, 3)});
  auto& spans = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans();
  spans[1].set_kind(3);
  const std::string otlp = data.SerializeAsString();
  const TraceView trace = read(otlp);
  CHECK(trace.spans()[2].parent == 1);
  CHECK(trace.spans()[3].parent == 2);
}

TEST_CASE("times that are none take no part in durations", "[wire]") {
  twin::TracesData data = traces({spec(1, 0, 5), spec(2, 1, 6), spec(3, 1, 7)});
  auto& spans = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans();
  spans[1].set_start_time_unix_nano(0);
  spans[2].set_end_time_unix_nano(1);
  const std::string otlp = data.SerializeAsString();
  const TraceView trace = read(otlp);
  CHECK(trace.spans()[0].duration_ns == 0);
  CHECK(trace.spans()[2].duration_ns == 0);
  CHECK(trace.duration_ns() == 2'000'000);
}

TEST_CASE("a deep or wide trace costs no stack, and limits hold", "[wire]") {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 1; i <= 100'000; ++i) specs.push_back(spec(i, i % 2 == 0 ? i - 1 : i > 2 ? i - 2 : 0, i));
  const std::string otlp = request(specs);
  const TraceView trace = read(otlp);
  CHECK(trace.tree().size() == 100'000);
  CHECK(trace.spans()[0].nested_right == 200'000);
  const TraceView cut = read(otlp, {.spans_max = 1000});
  CHECK(cut.spans().size() == 1000);
  CHECK(cut.spans_left_out() == 99'000);
  const auto traces = fixture_traces();
  CHECK(read(traces[0], {.items_max = 6}).spans_left_out() == 3);
}

TEST_CASE("malformed bytes are an error around spans, and leave single spans out", "[wire]") {
  CHECK_FALSE(TraceView::read(std::string_view("\x0a\x05zz")));
  std::string scope, resource, otlp;
  pb::append_len(scope, 2, request({spec(1, 0)}).substr(0, 3) + "\x0a\x7f");
  pb::append_len(resource, 2, scope);
  pb::append_len(otlp, 1, resource);
  otlp += request({spec(1, 0)});
  CHECK(read(otlp).spans_unreadable() == 1);
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const std::string bytes = RandomOtlp(seed).request();
    const Result<TraceView> trace = TraceView::read(bytes);
    if (!trace) continue;
    std::size_t linked = 0, children = 0;
    for (const TraceView::Span& span : trace->spans()) {
      linked += span.parent != TraceView::kNone ? 1 : 0;
      children += span.children;
    }
    CHECK(linked == children);
  }
}
