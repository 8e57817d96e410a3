// SPDX-License-Identifier: Apache-2.0
#include "export/parquet/span_files.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "export/parquet/span_columns.h"
#include "otlp_twin.pb.h"
#include "wire/otlp/attribute_text.h"

using namespace tailgate;

namespace {

constexpr std::uint64_t kHour = 3'600'000'000'000;
constexpr std::uint64_t kNow = 1'790'000'000'000'000'000;  // in hour 497,222

constexpr TimeRange kAny{Duration::max(), Duration::max()};

// A trace of one service with a span named by each start.
KeptTracePtr trace(const std::string& service, const std::vector<std::uint64_t>& starts, const char* policy = "p") {
  twin::TracesData data;
  auto* of = data.add_resource_spans();
  auto* name = of->mutable_resource()->add_attributes();
  name->set_key("service.name");
  name->mutable_value()->set_string_value(service);
  auto* scope = of->add_scope_spans();
  for (const std::uint64_t start : starts) {
    auto* span = scope->add_spans();
    span->set_name(std::to_string(start));
    span->set_start_time_unix_nano(start);
    span->set_end_time_unix_nano(start + 1);
  }
  auto t = std::make_shared<KeptTrace>();
  t->otlp = data.SerializeAsString();
  t->spans = static_cast<std::uint32_t>(starts.size());
  t->policy = policy;
  return t;
}

Batch batch(std::vector<KeptTracePtr> traces) {
  Batch out;
  for (const KeptTracePtr& t : traces) out.spans += t->spans;
  out.traces = std::move(traces);
  return out;
}

// What a writer is told, as text: "service/name/policy" of each row, "|" at the end of a row group, "." of the file.
struct Told final : SpanTableWriter {
  std::string text;
  void add(const SpanRow& row) override {
    const AttributeValue* service = row.resource->service;
    text += std::string(service->bytes) + "/" + std::string(row.span->name) + "/" + std::string(row.policy);
    text += row.late ? "/late " : row.by_chance ? "/chance " : " ";
  }
  Result<void> end_row_group() override {
    text += "|";
    return {};
  }
  Result<FilePieces> finish() override { return FilePieces{text + "."}; }
};

std::string written(const Batch& b, const HourFile& file, const RowGroupLimits& limits = {}) {
  Told told;
  CutItems cut;
  return write_span_file(told, b, file, limits, cut)->at(0);
}

}  // namespace

TEST_CASE("a batch is a file per hour, each by service and then by start", "[export]") {
  const Batch b = batch({trace("shop", {kHour + 2, kHour + 1}), trace("cart", {kHour + 3, 2 * kHour}, "q")});
  const SpanFiles files(b, kNow, kAny);
  REQUIRE(files.files().size() == 2);
  CHECK(files.files()[0].hour == 1);
  CHECK(written(b, files.files()[0]) == "cart/3600000000003/q shop/3600000000001/p shop/3600000000002/p .");
  CHECK(files.files()[1].hour == 2);
  CHECK(written(b, files.files()[1]) == "cart/7200000000000/q .");
  CHECK(files.unreadable().empty());
}

TEST_CASE("a folder is named by day and hour as Hive has it", "[export]") {
  CHECK(hour_folder(0) == "dt=1970-01-01/hour=00/");
  CHECK(hour_folder(static_cast<std::int64_t>(kNow / kHour)) == "dt=2026-09-21/hour=14/");
  CHECK(hour_folder(1709164799 / 3600 + 1) == "dt=2024-02-29/hour=00/");
  CHECK(hour_folder(static_cast<std::int64_t>(UINT64_MAX / kHour)) == "dt=2554-07-21/hour=23/");
}

