// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/scan.h"

#include <catch2/catch.hpp>

#include "base/hash.h"
#include "support/backward_otlp.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"
#include "support/scan_twin.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("the scanner agrees with libprotobuf on generated requests", "[wire]") {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    const std::string bytes = RandomOtlp(seed).request();
    const std::string difference = compare_with_twin(bytes);
    INFO("seed " << seed);
    REQUIRE(difference == "");
  }
}

TEST_CASE("the scanner agrees with libprotobuf on what the Collector writes, and on mixed orders", "[wire]") {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    twin::TracesData data;
    if (!data.ParseFromString(RandomOtlp(seed).request())) continue;
    Random mixed(seed);
    for (std::string bytes : {backward_otlp(data), backward_otlp(data, &mixed)}) {
      INFO("seed " << seed);
      REQUIRE(compare_with_twin(bytes) == "");
      if (bytes.empty()) continue;
      bytes[mixed.below(bytes.size())] = static_cast<char>(mixed.next());
      REQUIRE(compare_with_twin(bytes) == "");
    }
  }
}

TEST_CASE("a span that is written backwards has the fields of the same span written forwards", "[wire]") {
  twin::Span span;
  fill(span, {.id = 7, .parent = 3, .status = 2, .name = "GET /", .attributes = {{"k", "v"}, {"http.route", "/a"}}});
  span.set_trace_state("ot=th:8");
  span.set_flags(0x101);
  span.add_events()->set_name("e");
  span.add_links()->set_trace_state("x=1");
  span.set_dropped_attributes_count(1);
  ScanPlan plan;
  plan.attribute_slot("k");
  plan.attribute_slot("http.route");
  const std::string forward = span.SerializeAsString(), backward = backward_otlp(span);
  CHECK(backward[0] == '\x7A');
  REQUIRE(forward.size() == backward.size());
  SpanFields a, b;
  ByteView of_a[2], of_b[2];
  REQUIRE(scan_span(forward, plan, a, of_a));
  REQUIRE(scan_span(backward, plan, b, of_b));
  CHECK(a.trace_id == b.trace_id);
  CHECK(a.span_id == b.span_id);
  CHECK(a.parent_span_id == b.parent_span_id);
  CHECK(a.trace_state == b.trace_state);
  CHECK(a.name == b.name);
  CHECK(a.kind == b.kind);
  CHECK(a.start_ns == b.start_ns);
  CHECK(a.end_ns == b.end_ns);
  CHECK(a.flags == b.flags);
  CHECK(a.status_code == b.status_code);
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(string_value(of_b[i]));
    CHECK(string_value(of_a[i]) == string_value(of_b[i]));
  }
}

TEST_CASE("a string is read from an attribute in either order, and nothing from one that lies", "[wire]") {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 123, 124, 125, 126, 127, 128, 20'000}) {
    for (const std::size_t key : std::initializer_list<std::size_t>{0, 1, 125, 126, 127, 128}) {
      twin::KeyValue attribute;
      attribute.set_key(std::string(key, 'k'));
      attribute.mutable_value()->set_string_value(std::string(size, 'v'));
      std::string bytes = backward_otlp(attribute);
      CHECK(string_value(bytes) == std::optional<ByteView>(attribute.value().string_value()));
      CHECK(string_value(attribute.SerializeAsString()) == string_value(bytes));
      for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 200); ++at) {
        const char was = std::exchange(bytes[at], static_cast<char>(bytes[at] + 1));
        twin::KeyValue parsed;
        if (parsed.ParseFromString(bytes)) {
          const bool text = parsed.value().value_case() == twin::AnyValue::kStringValue;
          const std::optional<ByteView> got = string_value(bytes);
          if (text != got.has_value() || (text && *got != parsed.value().string_value())) {
            FAIL("key of " << key << ", value of " << size << ", byte " << at);
          }
        }
        bytes[at] = was;
      }
    }
  }
}

TEST_CASE("the scanner agrees with libprotobuf on mutated requests", "[wire]") {
  std::size_t accepted = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::string bytes = RandomOtlp(seed).request();
    Random random(seed + 1'000'000);
    for (std::uint64_t n = 1 + random.below(3); n != 0 && !bytes.empty(); --n) {
      const std::size_t at = random.below(bytes.size());
      switch (random.below(3)) {
        case 0:
          bytes[at] = static_cast<char>(random.next());
          break;
        case 1:
          bytes.erase(at, 1 + random.below(4));
          break;
        default:
          bytes.resize(at);
      }
    }
    const std::string difference = compare_with_twin(bytes);
    INFO("seed " << seed);
    REQUIRE(difference == "");
    accepted += parse_twin(bytes).has_value();
  }
  CHECK(accepted > 1000);  // the comparison must not be empty
}

TEST_CASE("a malformed request names the place", "[wire]") {
  const ScanPlan plan;
  std::string bytes = request({{.id = 1}, {.id = 2}});
  const std::size_t tag = bytes.rfind('\x41');  // end_time_unix_nano of the second span
  bytes[tag] = '\x47';                          // wire type 7 does not exist
  const Scanned scanned(bytes, plan);
  CHECK_FALSE(scanned.result.ok);
  CHECK(scanned.result.error == "resource_spans[0].scope_spans[0].spans[1]: malformed span");
}

TEST_CASE("spans with bad ids are counted and named, and the others taken", "[wire]") {
  auto data = traces({{.id = 1}, {.id = 2}, {.id = 3}});
  data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(1)->set_trace_id("short");
  const ScanPlan plan;
  const Scanned scanned(data.SerializeAsString(), plan);
  CHECK(scanned.result.ok);
  CHECK(scanned.result.spans == 3);
  CHECK(scanned.result.bad_ids == 1);
  CHECK(scanned.result.first_bad_id ==
        "resource_spans[0].scope_spans[0].spans[1].trace_id: expected 16 bytes, got 5 bytes");
  CHECK(scanned.batch.spans.size() == 2);
}

