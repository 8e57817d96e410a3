// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "store/partition.h"
#include "store/reader.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("tailgate-store-" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

std::shared_ptr<KeptTrace> fresh(std::uint64_t number, std::vector<test::SpanSpec> spans = {{}},
                                 const std::string& service = "web") {
  auto trace = std::make_shared<KeptTrace>();
  trace->id = test::id_of_trace(number);
  for (test::SpanSpec& s : spans) s.trace = number;
  trace->otlp = test::request(spans, service);
  trace->spans = static_cast<std::uint32_t>(spans.size());
  trace->start_ns = 1000 * number;
  trace->end_ns = trace->start_ns + 10;
  trace->policy = "slow";
  trace->verdict.reason = CloseReason::kRoot;
  trace->root_service = service;
  trace->root_name = "op";
  return trace;
}

KeptTracePtr kept(std::uint64_t number, std::vector<test::SpanSpec> spans = {{}}) {
  return fresh(number, std::move(spans));
}

std::unique_ptr<Store> open(const StoreOptions& options, std::uint64_t now = 1,
                            std::vector<std::string>* notices = nullptr) {
  std::vector<std::string> said;
  auto store = Store::open(options, now, said);
  if (!store) FAIL(store.error().text);
  if (notices) *notices = said;
  return std::move(*store);
}

std::uint64_t stored(StoreReader& reader) {
  std::uint64_t n = 0;
  const auto done = reader.search({}, [&](const StoredTrace&) { return ++n != 0; });
  REQUIRE(done);
  return n;
}

TEST_CASE("a stored trace has its policy, its reason and its root", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  REQUIRE(store->append(std::vector{kept(7)}, 1));
  StoreReader reader(store->source());
  const auto found = reader.trace(test::id_of_trace(7));
  REQUIRE(found);
  CHECK(found->otlp == kept(7)->otlp);
  CHECK(found->policy == "slow");
  CHECK(found->close_reason == CloseReason::kRoot);
  CHECK(found->root_service == "web");
  CHECK(found->root_name == "op");
  CHECK(found->spans == 1);
  const auto other = reader.trace(test::id_of_trace(8));
  REQUIRE(other);
  CHECK(other->otlp.empty());
}

TEST_CASE("names, values, operations and calls can be listed", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  test::SpanSpec parent{.id = 1, .name = "GET /", .attributes = {{"http.route", "/pay"}, {"http.method", "GET"}}};
  test::SpanSpec child{.id = 2, .parent = 1, .name = "query", .attributes = {{"db.system", "mysql"}}};
  auto trace = fresh(1, {parent}, "web");
  trace->otlp += test::request({child}, "db");
  REQUIRE(store->append(std::vector<KeptTracePtr>{trace}, 1));
  StoreReader reader(store->source());
  using Texts = std::vector<std::string>;
  CHECK(reader.services(0, UINT64_MAX).value() == Texts{"db", "web"});
  CHECK(reader.services(5000, UINT64_MAX).value().empty());
  CHECK(reader.operations("web", std::nullopt).value() == std::vector<StoredOperation>{{"GET /", 2}});
  CHECK(reader.operations("web", 3).value().empty());
  CHECK(reader.operations("", 2).value() == std::vector<StoredOperation>{{"GET /", 2}, {"query", 2}});
  CHECK(reader.attribute_names(AttributeScope::kSpan, "http.", 10).value() == Texts{"http.method", "http.route"});
  CHECK(reader.attribute_names(AttributeScope::kResource, "", 10).value() == Texts{"service.name"});
  CHECK(reader.attribute_names(std::nullopt, "", 2).value() == Texts{"db.system", "http.method"});
  CHECK(reader.attribute_values(std::nullopt, "http.route", "/", 10).value() == Texts{"/pay"});
  CHECK(reader.attribute_values(AttributeScope::kEvent, "http.route", "", 10).value().empty());
  const auto calls = reader.dependencies(0, UINT64_MAX).value();
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].parent == "web");
  CHECK(calls[0].child == "db");
  CHECK(calls[0].calls == 1);
  const StoreStatus status = reader.status().value();
  CHECK(status.traces == 1);
  CHECK(status.bytes > 0);
  CHECK(status.start_ns == 1000);
}

