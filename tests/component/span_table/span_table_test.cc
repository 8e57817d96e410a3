// SPDX-License-Identifier: Apache-2.0
// The module that writes Parquet, loaded as the daemon loads it; what it wrote is read by Arrow's own reader, and
// compared column by column with what protobuf says of the same spans.
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/statistics.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "codec/utf8.h"
#include "export/parquet/library.h"
#include "export/parquet/span_columns.h"
#include "export/parquet/span_files.h"
#include "otlp_twin.pb.h"
#include "support/random_otlp.h"
#include "wire/otlp/attribute_text.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr std::uint64_t kStart = 1'790'000'000'000'000'000;

MakeSpanTable module() {
  static const Result<MakeSpanTable> loaded = load_parquet_module(TAILGATE_PARQUET_MODULE);
  if (!loaded) FAIL(loaded.error().text);
  return *loaded;
}

// --- spans of all kinds
using Attributes = google::protobuf::RepeatedPtrField<twin::KeyValue>;

std::string text(Random& r) {
  static const std::string some[] = {
      "", "a", "zw\xc3\xb6lf", "\xff\xfe", std::string("nul\0", 4), std::string(300, 'x')};
  return some[r.below(6)];
}

void fill(twin::AnyValue& value, Random& r, int depth) {
  switch (r.below(depth > 2 ? 6 : 8)) {
    case 0:
      return;
    case 1:
      return value.set_string_value(text(r));
    case 2:
      return value.set_bool_value(r.one_in(2));
    case 3:
      return value.set_int_value(static_cast<std::int64_t>(r.next()));
    case 4:
      return value.set_double_value(static_cast<double>(r.below(1000)) / 8);
    case 5:
      return value.set_bytes_value(text(r));
    case 6:
      for (std::uint64_t n = r.below(4); n > 0; --n) fill(*value.mutable_array_value()->add_values(), r, depth + 1);
      return;
    default:
      for (std::uint64_t n = 1 + r.below(3); n > 0; --n) {
        auto* entry = value.mutable_kvlist_value()->add_values();
        entry->set_key("k" + std::to_string(r.below(9)));
        fill(*entry->mutable_value(), r, depth + 1);
      }
  }
}

void fill(Attributes& out, Random& r) {
  static const std::string keys[] = {"http.route", "http.status_code", "http.method", "a", "b", "\xff", "\xfe", ""};
  for (std::uint64_t n = r.below(6); n > 0; --n) {
    auto* entry = out.Add();
    entry->set_key(keys[r.below(8)]);
    fill(*entry->mutable_value(), r, 0);
  }
}

twin::TracesData random_spans(std::uint64_t seed) {
  Random r(seed);
  twin::TracesData data;
  const auto count = [&] { return static_cast<std::uint32_t>(r.below(1000)); };
  for (std::uint64_t i = 1 + r.below(3); i > 0; --i) {
    auto* of = data.add_resource_spans();
    fill(*of->mutable_resource()->mutable_attributes(), r);
    if (!r.one_in(4)) {
      auto* name = of->mutable_resource()->add_attributes();
      name->set_key("service.name");
      name->mutable_value()->set_string_value("svc" + std::to_string(r.below(4)));
    }
    of->mutable_resource()->set_dropped_attributes_count(count());
    of->set_schema_url(text(r));
    auto* scope = of->add_scope_spans();
    scope->mutable_scope()->set_name(text(r));
    scope->mutable_scope()->set_version(text(r));
    scope->mutable_scope()->set_dropped_attributes_count(count());
    fill(*scope->mutable_scope()->mutable_attributes(), r);
    scope->set_schema_url(text(r));
    for (std::uint64_t n = 1 + r.below(5); n > 0; --n) {
      auto* s = scope->add_spans();
      s->set_trace_id(std::string(16, static_cast<char>(1 + r.below(255))));
      s->set_span_id(std::string(8, static_cast<char>(1 + r.below(255))));
      if (r.one_in(2)) s->set_parent_span_id(std::string(8, r.one_in(4) ? '\0' : '\x7f'));
      s->set_trace_state(text(r));
      s->set_name(text(r));
      s->set_kind(static_cast<std::int32_t>(r.below(8)));
      s->set_start_time_unix_nano(kStart + r.below(1000));
      s->set_end_time_unix_nano(r.one_in(10) ? r.next() : kStart + r.below(5000));
      fill(*s->mutable_attributes(), r);
      s->set_dropped_attributes_count(count());
      s->set_dropped_events_count(count());
      s->set_dropped_links_count(count());
      s->set_flags(static_cast<std::uint32_t>(r.next()));
      if (r.one_in(2)) s->mutable_status()->set_code(static_cast<std::int32_t>(r.below(4)));
      if (r.one_in(2)) s->mutable_status()->set_message(text(r));
      for (std::uint64_t e = r.below(3); e > 0; --e) {
        auto* event = s->add_events();
        event->set_time_unix_nano(kStart + r.below(1000));
        event->set_name(text(r));
        fill(*event->mutable_attributes(), r);
        event->set_dropped_attributes_count(count());
      }
      for (std::uint64_t l = r.below(3); l > 0; --l) {
        auto* link = s->add_links();
        link->set_trace_id(std::string(16, '\x12'));
        link->set_span_id(std::string(8, '\x34'));
        link->set_trace_state(text(r));
        link->set_flags(static_cast<std::uint32_t>(r.next()));
        fill(*link->mutable_attributes(), r);
        link->set_dropped_attributes_count(count());
      }
    }
  }
  return data;
}