TEST_CASE("a batch of spans from a hundred hours makes 32 files, and those nearest to now are their own", "[export]") {
  std::vector<std::uint64_t> starts = {0};  // no time
  for (std::uint64_t i = 0; i < 50; ++i) {
    starts.push_back(kNow + i * kHour);
    starts.push_back(kNow - (i + 1) * kHour);
  }
  const Batch b = batch({trace("shop", starts)});
  const SpanFiles files(b, kNow, kAny);
  REQUIRE(files.files().size() == SpanFiles::kHoursMax - 1);  // one of which is now
  CHECK(files.misdated() == 101 - 31);
  const auto now = static_cast<std::int64_t>(kNow / kHour);
  for (const HourFile& file : files.files()) {
    CHECK(file.spans.size() == (file.hour == now ? 101 - 30 : 1));
    CHECK(std::abs(file.hour - now) <= 16);
  }
}

TEST_CASE("the file of now is one of the 32, also where no span of the batch is from now", "[export]") {
  std::vector<std::uint64_t> starts = {0};  // no time
  for (std::uint64_t i = 1; i <= SpanFiles::kHoursMax; ++i) starts.push_back(kNow - i * kHour);
  const Batch b = batch({trace("shop", starts)});
  const SpanFiles files(b, kNow, {std::chrono::hours(100), std::chrono::hours(1)});
  CHECK(files.files().size() <= SpanFiles::kHoursMax);
  std::size_t spans = 0;
  for (const HourFile& file : files.files()) spans += file.spans.size();
  CHECK(spans == starts.size());
}

TEST_CASE("spans outside the time range go to the hour of now and are counted", "[export]") {
  const auto now = static_cast<std::int64_t>(kNow / kHour);
  const TimeRange range{std::chrono::hours(2), std::chrono::hours(1)};
  const std::uint64_t earliest = kNow - 2 * kHour, latest = kNow + kHour;
  const Batch good = batch({trace("shop", {earliest, kNow, latest})});
  const SpanFiles all(good, kNow, range);
  REQUIRE(all.files().size() == 3);
  CHECK(all.files()[0].hour == now - 2);
  CHECK(all.files()[2].hour == now + 1);
  CHECK(all.misdated() == 0);
  const Batch bad = batch({trace("shop", {0, 1, earliest - kHour, latest + kHour, UINT64_MAX})});
  const SpanFiles none(bad, kNow, range);
  REQUIRE(none.files().size() == 1);
  CHECK(none.files()[0].hour == now);
  CHECK(none.files()[0].spans.size() == 5);
  CHECK(none.misdated() == 5);
}

TEST_CASE("a time range is inclusive and holds for every time there is", "[export]") {
  const TimeRange range{std::chrono::nanoseconds(10), std::chrono::nanoseconds(5)};
  CHECK(range.contains(90, 100));
  CHECK_FALSE(range.contains(89, 100));
  CHECK(range.contains(105, 100));
  CHECK_FALSE(range.contains(106, 100));
  CHECK(range.contains(1, 3));
  CHECK_FALSE(range.contains(0, 3));  // no time
  CHECK_FALSE(range.contains(UINT64_MAX, 0));
  CHECK_FALSE(range.contains(0, UINT64_MAX));
}

TEST_CASE("a span without a start goes by its end, one without both to the hour of now", "[export]") {
  auto t = std::make_shared<KeptTrace>();
  twin::TracesData data;
  auto* scope = data.add_resource_spans()->add_scope_spans();
  scope->add_spans()->set_end_time_unix_nano(5 * kHour);
  scope->add_spans()->set_name("no time");
  t->otlp = data.SerializeAsString();
  t->spans = 2;
  const Batch b = batch({t});
  const SpanFiles files(b, kNow, kAny);
  REQUIRE(files.files().size() == 2);
  CHECK(files.files()[0].hour == 5);
  CHECK(files.files()[1].hour == static_cast<std::int64_t>(kNow / kHour));
}