TEST_CASE("an element of an array and a value of an event find their trace", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  twin::TracesData data = test::traces({{.trace = 3}});
  auto& span = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  auto& list = *span.add_attributes();
  list.set_key("tags");
  list.mutable_value()->mutable_array_value()->add_values()->set_int_value(5);
  auto& event = *span.add_events()->add_attributes();
  event.set_key("exception.type");
  event.mutable_value()->set_string_value("Boom");
  auto trace = fresh(3);
  trace->otlp = data.SerializeAsString();
  REQUIRE(store->append(std::vector<KeptTracePtr>{trace, kept(4)}, 1));
  StoreReader reader(store->source());
  for (const TraceTerm& term :
       {TraceTerm{.key = "tags", .value = "5"}, TraceTerm{.key = "exception.type", .value = "Boom"},
        TraceTerm{.field = TraceTerm::Field::kKind, .value = "server"}}) {
    SearchRequest request;
    request.needs.all = {{term}};
    std::vector<TraceId> ids;
    REQUIRE(reader.search(request, [&](const StoredTrace& t) {
      ids.push_back(t.id);
      return true;
    }));
    CHECK(ids.back() == trace->id);
    CHECK(ids.size() == (term.field == TraceTerm::Field::kKind ? 2 : 1));
  }
}

TEST_CASE("a trace with more values than the index takes is a candidate of every search", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  std::vector<test::SpanSpec> spans(11'000);
  for (std::size_t i = 0; i != spans.size(); ++i) spans[i].attributes = {{"k" + std::to_string(i), "v"}};
  REQUIRE(store->append(std::vector{kept(1, spans), kept(2)}, 1));
  StoreReader reader(store->source());
  SearchRequest request;
  for (const std::string key : {"k10999", "k1"}) {
    request.needs.all = {{TraceTerm{.key = key, .value = "v"}}};
    std::uint64_t n = 0;
    REQUIRE(reader.search(request, [&](const StoredTrace& t) {
      CHECK(t.id == kept(1)->id);
      return ++n != 0;
    }));
    CHECK(n == 1);
  }
}

TEST_CASE("an index that a restart writes has the parts of all blocks", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path, .parts_per_posting_file = 4};
  const auto found = [&](StoreReader& reader) {
    SearchRequest request;
    request.needs.all = {{TraceTerm{.key = "service.name", .value = "web"}}};
    std::uint64_t n = 0;
    REQUIRE(reader.search(request, [&](const StoredTrace&) { return ++n != 0; }));
    return n;
  };
  // What was sent again is no part, and fills the index that is in memory when its blocks are read again.
  auto store = open(options);
  for (const std::uint64_t n : {1U, 1U, 1U, 2U, 3U}) REQUIRE(store->append(std::vector{kept(n)}, 1));
  for (int restart = 0; restart != 2; ++restart) {
    store.reset();
    store = open(options);
    const auto second = open_store(folder.path);
    REQUIRE(second);
    CHECK(found(**second) == 3);
    StoreReader live(store->source());
    CHECK(found(live) == 3);
  }
}

TEST_CASE("a search says when its budget was used up", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  std::vector<KeptTracePtr> batch;
  for (std::uint64_t i = 1; i <= 300; ++i) batch.push_back(kept(i));
  REQUIRE(store->append(batch, 1));
  StoreReader reader(store->source());
  const auto cut = [&](const SearchBudget& budget) {
    SearchRequest request;
    request.budget = budget;
    return reader.search(request, [](const StoredTrace&) { return true; }).value().cut;
  };
  CHECK(cut({}).empty());
  CHECK(cut({.traces_max = 10}) == "The search ended after 10 traces, the most that it may look at.");
  CHECK(cut({.bytes_max = 1}).starts_with("The search ended after "));
  CHECK(cut({.deadline = TimePoint(Duration(5)), .clock = [] { return TimePoint(Duration(5)); }}) ==
        "The search ended at its time limit.");
  CHECK(cut({.cancelled = [] { return true; }}) == "The search was cancelled.");
  CHECK(reader.search({}, [](const StoredTrace&) { return false; }).value().cut.empty());
}