Batch batch_of(const twin::TracesData& data) {
  auto trace = std::make_shared<KeptTrace>();
  trace->otlp = data.SerializeAsString();
  trace->policy = "errors";
  for (const auto& of : data.resource_spans()) {
    for (const auto& scope : of.scope_spans()) trace->spans += static_cast<std::uint32_t>(scope.spans_size());
  }
  Batch out;
  out.spans = trace->spans;
  out.traces = {trace};
  return out;
}

// --- reading: every cell as a text, "null" where there is nothing
std::string show(const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) return "null";
  switch (array.type_id()) {
    case arrow::Type::STRING:
      return "'" + std::string(static_cast<const arrow::StringArray&>(array).GetView(row)) + "'";
    case arrow::Type::INT32:
      return std::to_string(static_cast<const arrow::Int32Array&>(array).Value(row));
    case arrow::Type::INT64:
      return std::to_string(static_cast<const arrow::Int64Array&>(array).Value(row));
    case arrow::Type::TIMESTAMP:
      return std::to_string(static_cast<const arrow::TimestampArray&>(array).Value(row));
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true" : "false";
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapArray&>(array);
      std::string out = "{";
      for (std::int64_t i = map.value_offset(row); i < map.value_offset(row) + map.value_length(row); ++i)
        out += show(*map.keys(), i) + ":" + show(*map.items(), i) + ",";
      return out + "}";
    }
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      std::string out = "[";
      for (std::int64_t i = list.value_offset(row); i < list.value_offset(row) + list.value_length(row); ++i)
        out += show(*list.values(), i) + ",";
      return out + "]";
    }
    case arrow::Type::STRUCT: {
      std::string out = "(";
      for (const auto& field : static_cast<const arrow::StructArray&>(array).fields()) out += show(*field, row) + ",";
      return out + ")";
    }
    default:
      return "a type nobody expects: " + array.type()->ToString();
  }
}

struct Read {
  std::vector<std::map<std::string, std::string>> rows;
  std::shared_ptr<parquet::FileMetaData> meta;
  std::shared_ptr<arrow::Table> table;
};

Read read(const std::string& file) {
  const auto source = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(file));
  parquet::ReaderProperties checked;
  checked.set_page_checksum_verification(true);
  parquet::arrow::FileReaderBuilder builder;
  REQUIRE(builder.Open(source, checked).ok());
  std::unique_ptr<parquet::arrow::FileReader> reader;
  REQUIRE(builder.Build(&reader).ok());
  Read out;
  out.meta = reader->parquet_reader()->metadata();
  auto table = reader->ReadTable();
  REQUIRE(table.ok());
  auto whole = (*table)->CombineChunks();
  REQUIRE(whole.ok());
  out.table = *whole;
  REQUIRE(out.table->ValidateFull().ok());  // UTF-8 too
  for (std::int64_t row = 0; row < out.table->num_rows(); ++row) {
    auto& cells = out.rows.emplace_back();
    for (int c = 0; c < out.table->num_columns(); ++c)
      cells[out.table->field(c)->name()] = show(*out.table->column(c)->chunk(0), row);
  }
  return out;
}

