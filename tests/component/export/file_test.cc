// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <simdjson.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <fstream>
#include <set>

#include "component/export/export_fixture.h"

using namespace tailgate;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::string trace_id_of(const std::string& line) {
  simdjson::dom::parser parser;
  return std::string(
      std::string_view(parser.parse(line)["resourceSpans"].at(0)["scopeSpans"].at(0)["spans"].at(0)["traceId"]));
}

}  // namespace

TEST_CASE("file writes one JSON line per kept trace and continues an existing file", "[export]") {
  TempDir dir;
  const std::string yaml = "file: {path: " + dir.at("kept.json") + ", flush_interval: 1s}";
  {
    Rig rig(yaml);
    rig.push(kept(0xab, 3));
    rig.push(kept(0xcd, 2));
    rig.drain(5s);
    CHECK(rig.exporters->stats_of(0).sent_spans == 5);
  }
  Rig rig(yaml);
  rig.push(kept(0xef, 1));
  rig.drain(5s);
  const auto lines = lines_of(dir.at("kept.json"));
  REQUIRE(lines.size() == 3);
  CHECK(trace_id_of(lines[0]) == std::string(32, 'a').replace(0, 32, "abababababababababababababababab"));
  CHECK(trace_id_of(lines[1]) == "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd");
  CHECK(trace_id_of(lines[2]) == "efefefefefefefefefefefefefefefef");
}

TEST_CASE("half a line that a killed process left does not swallow the next one", "[export]") {
  TempDir dir;
  std::ofstream(dir.at("kept.json")) << "{\"resourceSpans\":[]}\n{\"resourceSp";
  Rig rig("file: {path: " + dir.at("kept.json") + "}");
  rig.push(kept(0xef, 1));
  rig.drain(5s);
  const auto lines = lines_of(dir.at("kept.json"));
  REQUIRE(lines.size() == 3);
  CHECK(lines[1] == "{\"resourceSp");
  CHECK(trace_id_of(lines[2]) == "efefefefefefefefefefefefefefefef");
}

TEST_CASE("file rotates by size, keeps the newest backups, and no line is lost or torn before that", "[export]") {
  TempDir dir;
  Rig rig("file:\n  path: " + dir.at("kept.json") +
          "\n  rotation: {max_megabytes: 1, max_backups: 2}\n  sending_queue: {batch: {flush_timeout: 1ms}}\n");
  const std::string name(200'000, 'n');
  std::uint64_t spans = 0;
  for (std::uint8_t i = 0; i < 24; ++i) {
    rig.push(kept(i, 1, name));
    REQUIRE(rig.sent(++spans));
    std::this_thread::sleep_for(2ms);
  }
  std::set<std::string> ids;
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(dir.path)) {
    ++files;
    CHECK(entry.file_size() <= 1 << 20);
    for (const std::string& line : lines_of(entry.path())) ids.insert(trace_id_of(line));
  }
  CHECK(files == 3);
  CHECK(ids.size() == 14);  // 5 + 5 in backups and the last 4
  CHECK(ids.count("17171717171717171717171717171717") == 1);
}