TEST_CASE("the oldest partitions go when the store is too large or they are too old", "[store]") {
  const Folder folder;
  StoreOptions options{.directory = folder.path, .bytes_max = 4 << 20, .age_max_ns = 16'000};
  auto store = open(options);
  for (std::uint64_t i = 1; i <= 40; ++i) {
    std::vector<KeptTracePtr> batch;
    for (std::uint64_t k = 0; k != 20; ++k) batch.push_back(kept(100 * i + k));
    REQUIRE(store->append(batch, 1000 * i));
  }
  StoreReader reader(store->source());
  CHECK(store->counts().partitions_deleted >= 20);
  CHECK(store->counts().partitions <= 18);
  CHECK(stored(reader) >= 14 * 20);
  CHECK(stored(reader) <= 18 * 20);
  REQUIRE(store->keep_bounds(1'000'000));  // nothing came for long
  REQUIRE(store->keep_bounds(1'000'000));
  CHECK(stored(reader) == 0);
  REQUIRE(store->append(std::vector{kept(1)}, 1'000'001));
  CHECK(stored(reader) == 1);

  options.bytes_max = 1 << 20;
  options.age_max_ns = 1'000'000'000'000;
  store.reset();
  store = open(options);
  test::Random r(1);
  std::string noise(60'000, ' ');
  for (std::uint64_t i = 0; i != 60; ++i) {
    for (char& c : noise) c = static_cast<char>('a' + r.below(26));
    REQUIRE(store->append(std::vector{kept(i, {{.attributes = {{"noise", noise}}}})}, 1'000'010 + i));
    CHECK(store->counts().bytes < 2 << 20);
  }
  CHECK(store->counts().partitions_deleted > 5);
}

TEST_CASE("a directory in use, of a newer version or without rights is refused and left alone", "[store]") {
  const Folder folder;
  std::vector<std::string> notices;
  const auto refusal = [&](const std::string& directory) {
    const auto store = Store::open({.directory = directory}, 1, notices);
    REQUIRE_FALSE(store);
    return store.error().text;
  };
  auto store = open({.directory = folder.path});
  REQUIRE(store->append(std::vector{kept(1)}, 1));
  CHECK(refusal(folder.path).find("another process or exporter writes to") != std::string::npos);
  CHECK(refusal("/proc/tailgate").find("Make it, and give it to the user of the daemon") != std::string::npos);
  store.reset();

  const std::string blocks = block_path(partition_folders(folder.path).value().front());
  std::string header = block_file_header(1, 2).substr(0, 28);
  header[8] = 2;
  append_le(header, crc32c(header));
  {
    std::fstream file(blocks, std::ios::in | std::ios::out | std::ios::binary);
    file.write(header.data(), static_cast<long>(header.size()));
  }
  const auto size = fs::file_size(blocks);
  CHECK(refusal(folder.path).find("expected version 1 of the format of blocks, got 2") != std::string::npos);
  CHECK(fs::file_size(blocks) == size);
  const auto reader = open_store(folder.path);
  REQUIRE_FALSE(reader);
  CHECK(reader.error().text.find("got 2") != std::string::npos);
  CHECK_FALSE(open_store(folder.path / "nothing"));
}

TEST_CASE("a full disk fails a batch, and the next attempt stores it once", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path, .codec = BlockCodec::kPlain});
  REQUIRE(store->append(std::vector{kept(1)}, 1));
  std::vector<KeptTracePtr> batch;
  for (std::uint64_t i = 2; i <= 50; ++i) batch.push_back(kept(i, std::vector<test::SpanSpec>(20)));
  struct rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  StoreReader reader(store->source());
  for (const rlim_t limit : {500U, 4000U, 20'000U, 40'000U, 60'000U, 80'000U, 100'000U, 150'000U, 200'000U}) {
    struct rlimit now = before;
    now.rlim_cur = limit;
    ::setrlimit(RLIMIT_FSIZE, &now);
    const auto done = store->append(batch, 1);
    ::setrlimit(RLIMIT_FSIZE, &before);
    INFO("limit " << limit);
    const std::uint64_t n = stored(reader);
    CHECK((done ? n == 50 : n == 1 || n == 50));
  }
  REQUIRE(store->append(batch, 1));
  CHECK(stored(reader) == 50);
  std::signal(SIGXFSZ, handler);
  store.reset();
  store = open({.directory = folder.path});
  StoreReader again(store->source());
  CHECK(stored(again) == 50);
}

TEST_CASE("names of a batch that could not be written are listed once it is", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path, .codec = BlockCodec::kPlain});
  REQUIRE(store->append(std::vector{kept(1)}, 1));
  const std::vector batch{kept(2, {{.name = "pay", .attributes = {{"app.basket", "full"}}}})};
  struct rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit now = before;
  now.rlim_cur = fs::file_size(block_path(partition_folders(folder.path).value().front()));
  ::setrlimit(RLIMIT_FSIZE, &now);
  const auto done = store->append(batch, 1);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(done);
  REQUIRE(store->append(batch, 1));
  StoreReader reader(store->source());
  using Texts = std::vector<std::string>;
  CHECK(reader.attribute_names(AttributeScope::kSpan, "app.", 10).value() == Texts{"app.basket"});
  CHECK(reader.attribute_values(AttributeScope::kSpan, "app.basket", "", 10).value() == Texts{"full"});
  const auto operations = reader.operations("web", std::nullopt).value();
  CHECK(std::any_of(operations.begin(), operations.end(), [](const StoredOperation& o) { return o.name == "pay"; }));
}