// --- what protobuf says
std::string quoted(const std::string& value) { return "'" + to_utf8(value) + "'"; }
std::string some(const std::string& value) { return value.empty() ? "null" : quoted(value); }
std::string id(const std::string& bytes) {
  if (bytes.find_first_not_of('\0') == std::string::npos) return "null";
  std::string out = "'";
  for (const char c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    out += two;
  }
  return out + "'";
}

std::string value_text(const twin::AnyValue& value) {
  if (value.value_case() == twin::AnyValue::VALUE_NOT_SET) return "null";
  twin::KeyValue entry;
  *entry.mutable_value() = value;
  std::string out;
  const std::string bytes = entry.SerializeAsString();
  append_attribute_text(out, attribute_value(bytes));  // which has tests of its own
  return quoted(out);
}

// The map and the letters of its types.
std::pair<std::string, std::string> expected(const Attributes& attributes) {
  std::map<std::string, const twin::AnyValue*> last;
  for (const auto& a : attributes) last[to_utf8(a.key())] = &a.value();
  std::string map = "{", types;
  for (const auto& [key, value] : last) {
    map += quoted(key) + ":" + value_text(*value) + ",";
    types += "nsbidamy"[static_cast<std::size_t>(value->value_case())];
  }
  return {map + "}", "'" + types + "'"};
}

const twin::AnyValue* last_of(const Attributes& attributes, const std::string& key) {
  const twin::AnyValue* out = nullptr;
  for (const auto& a : attributes) {
    if (a.key() == key) out = &a.value();
  }
  return out;
}