TEST_CASE("a file that cannot be written for a while loses and doubles nothing", "[export]") {
  TempDir dir;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  Rig rig("file:\n  path: " + dir.at("kept.json") +
          "\n  retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}\n");
  const std::string name(10'000, 'n');
  rig.push(kept(1, 1, name));
  REQUIRE(rig.sent(1));
  rlimit small = before;
  small.rlim_cur = 15'000;  // the next line fits half
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  rig.push(kept(2, 1, name));
  const bool failed = rig.eventually([&] { return rig.failures(FailReason::kIo) >= 2; });
  const std::size_t lines_then = lines_of(dir.at("kept.json")).size();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(failed);
  CHECK(lines_then == 1);
  REQUIRE(rig.sent(2));
  const auto lines = lines_of(dir.at("kept.json"));
  REQUIRE(lines.size() == 2);
  CHECK(trace_id_of(lines[1]) == "02020202020202020202020202020202");
}

TEST_CASE("a file that was renamed or removed gets no more lines, a new one does", "[export]") {
  TempDir dir;
  Rig rig("file: {path: " + dir.at("d/kept.json") + ", create_directory: true}");
  rig.push(kept(0x11, 1));
  REQUIRE(rig.sent(1));
  fs::rename(dir.at("d/kept.json"), dir.at("d/kept.json.1"));  // as logrotate does
  rig.push(kept(0x22, 1));
  REQUIRE(rig.sent(2));
  CHECK(lines_of(dir.at("d/kept.json.1")).size() == 1);
  REQUIRE(lines_of(dir.at("d/kept.json")).size() == 1);
  CHECK(trace_id_of(lines_of(dir.at("d/kept.json"))[0]) == "22222222222222222222222222222222");

  fs::remove_all(dir.at("d"));
  rig.push(kept(0x33, 1));
  REQUIRE(rig.sent(3));
  CHECK(lines_of(dir.at("d/kept.json")).size() == 1);

  fs::rename(dir.at("d/kept.json"), dir.at("d/old.json"));
  std::ofstream(dir.at("d/kept.json")) << "{}\n";  // logrotate's `create`
  rig.push(kept(0x44, 1));
  REQUIRE(rig.sent(4));
  CHECK(lines_of(dir.at("d/old.json")).size() == 1);
  CHECK(lines_of(dir.at("d/kept.json")).size() == 2);

  fs::resize_file(dir.at("d/kept.json"), 0);  // logrotate's `copytruncate`
  rig.push(kept(0x55, 1));
  REQUIRE(rig.sent(5));
  CHECK(lines_of(dir.at("d/kept.json")).size() == 1);
}

TEST_CASE("files of exporters and dead letters that were removed are let go of when asked", "[export]") {
  TempDir dir;
  Rig rig("file: {path: " + dir.at("kept.json") + ", dead_letter: {path: " + dir.at("dead.json") + "}}");
  const auto open_files = [&] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry.path(), gone).string().starts_with(dir.path.string())) ++count;
    }
    return count;
  };
  CHECK(open_files() == 2);
  rig.exporters->follow_paths();
  rig.push(kept(1, 1));
  REQUIRE(rig.sent(1));
  CHECK(open_files() == 2);
  fs::remove(dir.at("kept.json"));
  fs::remove(dir.at("dead.json"));
  rig.exporters->follow_paths();
  CHECK(rig.eventually([&] { return open_files() == 0; }));
}

TEST_CASE("a file that cannot be opened stops the start", "[export]") {
  ByteBudget budget({0, 0, 1 << 20, 0});
  const auto doc = load_config_text("file: {path: /nonexistent/dir/kept.json}", "t.yaml");
  const auto exporters = Exporters::make(doc->root, budget, {});
  const Result<void> started = exporters->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().kind == ErrorKind::kIo);
  CHECK(started.error().text == "exporter file: /nonexistent/dir/kept.json: cannot open: No such file or directory");
}

namespace {

// What the debug exporter writes to standard output (descriptor 1) and to standard error (2) about one trace.
std::array<std::vector<std::string>, 2> debug_lines(const std::string& config, const std::string& root_name) {
  TempDir dir;
  std::array<int, 2> saved{};
  for (const int fd : {1, 2}) {
    const int file = ::open(dir.at(std::to_string(fd)).c_str(), O_WRONLY | O_CREAT, 0600);
    saved[static_cast<std::size_t>(fd - 1)] = ::dup(fd);
    ::dup2(file, fd);
    ::close(file);
  }
  {
    Rig rig(config);
    auto trace = std::make_shared<KeptTrace>();
    trace->id.bytes.fill('\x4b');
    trace->spans = 12;
    trace->errors = 1;
    trace->start_ns = 1'000'000'000;
    trace->end_ns = 2'203'456'789;
    trace->root_service = "shop";
    trace->root_name = root_name;
    trace->has_root = true;
    trace->policy = "errors";
    trace->verdict.reason = CloseReason::kRoot;
    trace->exporters = 1;
    rig.push(trace);
    rig.drain(5s);
  }
  for (const int fd : {1, 2}) {
    ::dup2(saved[static_cast<std::size_t>(fd - 1)], fd);
    ::close(saved[static_cast<std::size_t>(fd - 1)]);
  }
  return {lines_of(dir.at("1")), lines_of(dir.at("2"))};
}

}  // namespace