void flip(const fs::path& file, std::uint64_t at) {
  std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
  f.seekg(static_cast<long>(at));
  const char c = static_cast<char>(f.get() ^ 0x20);
  f.seekp(static_cast<long>(at));
  f.put(c);
}

TEST_CASE("an answer says that a block or a bucket of the index is damaged", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path, .parts_per_posting_file = 2});
  REQUIRE(store->append(std::vector{kept(1), kept(2)}, 1));
  const std::string in = partition_folders(folder.path).value().front();
  StoreReader reader(store->source());
  SearchRequest request;
  request.needs.all = {{TraceTerm{.key = "service.name", .value = "web"}}};
  const auto search = [&](std::uint64_t traces) {
    std::uint64_t n = 0;
    auto found = reader.search(request, [&](const StoredTrace&) { return ++n != 0; });
    REQUIRE(found);
    CHECK(n == traces);
    return *found;
  };
  CHECK(search(2).damage().empty());
  const std::string index = posting_path(in, 1);
  flip(index, fs::file_size(index) - 1);
  CHECK(search(2).damage() == "'" + index + "' is damaged. The search took longer, and its answer is whole.");
  flip(index, fs::file_size(index) - 1);
  // A late part of trace 1, in a block of its own.
  REQUIRE(store->append(std::vector{kept(1, {{.id = 9, .name = "late"}})}, 1));
  CHECK(search(2).damage().empty());
  const std::string blocks = block_path(in);
  flip(blocks, fs::file_size(blocks) - 1);
  CHECK(search(2).damage() == "'" + blocks + "' is damaged. 1 traces are left out or lack spans.");
  const StoredTrace half = reader.trace(kept(1)->id).value();
  CHECK(half.otlp == kept(1)->otlp);
  CHECK(half.parts_lost == 1);
  flip(blocks, kBlockFileHeaderBytes + kBlockHeaderBytes + 3);
  CHECK(search(0).damaged == 2);
  const auto gone = reader.trace(kept(2)->id);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().kind == ErrorKind::kIo);
}

TEST_CASE("a span that parts share is subtracted from what the rows count, and nothing else is", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  const auto failed = [](std::vector<test::SpanSpec> spans) {
    auto trace = fresh(1, std::move(spans));
    trace->errors = 1;
    return trace;
  };
  for (const auto& part : {failed({{.id = 1}, {.id = 2, .status = 2}}), failed({{.id = 2, .status = 2}}),
                           failed({{.id = 3}, {.id = 4}, {.id = 5, .status = 2}})}) {
    REQUIRE(store->append(std::vector<KeptTracePtr>{part}, 1));  // each in a block of its own
  }
  StoreReader reader(store->source());
  const auto look = [&] { return reader.trace(test::id_of_trace(1)).value(); };
  CHECK(look().spans == 5);
  CHECK(look().errors == 2);
  const std::string blocks = block_path(partition_folders(folder.path).value().front());
  flip(blocks, fs::file_size(blocks) - 1);
  CHECK(look().parts_lost == 1);
  CHECK(look().spans == 5);  // of the part that is lost, too
  CHECK(look().errors == 2);
}