std::map<std::string, std::string> expected(const twin::ResourceSpans& of, const twin::ScopeSpans& scope,
                                            const twin::Span& s) {
  static const char* kinds[] = {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
  static const char* codes[] = {"UNSET", "OK", "ERROR"};
  const Attributes& of_resource = of.resource().attributes();
  std::map<std::string, std::string> e;
  const auto shown = [](const twin::AnyValue* value) -> std::string {
    if (value == nullptr) return "null";
    twin::KeyValue entry;
    *entry.mutable_value() = *value;
    const std::string bytes = entry.SerializeAsString();
    return attribute_value(bytes).bytes.size() > kColumnTextMax ? "null" : value_text(*value);
  };
  e["service"] = shown(last_of(of_resource, "service.name"));
  e["name"] = quoted(s.name());
  e["kind"] = quoted(s.kind() < 6 ? kinds[s.kind()] : std::to_string(s.kind()));
  e["start_time"] = std::to_string(s.start_time_unix_nano());
  e["end_time"] = std::to_string(static_cast<std::int64_t>(s.end_time_unix_nano()));
  const auto odd = [](std::uint64_t time) { return time == 0 || time >= 9'223'372'036'854'775'807U; };
  const bool known = !odd(s.start_time_unix_nano()) && !odd(s.end_time_unix_nano());
  e["duration_ns"] =
      std::to_string(known ? static_cast<std::int64_t>(s.end_time_unix_nano() - s.start_time_unix_nano()) : 0);
  e["status_code"] = quoted(s.status().code() < 3 ? codes[s.status().code()] : std::to_string(s.status().code()));
  e["status_message"] = some(s.status().message());
  const twin::AnyValue* http = last_of(s.attributes(), "http.status_code");
  const bool fits = http != nullptr && http->has_int_value() && http->int_value() == std::int32_t(http->int_value());
  e["http_status"] = fits ? std::to_string(http->int_value()) : "null";
  for (const TextColumn& c : kTextColumns) e[std::string(c.name)] = "null";
  e["http_route"] = shown(last_of(s.attributes(), "http.route"));
  e["http_method"] = shown(last_of(s.attributes(), "http.method"));
  e["trace_id"] = id(s.trace_id());
  e["span_id"] = id(s.span_id());
  e["parent_span_id"] = id(s.parent_span_id());
  e["trace_state"] = some(s.trace_state());
  e["flags"] = std::to_string(s.flags());
  e["policy"] = "'errors'";
  e["by_chance"] = e["late"] = "false";
  std::tie(e["attributes"], e["attribute_types"]) = expected(s.attributes());
  std::tie(e["resource_attributes"], e["resource_attribute_types"]) = expected(of_resource);
  std::tie(e["scope_attributes"], e["scope_attribute_types"]) = expected(scope.scope().attributes());
  e["dropped_attributes"] = std::to_string(s.dropped_attributes_count());
  e["dropped_events"] = std::to_string(s.dropped_events_count());
  e["dropped_links"] = std::to_string(s.dropped_links_count());
  e["resource_dropped_attributes"] = std::to_string(of.resource().dropped_attributes_count());
  e["scope_dropped_attributes"] = std::to_string(scope.scope().dropped_attributes_count());
  e["resource_schema_url"] = some(of.schema_url());
  e["scope_schema_url"] = some(scope.schema_url());
  e["scope_name"] = some(scope.scope().name());
  e["scope_version"] = some(scope.scope().version());
  std::string& events = e["events"] = "[";
  for (const auto& event : s.events()) {
    const auto [map, types] = expected(event.attributes());
    events += "(" + std::to_string(event.time_unix_nano()) + "," + quoted(event.name()) + "," + map + "," + types +
              "," + std::to_string(event.dropped_attributes_count()) + ",),";
  }
  events += "]";
  std::string& links = e["links"] = "[";
  for (const auto& link : s.links()) {
    const auto [map, types] = expected(link.attributes());
    links += "(" + id(link.trace_id()) + "," + id(link.span_id()) + "," + some(link.trace_state()) + "," +
             std::to_string(link.flags()) + "," + map + "," + types + "," +
             std::to_string(link.dropped_attributes_count()) + ",),";
  }
  links += "]";
  return e;
}

std::string whole(const FilePieces& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

std::string file_of(const Batch& batch, const RowGroupLimits& limits = {}, std::size_t piece_bytes = 16 << 20) {
  const SpanFiles files(batch, kStart, {});
  REQUIRE(files.files().size() == 1);
  const auto table = module()({.row_group_rows = limits.rows, .piece_bytes = piece_bytes});
  REQUIRE(table != nullptr);
  CutItems cut;
  const Result<FilePieces> out = write_span_file(*table, batch, files.files()[0], limits, cut);
  if (!out) FAIL(out.error().text);
  return whole(*out);
}

}  // namespace

TEST_CASE("what is read back is what protobuf says of the spans, column by column", "[parquet]") {
  std::size_t rows = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const twin::TracesData data = random_spans(seed);
    std::multiset<std::map<std::string, std::string>> want;
    for (const auto& of : data.resource_spans()) {
      for (const auto& scope : of.scope_spans()) {
        for (const auto& s : scope.spans()) want.insert(expected(of, scope, s));
      }
    }
    const Read have = read(file_of(batch_of(data)));
    REQUIRE(have.rows.size() == want.size());
    rows += want.size();
    for (const auto& row : have.rows) {
      const auto found = want.find(row);
      if (found != want.end()) {
        want.erase(found);
        continue;
      }
      for (const auto& one : want) {  // the first difference from one of the same id
        if (one.at("span_id") != row.at("span_id") || one.at("flags") != row.at("flags")) continue;
        for (const auto& [name, cell] : one) {
          CAPTURE(name);
          CHECK(row.at(name) == cell);
        }
      }
      REQUIRE(found != want.end());
    }
  }
  CHECK(rows > 1000);
}