TEST_CASE("spans that cannot be read are named, the others go", "[export]") {
  auto torn = std::make_shared<KeptTrace>();
  torn->otlp = "\x0a\x05nope";
  torn->spans = 3;
  // A resource_spans with a scope_spans with two spans: an empty one, and one whose name says it is longer than it is.
  auto half = std::make_shared<KeptTrace>();
  half->otlp = std::string("\x0a\x08\x12\x06\x12\x00\x12\x02\x2a\x09", 10);
  half->spans = 2;
  const Batch b = batch({torn, trace("shop", {kHour}), half});
  const SpanFiles files(b, kNow, kAny);
  REQUIRE(files.unreadable().size() == 2);
  CHECK(files.unreadable()[0].index == 0);
  CHECK(files.unreadable()[0].spans == 3);
  CHECK(files.unreadable()[1].index == 2);
  CHECK(files.unreadable()[1].spans == 1);
  REQUIRE(files.files().size() == 2);
  CHECK(files.files()[0].spans.size() == 1);
  CHECK(files.files()[1].spans.size() == 1);
}

TEST_CASE("the same batch gives the same files", "[export]") {
  const Batch b = batch({trace("b", {kHour, kHour, kHour}), trace("a", {kHour, kHour}), trace("b", {kHour})});
  const SpanFiles one(b, kNow, kAny), two(b, kNow, kAny);
  CHECK(written(b, one.files()[0]) == written(b, two.files()[0]));
}

TEST_CASE("a row group ends when it is full, and sooner where another service begins", "[export]") {
  const std::vector<std::uint64_t> two = {kHour, kHour}, five(5, kHour);
  const Batch b = batch({trace("a", five), trace("b", two), trace("c", two)});
  const SpanFiles files(b, kNow, kAny);
  const auto shape = [&](const RowGroupLimits& limits) {
    std::string out;
    for (const char c : written(b, files.files()[0], limits)) {
      if (c == 'a' || c == 'b' || c == 'c' || c == '|') out += c;
    }
    return out;
  };
  CHECK(shape({.rows = 100}) == "aaaaabbcc");
  CHECK(shape({.rows = 4}) == "aaaa|a|bb|cc");  // a quarter of 4 is 1
  CHECK(shape({.rows = 12}) == "aaaaa|bbcc");   // and of 12 is 3
  CHECK(shape({.rows = 100, .bytes = 1}) == "a|a|a|a|a|b|b|c|c");
}

TEST_CASE("a large resource is not repeated without end", "[export]") {
  // 200 spans of a resource of 1 MiB: 200 MiB if each had it.
  auto t = std::make_shared<KeptTrace>();
  twin::TracesData data;
  auto* of = data.add_resource_spans();
  auto* large = of->mutable_resource()->add_attributes();
  large->set_key("service.name");
  large->mutable_value()->set_string_value(std::string(1 << 20, 'x'));
  auto* scope = of->add_scope_spans();
  for (int i = 0; i < 200; ++i) scope->add_spans()->set_start_time_unix_nano(kHour);
  t->otlp = data.SerializeAsString();
  t->spans = 200;
  Batch b = batch({t});
  b.bytes = t->otlp.size();

  struct Counted final : SpanTableWriter {
    int rows = 0, with = 0;
    bool first = false;
    void add(const SpanRow& row) override {
      if (rows++ == 0) first = !row.resource_elsewhere;
      if (!row.resource_elsewhere) ++with;
      CHECK_FALSE(row.scope_elsewhere);
      CHECK(row.resource->service->bytes.size() == 1 << 20);
    }
    Result<void> end_row_group() override { return {}; }
    Result<FilePieces> finish() override { return FilePieces{}; }
  } counted;
  const SpanFiles files(b, kNow, kAny);
  CutItems cut;
  REQUIRE(write_span_file(counted, b, files.files()[0], {}, cut));
  CHECK(counted.rows == 200);
  CHECK(counted.first);
  CHECK(counted.with == 1 + 16 + 8);  // the first, 16 MiB, and 8 times the batch
}

TEST_CASE("a row says why its trace was kept", "[export]") {
  const auto with = [](bool chance, bool late) {
    auto t = std::make_shared<KeptTrace>();
    static_cast<TraceSummary&>(*t) = *trace("shop", {1});
    t->otlp = trace("shop", {1})->otlp;
    t->spans = 1;
    t->verdict.chance = chance;
    t->late = late;
    return t;
  };
  const Batch b = batch({with(true, false), with(false, true)});
  CHECK(written(b, SpanFiles(b, kNow, kAny).files()[0]) == "shop/1/p/chance shop/1/p/late .");
}