TEST_CASE("a part that two partitions have counts once, and is lost when both have lost it", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path, .age_max_ns = 16'000});
  auto part = fresh(1, {{.id = 1}, {.id = 2, .status = 2}});
  part->errors = 1;
  REQUIRE(store->append(std::vector<KeptTracePtr>{part}, 1));
  REQUIRE(store->append(std::vector<KeptTracePtr>{part}, 1500));
  const std::vector<std::string> folders = partition_folders(folder.path).value();
  REQUIRE(folders.size() == 2);
  StoreReader reader(store->source());
  const auto check_whole = [&] {
    const StoredTrace found = reader.trace(part->id).value();
    CHECK(found.otlp == part->otlp);
    CHECK(found.spans == 2);
    CHECK(found.errors == 1);
    CHECK(found.parts_lost == 0);
  };
  check_whole();
  flip(block_path(folders[0]), fs::file_size(block_path(folders[0])) - 1);
  check_whole();
  flip(block_path(folders[1]), fs::file_size(block_path(folders[1])) - 1);
  CHECK_FALSE(reader.trace(part->id));
}

// The statements of the first block of SQL in a page.
std::vector<std::string> sql_of_page(const std::string& page) {
  std::ifstream in(std::string(TAILGATE_SOURCE_DIR) + "/" + page);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t begin = text.find("```sql\n") + 7;
  text = text.substr(begin, text.find("```", begin) - begin);
  std::vector<std::string> out;
  for (std::size_t at = 0, end = 0; (end = text.find(';', at)) != std::string::npos; at = end + 1) {
    out.push_back(text.substr(at, end - at));
  }
  return out;
}

TEST_CASE("the queries in the documentation have the answers that they promise", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  const auto now = static_cast<std::uint64_t>(std::time(nullptr)) * 1'000'000'000;  // as the second query does
  std::vector<KeptTracePtr> batch;
  for (std::uint64_t i = 1; i <= 12; ++i) {
    auto t = fresh(i, {{.id = 1}, {.id = 2, .parent = 1}}, i % 2 == 0 ? "checkout" : "web");
    t->start_ns = now - i * 660'000'000'000;
    t->end_ns = t->start_ns + i * 1'000'000;
    t->errors = 1;
    t->has_root = i > 2;
    t->policy = i > 4 ? "slow" : "errors";
    batch.push_back(t);
  }
  REQUIRE(store->append(batch, 1));
  const std::vector<std::string> queries = sql_of_page("docs/exporters/store.md");
  REQUIRE(queries.size() == 5);
  auto db = Database::open_to_read(catalogue_path(partition_folders(folder.path).value().front()));
  REQUIRE(db);
  const auto run = [&](std::size_t i) {
    INFO(queries[i]);
    auto rows = (*db)->prepare(queries[i]);
    REQUIRE(rows);
    std::vector<std::string> out;
    while (rows->step().value()) {
      std::string row;
      for (int c = 0; c != 4; ++c) row += (c == 0 ? "" : "|") + std::string(rows->text(c));
      out.push_back(row);
    }
    return out;
  };
  const std::vector<std::string> slowest = run(0), failed = run(1);
  REQUIRE(slowest.size() == 10);
  CHECK(slowest[0] == "0100000000000000000000000000000C|checkout|op|12.0");
  REQUIRE(failed.size() == 2);  // of 22 and 44 minutes ago
  CHECK(failed[0].starts_with("01000000000000000000000000000002|2"));
  CHECK(failed[0].ends_with("|1|"));
  CHECK(run(2) == std::vector<std::string>{"slow|8|16|", "errors|4|8|"});
  CHECK(run(3) == std::vector<std::string>{"checkout|checkout|6|", "web|web|6|"});
  CHECK(run(4) == std::vector<std::string>{"root|2||"});
}