TEST_CASE("a file is sorted, and has bounds, filters and an index to leave rows out by", "[parquet]") {
  twin::TracesData data;
  for (int service = 0; service < 4; ++service) {
    auto* of = data.add_resource_spans();
    auto* name = of->mutable_resource()->add_attributes();
    name->set_key("service.name");
    name->mutable_value()->set_string_value("svc" + std::to_string(3 - service));
    auto* scope = of->add_scope_spans();
    for (int i = 0; i < 1000; ++i) {
      auto* s = scope->add_spans();
      s->set_trace_id(std::string(12, 't') + std::to_string(1000 + i));
      s->set_span_id("12345678");
      s->set_start_time_unix_nano(kStart + static_cast<std::uint64_t>(7919 * i % 1000));
    }
  }
  const Read have = read(file_of(batch_of(data), {.rows = 500}));
  REQUIRE(have.meta->num_row_groups() == 8);
  CHECK(have.meta->key_value_metadata()->Get("tailgate.span_table").ValueOr("") == "1");
  std::string last;
  for (std::size_t i = 0; i < have.rows.size(); ++i) {
    const std::string now = have.rows[i].at("service") + have.rows[i].at("start_time");
    CHECK(last <= now);
    last = now;
  }
  for (int g = 0; g < 8; ++g) {
    const auto group = have.meta->RowGroup(g);
    CHECK(group->num_rows() == 500);
    const auto named = [&](const char* column) { return group->ColumnChunk(group->schema()->ColumnIndex(column)); };
    CHECK(group->sorting_columns().empty());  // no promise: see the writer
    CHECK(named("service")->statistics()->EncodeMin() == "svc" + std::to_string(g / 2));
    CHECK(named("service")->statistics()->EncodeMax() == "svc" + std::to_string(g / 2));
    CHECK(named("start_time")->GetColumnIndexLocation());
    CHECK(named("name")->compression() == parquet::Compression::ZSTD);
    for (const char* column : {"service", "name", "http_status", "trace_id", "http_route", "url_path", "error_type"}) {
      INFO(column);
      CHECK(named(column)->bloom_filter_offset().has_value());
    }
    CHECK_FALSE(named("span_id")->bloom_filter_offset().has_value());
  }
}

TEST_CASE("what another row has is null", "[parquet]") {
  twin::TracesData data;
  auto* of = data.add_resource_spans();
  auto* large = of->mutable_resource()->add_attributes();
  large->set_key("blob");
  large->mutable_value()->set_string_value(std::string(4 << 20, 'x'));
  of->set_schema_url("url");
  for (int i = 0; i < 40; ++i) of->add_scope_spans()->add_spans()->set_start_time_unix_nano(kStart);
  Batch batch = batch_of(data);
  const Read have = read(file_of(batch));  // of a batch that says it has no bytes: 16 MiB, and the first
  std::size_t full = 0;
  for (const auto& row : have.rows) {
    if (row.at("resource_attributes") == "null") {
      CHECK(row.at("resource_attribute_types") == "null");
      CHECK(row.at("resource_schema_url") == "null");
    } else {
      ++full;
      CHECK(row.at("resource_attributes").size() > 4 << 20);
      CHECK(row.at("resource_schema_url") == "'url'");
    }
    CHECK(row.at("scope_attributes") == "{}");
  }
  CHECK(have.rows.size() == 40);
  CHECK(full == 1 + 3);
}

TEST_CASE("the same spans give the same file", "[parquet]") {
  const Batch batch = batch_of(random_spans(7));
  CHECK(file_of(batch) == file_of(batch));
  CHECK(file_of(batch) == file_of(batch, {}, 1000));  // whatever the pieces
}

TEST_CASE("a file without rows and one with a huge attribute are files", "[parquet]") {
  const auto table = module()({});
  const Result<FilePieces> empty = table->finish();
  REQUIRE(empty);
  CHECK(read(whole(*empty)).table->num_rows() == 0);

  twin::TracesData data;
  auto* s = data.add_resource_spans()->add_scope_spans()->add_spans();
  s->set_start_time_unix_nano(kStart);
  for (int i = 0; i < 20'000; ++i) {
    auto* a = s->add_attributes();
    a->set_key(std::to_string(i % 15'000));
    a->mutable_value()->set_int_value(i);
  }
  auto* large = s->add_attributes();
  large->set_key("large");
  large->mutable_value()->set_string_value(std::string(20 << 20, 'x'));
  const Read have = read(file_of(batch_of(data)));
  REQUIRE(have.rows.size() == 1);
  CHECK(have.rows[0].at("attribute_types").size() == 15'001 + 2);
}