TEST_CASE("debug writes one readable line per kept trace, with a time, to standard output", "[export]") {
  const auto [out, err] = debug_lines("debug: {verbosity: basic}", "GET /\n\"x\"\u0085");
  CHECK(err.empty());
  REQUIRE(out.size() == 1);
  CHECK_THAT(out[0], Catch::Matches(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 4b4b.*)"));
  CHECK(out[0].substr(out[0].find(' ') + 1) ==
        R"(4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b "shop" "GET /\n\"x\"\u0085" 1.203s spans=12 errors=1 policy=errors )"
        "close_reason=root");
}

TEST_CASE("debug writes to standard error when asked to, and cuts long names", "[export]") {
  const auto [out, err] = debug_lines("debug: {output_paths: [stderr]}", std::string(300, 'n'));
  CHECK(out.empty());
  REQUIRE(err.size() == 1);
  CHECK_THAT(err[0], Catch::Contains(" \"" + std::string(200, 'n') + "...\" "));
}

TEST_CASE("only the exporters whose bit is set get a trace, and make_room frees the fullest queue", "[export]") {
  TempDir dir;
  ByteBudget budget({0, 0, 100'000, 0});
  const auto doc = load_config_text(
      "otlp: {endpoint: 127.0.0.1:1, tls: {insecure: true}}\n"
      "file: {path: " +
          dir.at("kept.json") + ", policies: [errors, slow]}",
      "t.yaml");
  const auto exporters = Exporters::make(doc->root, budget, {});
  REQUIRE(doc->issues->errors.empty());
  CHECK(exporters->names() == std::vector<std::string>{"otlp", "file"});
  CHECK(exporters->policies_of(0).empty());
  CHECK(exporters->policies_of(1) == std::vector<std::string>{"errors", "slow"});
  CHECK(exporters->endpoint_of(0) == "127.0.0.1:1");
  for (int i = 0; i < 8; ++i) {  // not started: everything stays
    auto trace = std::make_shared<KeptTrace>();
    trace->otlp.assign(10'000, 'x');
    trace->spans = 1;
    trace->exporters = 0b01;
    trace->verdict.chance = i == 5;
    trace->charge = Charge(budget, Holder::kQueues);
    REQUIRE(trace->charge.try_grow(trace->bytes()));
    exporters->push(std::move(trace), monotonic_now());
  }
  CHECK(exporters->stats_of(0).queued_spans == 8);
  CHECK(exporters->stats_of(1).routed_spans == 0);
  CHECK(exporters->make_room(25'000, true));  // the one kept by chance makes room for another such
  CHECK_FALSE(exporters->make_room(35'000, true));
  CHECK(exporters->stats_of(0).queued_spans == 7);
  CHECK(exporters->make_room(50'000, false));
  CHECK(budget.used(Holder::kQueues) <= 50'000);
  CHECK(exporters->stats_of(0).dropped_spans[static_cast<std::size_t>(DropReason::kQueueFull)] == 4);
  CHECK_FALSE(exporters->make_room(100'001, false));

  MetricWriter writer;
  exporters->collect(writer, {"errors"});
  const std::string text = writer.text();
  CHECK(text.find("tailgate_export_dropped_spans_total{exporter=\"otlp\",reason=\"queue_full\"} 4\n") !=
        std::string::npos);
  CHECK(text.find("tailgate_export_queue_spans{exporter=\"otlp\"} 4\n") != std::string::npos);
  CHECK(text.find("tailgate_export_queue_capacity_bytes{exporter=\"file\"} 100000\n") != std::string::npos);
  const std::string lost = "tailgate_export_lost_spans_total{exporter=\"otlp\",policy=\"\",reason=\"queue_full\"} 4\n";
  const std::string none =
      "tailgate_export_lost_spans_total{exporter=\"file\",policy=\"errors\",reason=\"refused\"} 0\n";
  CHECK(text.find(lost) != std::string::npos);
  CHECK(text.find(none) != std::string::npos);

  // So many policies that zeros for all would be most of the page: what is lost is there, and no zeros.
  MetricWriter large;
  exporters->collect(large, std::vector<std::string>(kLostSeriesMax / 22 + 1, "errors"));
  CHECK(large.text().find(lost) != std::string::npos);
  CHECK(large.text().find(none) == std::string::npos);
}