TEST_CASE("a damaged catalogue is an error of the store, not of the question", "[store]") {
  const Folder folder;
  auto store = open({.directory = folder.path});
  REQUIRE(store->append(std::vector{kept(1)}, 1));
  store.reset();
  fs::resize_file(catalogue_path(partition_folders(folder.path).value().front()), 5000);
  const auto reader = open_store(folder.path);
  REQUIRE(reader);
  const auto found = (*reader)->search({}, [](const StoredTrace&) { return true; });
  REQUIRE_FALSE(found);
  CHECK(found.error().kind == ErrorKind::kIo);
  CHECK(found.error().text.find("makes a damaged catalogue again") != std::string::npos);
}

TEST_CASE("a flipped byte in blocks, index or filter gives no wrong answer", "[store]") {
  const Folder folder;
  test::Random r(5);
  for (int round = 0; round != 60; ++round) {
    fs::remove_all(folder.path);
    StoreOptions options{.directory = folder.path, .age_max_ns = 16'000, .parts_per_posting_file = 5};
    auto store = open(options);
    for (std::uint64_t i = 1; i <= 30; ++i) {
      REQUIRE(store->append(std::vector{kept(i, {{.attributes = {{"n", std::to_string(i % 7)}}}})}, 100 * i));
    }
    store.reset();
    std::vector<fs::path> files;
    for (const auto& at : fs::recursive_directory_iterator(folder.path)) {
      const std::string name = at.path().filename();
      if (name.starts_with("traces") || name.starts_with("terms") || name.starts_with("ids")) files.push_back(at);
    }
    const fs::path file = files[r.below(files.size())];
    const bool blocks = file.filename().string().starts_with("traces");
    const std::uint64_t front = blocks ? kBlockFileHeaderBytes : 0;
    flip(file, front + r.below(fs::file_size(file) - front));
    INFO("flipped in " << file.string());
    store = open(options);
    StoreReader reader(store->source());
    SearchRequest request;
    request.needs.all = {{TraceTerm{.key = "n", .value = "3"}}};
    std::uint64_t right = 0, lost = 0;
    const auto done = reader.search(request, [&](const StoredTrace& t) {
      const std::uint64_t i = t.start_ns / 1000;
      CHECK(t.otlp == kept(i, {{.attributes = {{"n", std::to_string(i % 7)}}}})->otlp);
      right += i % 7 == 3 ? 1 : 0;
      return true;
    });
    REQUIRE(done);
    lost = done->damaged;
    CHECK(right + lost + (blocks ? 1 : 0) >= 4);
    CHECK((blocks || right == 4));
  }
}

TEST_CASE("a store whose files were removed says so, and can be opened anew", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path};
  const bool whole = GENERATE(true, false);
  auto store = open(options);
  REQUIRE(store->append(std::vector{kept(1)}, 1));
  if (whole) {
    fs::remove_all(folder.path);
  } else {
    fs::remove_all(partition_folders(folder.path).value().front());
  }
  const auto lost = store->append(std::vector{kept(2)}, 2);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().kind == ErrorKind::kUnavailable);
  CHECK(lost.error().text.find("were removed or moved") != std::string::npos);
  store.reset();
  store = open(options);
  REQUIRE(store->append(std::vector{kept(2)}, 3));
  StoreReader reader(store->source());
  CHECK(stored(reader) == 1);
}