TEST_CASE("a column shows the newest of its names, the last of each", "[export]") {
  const auto value = [](ByteView text) { return AttributeValue{AttributeValue::Kind::kString, 0, text}; };
  const AttributeViews attributes = {{"http.method", value("OLD")},
                                     {"http.request.method", value("first")},
                                     {"http.request.method", value("GET")},
                                     {"http.target", value("/x")}};
  const auto shown = [&](std::string_view name) -> std::string {
    for (const TextColumn& c : kTextColumns) {
      const AttributeValue* found = c.name == name ? find_column(c, attributes) : nullptr;
      if (found != nullptr) return std::string(found->bytes);
    }
    return "none";
  };
  CHECK(shown("http_method") == "GET");
  CHECK(shown("url_path") == "/x");
  CHECK(shown("http_route") == "none");
}

TEST_CASE("http_status is a number, or a text that is one", "[export]") {
  using Kind = AttributeValue::Kind;
  const auto of = [](const char* key, AttributeValue value) { return http_status({{key, value}}); };
  CHECK(of("http.status_code", {Kind::kInt, 404, {}}) == 404);
  CHECK(of("http.response.status_code", {Kind::kString, 0, "500"}) == 500);
  CHECK(of("http.status_code", {Kind::kInt, std::uint64_t{1} << 40, {}}) == std::nullopt);
  CHECK(of("http.status_code", {Kind::kString, 0, "500 no"}) == std::nullopt);
  CHECK(of("http.status_code", {Kind::kString, 0, ""}) == std::nullopt);
  CHECK(of("http.code", {Kind::kInt, 404, {}}) == std::nullopt);
  const AttributeViews both = {{"http.status_code", {Kind::kInt, 1, {}}},
                               {"http.response.status_code", {Kind::kInt, 2, {}}}};
  CHECK(http_status(both) == 2);
}

TEST_CASE("kinds and codes are OTLP's words as far as it has some", "[export]") {
  CHECK(span_kind_word(0) == "UNSPECIFIED");
  CHECK(span_kind_word(2) == "SERVER");
  CHECK(span_kind_word(5) == "CONSUMER");
  CHECK(span_kind_word(6).empty());
  CHECK(status_code_word(2) == "ERROR");
  CHECK(status_code_word(3).empty());
}

TEST_CASE("a row group ends by what its rows take in columns, and spans say what was left out of them", "[export]") {
  twin::TracesData data;
  auto* scope = data.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < 4; ++i) {
    auto* span = scope->add_spans();
    span->set_start_time_unix_nano(kHour);
    span->set_name("x");
    for (int k = 0; k < 16'384 + i; ++k) span->add_links();
  }
  data.mutable_resource_spans(0)->mutable_resource()->add_attributes()->set_key("service.name");
  auto t = std::make_shared<KeptTrace>();
  t->otlp = data.SerializeAsString();
  t->spans = 4;
  const Batch b = batch({t});
  const SpanFiles files(b, kNow, kAny);
  CHECK(written(b, files.files()[0], {.column_bytes = 2 * 16'384 * 50}) == "/x/ /x/ |/x/ /x/ .");
  Told told;
  CutItems cut;
  REQUIRE(write_span_file(told, b, files.files()[0], {}, cut));
  CHECK(cut.links == 1 + 2 + 3);
}

TEST_CASE("a file that is not wanted any more ends before its next rows", "[export]") {
  const Batch b = batch({trace("shop", std::vector<std::uint64_t>(1000, kHour))});
  const SpanFiles files(b, kNow, kAny);
  int looks = 0;
  Told told;
  CutItems cut;
  const auto stopped = write_span_file(told, b, files.files()[0], {}, cut, [&] { return ++looks == 3; });
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::kUnavailable);
  CHECK(std::count(told.text.begin(), told.text.end(), ' ') == 2 * 65);
}