TEST_CASE("an id is said to be zero only when it is", "[wire]") {
  const ScanPlan plan;
  const auto first_bad_id = [&](std::string trace, std::string span, std::string parent) {
    auto data = traces({{.id = 1}});
    auto& s = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
    s.set_trace_id(trace);
    s.set_span_id(span);
    s.set_parent_span_id(parent);
    const std::string text = Scanned(data.SerializeAsString(), plan).result.first_bad_id;
    return text.substr(text.find("spans[0].spans[0].") == std::string::npos ? 0 : text.rfind("].") + 2);
  };
  const std::string trace(16, 'T'), span(8, 'S');
  CHECK(first_bad_id(std::string(16, '\0'), span, "") ==
        "trace_id: expected 16 bytes that are not all zero, got only zeros");
  CHECK(first_bad_id("8 bytes.", span, "") == "trace_id: expected 16 bytes, got 8 bytes");
  CHECK(first_bad_id(std::string(8, '\0'), span, "") == "trace_id: expected 16 bytes, got 8 bytes");
  CHECK(first_bad_id(trace, std::string(8, '\0'), "") ==
        "span_id: expected 8 bytes that are not all zero, got only zeros");
  CHECK(first_bad_id(trace, trace, "") == "span_id: expected 8 bytes, got 16 bytes");
  CHECK(first_bad_id(trace, "", "") == "span_id: expected 8 bytes, got 0 bytes");
  CHECK(first_bad_id(trace, span, trace) == "parent_span_id: expected 0 or 8 bytes, got 16 bytes");
  CHECK(first_bad_id(trace, span, std::string(8, '\0')).empty());
}

TEST_CASE("spans of a request are grouped by trace in the order of arrival", "[wire]") {
  const ScanPlan plan;
  const Scanned scanned(request({{.trace = 1, .id = 1}, {.trace = 2, .id = 2}, {.trace = 1, .id = 3, .parent = 1}}),
                        plan);
  REQUIRE(scanned.batch.traces.size() == 2);
  const BatchTrace& first = scanned.batch.traces[0];
  CHECK(first.facts.spans == 2);
  CHECK(first.facts.root_seen);
  CHECK(first.first == 0);
  CHECK(scanned.batch.spans[0].next == 2);
  CHECK(scanned.batch.spans[2].next == kNoIndex);
  CHECK(scanned.batch.spans[2].parent_hash == scanned.batch.spans[0].id_hash);
}

TEST_CASE("a request of more spans than a slice holds is handed on in slices, and refused whole when malformed",
          "[wire]") {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 0; i < kSpansPerSlice * 2 + 5; ++i) specs.push_back({.trace = i % 100, .id = i + 1});
  std::string bytes = request(specs);
  const ScanPlan plan;
  SpanBatch batch;
  std::size_t slices = 0, spans = 0;
  const auto take = [&](SpanBatch& slice) {
    ++slices;
    spans += slice.spans.size();
    CHECK(slice.groups.size() == 1);
    return true;
  };
  const ScanResult good = scan_request(bytes, plan, batch, take);
  CHECK(good.ok);
  CHECK(slices == 2);
  CHECK(spans + batch.spans.size() == specs.size());

  bytes[bytes.rfind('\x41')] = '\x47';
  slices = 0;
  SpanBatch again;
  CHECK_FALSE(scan_request(bytes, plan, again, take).ok);
  CHECK(slices == 0);
}

TEST_CASE("a watcher sees every span with the hash of its trace", "[wire]") {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 0; i < kSpansPerSlice + 5; ++i) specs.push_back({.trace = i % 3 + 1, .id = i + 1});
  struct Watcher final : SpanWatcher {
    void on_resource(const ByteView*) override {}
    void on_span(const SpanFields& span, std::uint64_t trace_hash) override {
      good += trace_hash == hash_bytes(span.trace_id, 5);
    }
    std::size_t good = 0;
  } watcher;
  const ScanPlan plan;
  SpanBatch batch;
  batch.hash_seed = 5;
  const std::string bytes = request(specs);
  REQUIRE(scan_request(
              bytes, plan, batch, [](SpanBatch&) { return true; }, &watcher)
              .ok);
  CHECK(watcher.good == specs.size());
}

TEST_CASE("groups nest to a hundred levels and no further", "[wire]") {
  const auto nested = [](int depth) {
    std::string bytes;
    for (int i = 0; i < depth; ++i) pb::append_varint(bytes, pb::tag_of(200, pb::kGroup));
    for (int i = 0; i < depth; ++i) pb::append_varint(bytes, pb::tag_of(200, pb::kEndGroup));
    return bytes;
  };
  const ScanPlan plan;
  CHECK(Scanned(nested(100), plan).result.ok);
  CHECK_FALSE(Scanned(nested(101), plan).result.ok);
  CHECK_FALSE(Scanned(nested(3).substr(2), plan).result.ok);  // an end without a beginning
}

TEST_CASE("messages without spans cost no memory, wherever their fields lie", "[wire]") {
  std::string bytes;
  for (int i = 0; i < 1000; ++i)
    bytes.append("\x0a\x06\x0a\x00\x12\x00\x1a\x00", 8);  // resource, scope_spans, schema_url
  const ScanPlan plan;
  const Scanned scanned(bytes, plan);
  CHECK(scanned.result.ok);
  CHECK(scanned.batch.scratch.empty());
  CHECK(scanned.batch.groups.empty());
}