TEST_CASE("an older partition that somebody deleted does not keep newer traces out", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path, .age_max_ns = 16'000};
  auto store = open(options);
  REQUIRE(store->append(std::vector{kept(1)}, 100));
  REQUIRE(store->append(std::vector{kept(2)}, 2000));
  fs::remove_all(partition_folders(folder.path).value().front());
  REQUIRE(store->append(std::vector{kept(3)}, 50'000));
  StoreReader reader(store->source());
  CHECK(stored(reader) == 2);
}

TEST_CASE("a flipped byte in a finished catalogue is found by its checksum", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path, .age_max_ns = 16'000};
  auto store = open(options);
  for (std::uint64_t i = 1; i <= 40; ++i) REQUIRE(store->append(std::vector{kept(i)}, 100 * i));
  store.reset();
  const std::string damaged = catalogue_path(partition_folders(folder.path).value().front());
  test::Random r(7);
  flip(damaged, 100 + r.below(fs::file_size(damaged) - 100));
  std::vector<std::string> notices;
  store = open(options);
  const std::uint64_t found_at_start = store->counts().damaged_catalogues;  // SQLite may have met it
  while (store->counts().damaged_catalogues == 0) {
    REQUIRE(store->check_next(notices));
    REQUIRE((store->counts().damaged_catalogues != 0 || notices.empty()));
  }
  if (found_at_start == 0) CHECK(notices.front().find("checksum") != std::string::npos);
  StoreReader reader(store->source());
  CHECK(stored(reader) == 40);
}

TEST_CASE("a catalogue that was not made to its end is made again, and the others have their turn", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path, .age_max_ns = 16'000};
  auto store = open(options);
  for (std::uint64_t i = 1; i <= 60; ++i) REQUIRE(store->append(std::vector{kept(i)}, 100 * i));
  const auto folders = partition_folders(folder.path).value();
  REQUIRE(folders.size() > 3);
  fs::remove_all(folders[0]);
  fs::remove(catalogue_path(folders[1]));
  fs::remove(folders[1] + "/catalogue.sum");
  test::Random r(9);
  flip(catalogue_path(folders[2]), 200 + r.below(fs::file_size(catalogue_path(folders[2])) - 200));
  std::vector<std::string> notices;
  for (std::size_t i = 0; i != 2 * folders.size(); ++i) REQUIRE(store->check_next(notices));
  CHECK(store->counts().damaged_catalogues == 2);
  CHECK(notices.size() == 2);
  StoreReader reader(store->source());
  CHECK(stored(reader) == 60 - 10);
}

TEST_CASE("a finished partition whose catalogue has an older version is made again", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path, .age_max_ns = 16'000};
  auto store = open(options);
  for (std::uint64_t i = 1; i <= 60; ++i) REQUIRE(store->append(std::vector{kept(i)}, 100 * i));
  const std::string path = catalogue_path(partition_folders(folder.path).value().front());
  store.reset();
  const auto version = [&] {
    const auto db = Database::open(path);
    REQUIRE(db);
    auto rows = (*db)->prepare("PRAGMA user_version");
    REQUIRE(rows);
    REQUIRE(rows->step().value());
    return rows->number(0);
  };
  {
    auto db = Database::open(path);
    REQUIRE(db);
    REQUIRE((*db)->run("PRAGMA user_version=1; ALTER TABLE traces RENAME COLUMN has_root TO of_an_older_version"));
  }
  REQUIRE(version() == 1);
  store = open(options);
  CHECK(version() == Catalogue::kVersion);
  StoreReader reader(store->source());
  CHECK(stored(reader) == 60);
}

TEST_CASE("services beyond those that are listed are found all the same", "[store]") {
  const Folder folder;
  const StoreOptions options{.directory = folder.path};
  auto store = open(options);
  const auto number_of_traces = [&](const std::string& service, std::uint64_t from = 0) {
    StoreReader reader(store->source());
    SearchRequest request;
    request.service = service;
    request.from_ns = from;
    std::uint64_t n = 0;
    REQUIRE(reader.search(request, [&](const StoredTrace&) { return ++n != 0; }));
    return n;
  };
  std::vector<KeptTracePtr> traces;
  for (std::uint64_t i = 1; i <= kListedServicesMax + 10; ++i)
    traces.push_back(fresh(i, {{}}, "s" + std::to_string(i)));
  const std::string last = "s" + std::to_string(kListedServicesMax + 10), lengthy(300, 'x');
  traces.push_back(fresh(90'001, {{}}, last));
  traces.push_back(fresh(90'002, {{}}, lengthy));
  REQUIRE(store->append(traces, 1));
  const auto earlier = fresh(90'001, {{.id = 9}}, last);  // a part that makes the trace begin earlier
  earlier->start_ns = 5;
  REQUIRE(store->append(std::vector<KeptTracePtr>{earlier}, 1));
  for (const bool again : {false, true}) {
    if (again) store.reset();
    if (again) store = open(options);
    CHECK(number_of_traces("s1") == 1);
    CHECK(number_of_traces(last) == 2);
    CHECK(number_of_traces(last, 90'002'000) == 0);
    CHECK(number_of_traces(lengthy) == 1);
    CHECK(number_of_traces("s0") == 0);
    CHECK(StoreReader(store->source()).services(0, UINT64_MAX).value().size() == kListedServicesMax);
  }
}

}  // namespace
}  // namespace tailgate
